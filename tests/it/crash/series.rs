//! One ledger through many kills: load, kill (`strike`), start again, look (`look`).

mod look;
mod strike;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::books::KeyBook;
use super::kill::Kill;
use super::load::{Bench, Managed, OUTPUT_LIMIT};
use crate::concurrency::account::Broken;
use crate::fake_provider::{At, Behaviour, ChatRequest, How};
use crate::harness::{Exited, Key, Nemo, Setup, until};

/// Keys that are called at the same time.
const KEYS: usize = 4;
/// Calls in flight at most.
const CALLERS: [usize; 4] = [1, 6, 16, 32];
/// Calls that each caller makes, unless the program dies.
const CALLS: usize = 6;
/// Out of so many arrivals at a place, for each caller, one is the last.
const ARRIVALS: usize = 3;
/// Holds that a key's budget takes: used up after a few rounds.
const HOLDS: i128 = 40;
/// How often a place is tried before it counts as never reached.
const ATTEMPTS: usize = 24;

/// A ledger, its provider, and all that is known of it from outside.
pub(crate) struct Series {
    nemo: Nemo,
    crash_at: PathBuf,
    random: StdRng,
    limit: String,
    keys: Vec<Key>,
    markers: Arc<AtomicU64>,
    books: HashMap<String, KeyBook>,
    managed: Vec<Managed>,
    /// How many of them were looked at.
    managed_looked_at: usize,
    /// Requests of the provider that were looked at.
    looked_at: usize,
    kills: BTreeMap<Kill, usize>,
    broken: Vec<Broken>,
    _home: TempDir,
}

/// Its life.
impl Series {
    /// Starts on a new ledger, with a promise broken on purpose or not.
    pub(super) async fn start(seed: u64, mutation: Option<&str>) -> Series {
        let setup = Setup::default();
        let setup = mutation.map_or(setup.clone(), |mutation| setup.env("NEMO_MUTATION", mutation));
        Series::start_with(seed, setup).await
    }

    /// The same, set up in another way.
    pub(crate) async fn start_with(seed: u64, setup: Setup) -> Series {
        let home = tempfile::tempdir().unwrap();
        let crash_at = home.path().join("crash-at");
        std::fs::write(&crash_at, "").unwrap();
        let nemo = setup.env("NEMO_CRASH_AT", &format!("@{}", crash_at.display())).start().await;
        let (hold, input_tokens) = sample(&nemo).await;
        nemo.provider().script_by(move |request| behaviour(request, input_tokens));
        let limit = hold * HOLDS;
        let mut series = Series {
            looked_at: nemo.provider().request_count(),
            nemo,
            crash_at,
            random: StdRng::seed_from_u64(seed),
            limit: format!("{}.{:09}", limit / 1_000_000_000, limit % 1_000_000_000),
            keys: Vec::new(),
            markers: Arc::default(),
            books: HashMap::new(),
            managed: Vec::new(),
            managed_looked_at: 0,
            kills: BTreeMap::new(),
            broken: Vec::new(),
            _home: home,
        };
        series.refill().await;
        series
    }

    /// Kills it there under load, trying again where the load did not get there.
    pub(super) async fn kill_until_reached(&mut self, kill: Kill) {
        for _ in 0..ATTEMPTS {
            if self.kill_once(kill).await {
                *self.kills.entry(kill).or_default() += 1;
                return;
            }
            // The keys may have been the reason.
            self.recover().await;
            self.check().await;
            self.replace(0..KEYS).await;
        }
        panic!("a kill {kill} was never reached: is the program built with the feature failpoints?");
    }

