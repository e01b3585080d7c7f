//! What the budget of an org costs its callers: an org with many keys, its money mostly out with them, on the
//! embedded store. `cargo bench --bench org [-- KEYS]`: 10,000 keys unless told otherwise.
//!
//! A call is authorised and settled by the ledger itself, without HTTP. Times are of this machine; the ratios are
//! what counts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use nemo::clock::SystemClock;
use nemo::ledger::{Context, ExecuteError, Ledger, LedgerOptions, NoSnapshots};
use nemo_events::key::{BoundBasis, Client, Ending, Evidence, KeySecret, Labels};
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WindowKind};
use nemo_events::org::OrgLimits;
use nemo_events::price::{PriceCard, Rates};
use nemo_events::{CallId, Digest, KeyId, Nanos, OrgId, PriceCardId, RequestId, Usage};
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, Create, CreateOrg, PresentedSecret, Priced, Settle};
use nemo_projections::hold::Ask;
use nemo_projections::org::Standing;
use nemo_store::{EmbeddedStore, embedded};
use uuid::Uuid;

/// Calls that are timed, one after the other.
const TIMED: usize = 500;
const AT_ONCE: usize = 64;
/// Tokens in, and out at most; each costs 1,000 nano-dollars, and every call uses all that it holds.
const SMALL: u64 = 100;
const LARGE: u64 = 40 * SMALL;
/// So many calls in a row are refused before the org is taken to be used up.
const REFUSED: usize = 20;

fn main() {
    let keys = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(10_000_usize);
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run(keys));
}

async fn run(keys: usize) {
    let home = tempfile::tempdir().unwrap();
    let bench = Bench::open(home.path()).await;
    bench.has_keys(keys).await;
    report("no budget of the org", &bench.timed(0..TIMED, SMALL).await);

    // Nine calls of each key, and as much as ten small ones on top: most of the rest goes out and stays idle.
    let limit = 2_000 * SMALL as i64 * (9 * keys as i64 + TIMED as i64 + 10);
    let began = Instant::now();
    bench.set_budget(limit).await;
    println!("what {keys} keys spent before is counted: {:.2?}", began.elapsed());
    report("a key's first call: the org allots", &bench.timed(0..TIMED, SMALL).await);
    report("later calls: the slice suffices", &bench.timed(0..TIMED, SMALL).await);
    let began = Instant::now();
    let calls = stream::iter(TIMED..keys).map(|n| bench.call(n, SMALL)).buffer_unordered(AT_ONCE);
    assert!(calls.all(async |called| called.is_ok()).await, "a key starves while money is free");
    println!("every key's first call, {AT_ONCE} at once: {:.2?}", began.elapsed());
    bench.tell_room().await;

    let mut taken_back = Vec::new();
    let mut refused = Vec::new();
    for n in (0..keys).cycle() {
        let began = Instant::now();
        match bench.call(n, LARGE).await {
            Ok(()) => taken_back.push(began.elapsed()),
            Err(Refusal::BudgetHeld(_) | Refusal::BudgetExceeded(_)) => refused.push(began.elapsed()),
            Err(refusal) => panic!("{refusal}"),
        }
        if taken_back.len() >= TIMED || refused.len() >= REFUSED {
            break;
        }
    }
    report("calls of 40 times the size: from the org while it has any, then from other keys", &taken_back);
    println!("  of these refused: {}", refused.len());
    bench.tell_room().await;
    bench.spend_all(keys).await;
}

struct Bench {
    ledger: Arc<Ledger>,
    card: Arc<PriceCard>,
    card_id: PriceCardId,
}

impl Bench {
    async fn open(data: &std::path::Path) -> Self {
        let options = LedgerOptions {
            store: Arc::new(EmbeddedStore::open(data, embedded::Options::default()).unwrap()),
            clock: Arc::new(SystemClock),
            node: "bench".parse().unwrap(),
            accounts_max_bytes: 1 << 30,
            snapshots: Arc::new(NoSnapshots),
        };
        let ledger = Ledger::unread(options);
        ledger.read().await.unwrap();
        tokio::spawn(Arc::clone(&ledger).follow_alone());
        let card = Arc::new(card());
        let card_id = card.id().unwrap();
        ledger.publish(card_id, &card).await.unwrap();
        let found = CreateOrg { name: "bench".to_owned(), limits: OrgLimits::default() };
        ledger.manage_org(org(), found, Context::system()).await.unwrap();
        Self { ledger, card, card_id }
    }

