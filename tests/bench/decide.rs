//! How long a call takes in memory: authorised and settled, decided, folded, and sealed into the chain.
//! `cargo bench --bench decide`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use nemo_events::key::{BoundBasis, Client, Ending, Evidence, KeyCreated, KeySecret, Labels};
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WindowKind};
use nemo_events::price::{PriceCard, Rates};
use nemo_events::{
    CallId, Digest, KeyEvent, Nanos, OrgId, RequestId, Sealed, StreamHead, StreamName, Timestamp, Usage,
};
use nemo_projections::decide::{Authorize, KeyCommand, PresentedSecret, Priced, Settle};
use nemo_projections::hold::Ask;
use nemo_projections::org::Standing;
use nemo_projections::{At, KeyState};
use uuid::Uuid;

const CALLS: u32 = 200_000;
const ROUNDS: usize = 5;

fn main() {
    let mut medians = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        medians[0].push(run(false));
        medians[1].push(run(true));
    }
    for (name, times) in ["decided and folded", "decided, folded and sealed"].iter().zip(&mut medians) {
        times.sort_by(f64::total_cmp);
        println!(
            "authorize + settle, {name}: {:.2} µs a call (median of {ROUNDS} × {CALLS})",
            times[ROUNDS / 2]
        );
    }
}

struct Bench {
    state: Option<KeyState>,
    head: StreamHead,
    seal: bool,
}

impl Bench {
    fn take(&mut self, events: &[KeyEvent], now: Timestamp) {
        for event in events {
            let revision = self.head.next_revision();
            KeyState::evolve(&mut self.state, event, At { revision, time: now }).unwrap();
            if self.seal {
                let sealed = Sealed {
                    stream: StreamName::Key("0123456789A".parse().unwrap()),
                    revision,
                    id: nemo_events::EventId::from_uuid(Uuid::now_v7()),
                    event_type: event.type_name().into(),
                    version: event.version(),
                    recorded_at: now,
                    data: event.encode().unwrap().into(),
                    metadata: bytes::Bytes::from_static(
                        b"{\"actor\":{\"kind\":\"system\"},\"node\":\"node-1\"}",
                    ),
                    prev_hash: self.head.hash,
                    hash: Digest::ZERO,
                };
                self.head = black_box(sealed.with_hash()).head();
            } else {
                self.head.revision = Some(revision);
            }
        }
    }
}

fn run(seal: bool) -> f64 {
    let start = Timestamp::from_micros(1_790_000_000_000_000);
    let mut bench = Bench { state: None, head: StreamHead::EMPTY, seal };
    bench.take(&[created().into()], start);
    let card = Arc::new(card());
    let card_id = card.id().unwrap();
    let begun = Instant::now();
    for n in 0..CALLS {
        let now = start.plus_secs(i64::from(n) / 1_000);
        let authorize = authorize(n, &card, card_id);
        let events = authorize.decide(bench.state.as_ref(), now).unwrap();
        bench.take(&events, now);
        let settle = settle(authorize.call, &card);
        let events = settle.decide(bench.state.as_ref(), now).unwrap();
        bench.take(&events, now);
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

fn created() -> KeyCreated {
    let budget = |window| Budget { window, limit: Nanos::from_nanos(i64::MAX / 4), alert_at_percent: None };
    KeyCreated {
        org: OrgId::from_uuid(Uuid::from_u128(1)),
        labels: Labels { name: "bench".into(), ..Labels::default() },
        limits: KeyLimits {
            budgets: WindowKind::ALL.into_iter().map(budget).collect(),
            requests_per_minute: Some(1_000_000_000),
            tokens_per_minute: Some(100_000_000_000),
            concurrent_calls: Some(100),
            models: Some(vec!["gpt-4o*".into()]),
            ..KeyLimits::default()
        },
        secret: KeySecret {
            version: 1,
            digest: Digest::of(b"secret"),
            pepper: "p-1".parse().unwrap(),
            last_four: "a1b2".into(),
        },
    }
}

fn card() -> PriceCard {
    PriceCard {
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        rates: Rates {
            input: "0.15".parse().unwrap(),
            output: "0.6".parse().unwrap(),
            cache_read: Some("0.075".parse().unwrap()),
            ..Rates::default()
        },
        tiers: Vec::new(),
        context_window: 128_000,
        max_output_tokens: 16_384,
        reasoning: false,
        tokenizer: None,
        source: "bench".into(),
    }
}

fn authorize(n: u32, card: &Arc<PriceCard>, card_id: nemo_events::PriceCardId) -> Authorize {
    Authorize {
        call: CallId::from_uuid(Uuid::from_u128(u128::from(n))),
        request: RequestId::from_uuid(Uuid::from_u128(u128::from(n))),
        attempt: 1,
        presented: PresentedSecret { digests: vec![("p-1".parse().unwrap(), Digest::of(b"secret"))] },
        org: Standing::Active.into(),
        address: [127, 0, 0, 1].into(),
        client: Client { address: Some("127.0.0.1".into()), user_agent: Some("OpenAI/Python 3.54.0".into()) },
        endpoint: Endpoint::ChatCompletions,
        model: "gpt-4o-mini".into(),
        priced: Ok(Priced {
            provider: "openai".into(),
            provider_model: "gpt-4o-mini".into(),
            card_id,
            card: Arc::clone(card),
        }),
        ask: Ask { input_tokens: 300, basis: BoundBasis::Bytes, output_limit: Some(500), choices: 1 },
        deadline_secs: 600,
        tags: Vec::new(),
        streams: false,
        hidden_output: false,
        once: Vec::new(),
    }
}

fn settle(call: CallId, card: &Arc<PriceCard>) -> Settle {
    Settle {
        call,
        card: Arc::clone(card),
        usage: Usage { input: 120, output: 80, ..Usage::default() },
        evidence: Evidence::Reported,
        ending: Ending::Completed,
        provider_request: Some("chatcmpl-0123456789".into()),
        status: Some(200),
        first_byte_ms: Some(300),
        duration_ms: 900,
    }
}