    /// Puts a load on it and kills it there, or, if the load did not get there, at the end; whether it did.
    pub(super) async fn kill_once(&mut self, kill: Kill) -> bool {
        let callers = CALLERS[self.random.random_range(0..CALLERS.len())];
        let nth = self.random.random_range(1..=callers * ARRIVALS);
        let bench = Bench::of(&self.nemo, &self.keys, &self.markers).await;
        let killer = self.prepare(kill, nth);
        let load = bench.run(callers, CALLS).await;
        let by_itself = load.lost && killer.is_none();
        let by_us = match killer {
            None => false,
            Some(killer) => {
                // A killer that has not struck by now is late.
                killer.abort();
                killer.await.is_ok()
            }
        };
        self.remember(load);
        self.disarm();
        if kill == Kill::ServerOnly {
            return by_us;
        }
        if !by_itself {
            self.nemo.signal(Signal::KILL);
        }
        killed(&self.nemo.until_exit().await);
        if let Some(server) = self.nemo.server() {
            server.commit_late();
        }
        if kill == Kill::Recovering { self.kill_again().await } else { by_itself || by_us }
    }

    /// Puts a load on it while something happens that it outlives, and looks at everything afterwards.
    pub(crate) async fn live_through(&mut self, callers: usize, trouble: impl Future<Output = ()>) {
        let bench = Bench::of(&self.nemo, &self.keys, &self.markers).await;
        let (load, ()) = tokio::join!(bench.run(callers, CALLS), trouble);
        assert!(!load.lost, "the gateway broke a connection: {load:?}");
        self.remember(load);
        self.recover().await;
        self.check().await;
    }

    /// The gateway.
    pub(crate) fn nemo(&self) -> &Nemo {
        &self.nemo
    }

    /// Starts it again in the same directory, if it was killed, and waits until no call is open.
    pub(super) async fn recover(&mut self) {
        if self.nemo.has_ended() {
            self.nemo.restart().await;
        }
        self.nemo.until_ready().await;
        for key in &self.keys {
            let idle = || async { (key.shown().await["open_calls"]["count"] == 0).then_some(()) };
            until("no call is open after a crash", idle).await;
        }
        self.nemo.provider().until_settled().await.unwrap();
    }

    /// What did not hold so far.
    pub(crate) fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// How often it was killed where.
    pub(super) fn kills(&self) -> BTreeMap<Kill, usize> {
        self.kills.clone()
    }
}

/// Its keys.
impl Series {
    async fn replace(&mut self, used_up: impl IntoIterator<Item = usize>) {
        for at in used_up {
            self.keys[at] = self.new_key().await;
        }
    }

    async fn refill(&mut self) {
        while self.keys.len() < KEYS {
            let key = self.new_key().await;
            self.keys.push(key);
        }
    }

    async fn new_key(&mut self) -> Key {
        let key = self.nemo.key(json!({"budgets": [{"window": "total", "limit": self.limit}]})).await;
        self.books.insert(key.id().to_owned(), KeyBook::default());
        key
    }
}

/// What a call of this size holds, and for how many tokens in.
async fn sample(nemo: &Nemo) -> (i128, u64) {
    let key = nemo.rich_key().await;
    key.chat(json!({"max_tokens": OUTPUT_LIMIT, "user": format!("{}/{:08}", key.id(), 0)})).await.ok();
    let call = key.only_call().await;
    (call.hold(), call.authorized["hold"]["input_tokens"].as_u64().unwrap())
}

/// Mostly a good answer that takes some time; of ten calls one bills the whole hold, one fails, two break off.
/// Every second provider works to the end whether or not anybody listens.
fn behaviour(request: &ChatRequest, input_tokens: u64) -> Behaviour {
    let number =
        request.user.as_ref().and_then(|user| user.rsplit('/').next()?.parse::<u64>().ok()).unwrap_or(0);
    let good = Behaviour::success(9, 16);
    let behaviour = match number % 10 {
        0 => Behaviour::full_hold(input_tokens),
        1 => return Behaviour::error(500),
        2 => good.breaks(At::Chunk(1), How::Reset),
        3 => good.breaks(At::Read, How::Close),
        _ => good,
    };
    let behaviour = behaviour.each_chunk_after(Duration::from_millis(2));
    if number.is_multiple_of(2) { behaviour.finishes_unheard() } else { behaviour }
}

fn killed(exited: &Exited) {
    assert_eq!(exited.status.signal(), Some(Signal::KILL.as_raw()), "it ended by itself: {exited}");
}