    async fn has_keys(&self, keys: usize) {
        let made = stream::iter(0..keys).map(async |n| {
            let create = Create {
                org: org(),
                standing: Standing::Active,
                labels: Labels { name: format!("job {n}"), ..Labels::default() },
                limits: KeyLimits { unlimited: true, ..KeyLimits::default() },
                bounds: None,
                secret: secret(),
            };
            self.ledger.manage_key(key(n), create, Context::system()).await.unwrap();
        });
        made.buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn set_budget(&self, limit: i64) {
        let limit = Nanos::from_nanos(limit);
        let budgets = vec![Budget { window: WindowKind::Total, limit, alert_at_percent: None }];
        let set = self.ledger.set_org_budgets(org(), budgets, Context::system()).await.unwrap();
        assert!(set.answer.is_counted);
    }

    async fn timed(&self, keys: std::ops::Range<usize>, tokens: u64) -> Vec<Duration> {
        let mut times = Vec::new();
        for n in keys {
            let began = Instant::now();
            self.call(n, tokens).await.unwrap();
            times.push(began.elapsed());
        }
        times
    }

    /// A call from leave to end; waits, as a caller does, for what is on its way to the org.
    async fn call(&self, n: usize, tokens: u64) -> Result<(), Refusal> {
        let account = self.ledger.key(key(n)).await.unwrap();
        let id = Uuid::now_v7();
        let org = self.ledger.org_view(Some(org())).await.unwrap();
        let command = Authorize {
            call: CallId::from_uuid(id),
            request: RequestId::from_uuid(id),
            attempt: 1,
            presented: PresentedSecret { digests: vec![("p-1".parse().unwrap(), Digest::of(b"secret"))] },
            org,
            address: [127, 0, 0, 1].into(),
            client: Client { address: Some("127.0.0.1".into()), user_agent: None },
            endpoint: Endpoint::ChatCompletions,
            model: "bench".into(),
            priced: Ok(Priced {
                provider: "bench".into(),
                provider_model: "bench".into(),
                card_id: self.card_id,
                card: Arc::clone(&self.card),
            }),
            ask: Ask {
                input_tokens: tokens,
                basis: BoundBasis::Bytes,
                output_limit: Some(tokens),
                choices: 1,
            },
            deadline_secs: 600,
            tags: Vec::new(),
            streams: false,
            hidden_output: false,
            once: Vec::new(),
        };
        let authorized = match self.ledger.authorize(&account, command).await {
            Ok(authorized) => authorized,
            Err(ExecuteError::Refused(refusal)) => return Err(refusal),
            Err(error) => panic!("{error}"),
        };
        let settle = Settle {
            call: CallId::from_uuid(id),
            card: Arc::clone(&self.card),
            usage: Usage { input: tokens, output: tokens, ..Usage::default() },
            evidence: Evidence::Reported,
            ending: Ending::Completed,
            provider_request: None,
            status: Some(200),
            first_byte_ms: Some(1),
            duration_ms: 2,
        };
        authorized.settle(settle).await.unwrap();
        Ok(())
    }

    /// One key after another spends what there is, in ever smaller calls: none is told that money is spent while
    /// there is any.
    async fn spend_all(&self, keys: usize) {
        let (mut made, mut held, began) = (0, 0, Instant::now());
        let mut last = Vec::new();
        for n in (0..keys).cycle() {
            let asked = Instant::now();
            match self.call(n, 16 * LARGE).await {
                Ok(()) => made += 1,
                Err(Refusal::BudgetHeld(_)) => {
                    held += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(Refusal::BudgetExceeded(_)) => {
                    last.push(asked.elapsed());
                    if last.len() >= TIMED {
                        break;
                    }
                }
                Err(refusal) => panic!("{refusal}"),
            }
        }
        println!(
            "then {made} calls of 640 times the size, {held} times told to wait: {:.2?}",
            began.elapsed()
        );
        report("refused as spent", &last);
        let answer = self.ledger.org_budgets(org()).await.unwrap();
        let room = answer.room[0];
        let left = room.idle.as_nanos() + room.free.as_nanos();
        let needed = 2_000 * 16 * LARGE as i64;
        assert!(left < needed, "refused while {left} of {needed} nano-dollars are there");
        println!("left: {left} nano-dollars, of which one more call would need {needed}");
    }

    async fn tell_room(&self) {
        let answer = self.ledger.org_budgets(org()).await.unwrap();
        let room = answer.room[0];
        let share = |part: Nanos| part.as_nanos() * 100 / room.limit.as_nanos();
        println!(
            "  the org's budget: {} % spent, {} % idle with keys, {} % free",
            share(room.spent),
            share(room.idle),
            share(room.free)
        );
    }
}

fn report(what: &str, times: &[Duration]) {
    let mut times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    if times.is_empty() {
        return println!("{what}: none");
    }
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{what}: {:.2} ms (99th percentile {:.2} ms; {} calls)", at(50), at(99), times.len());
}

fn org() -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(1))
}

fn key(n: usize) -> KeyId {
    KeyId::from_digits(&format!("{n:011}")).unwrap()
}

fn secret() -> KeySecret {
    let (digest, pepper) = (Digest::of(b"secret"), "p-1".parse().unwrap());
    KeySecret { version: 1, digest, pepper, last_four: "a1b2".into() }
}

fn card() -> PriceCard {
    PriceCard {
        provider: "bench".into(),
        model: "bench".into(),
        rates: Rates { input: "1".parse().unwrap(), output: "1".parse().unwrap(), ..Rates::default() },
        tiers: Vec::new(),
        context_window: 10_000_000,
        max_output_tokens: 1_000_000,
        reasoning: false,
        tokenizer: None,
        source: "bench".into(),
    }
}
