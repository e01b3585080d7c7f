//! One ledger through many kills: load, kill, start again, look.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nemo_events::StreamName;
use nemo_store::embedded::Options;
use nemo_store::{EmbeddedStore, EventStore, MAX_PAGE};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::books::{KeyBook, audit};
use super::kill::{Kill, Stage};
use super::load::{Bench, Load, Managed, OUTPUT_LIMIT, STEPS};
use crate::concurrency::account::{Account, Broken, Promise};
use crate::fake_provider::{At, Behaviour, ChatRequest, How};
use crate::harness::{Answer, Exited, Key, Nemo, Setup, until};

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
const ATTEMPTS: usize = 12;

/// A ledger, its provider, and all that is known of it from outside.
pub(super) struct Series {
    nemo: Nemo,
    crash_at: PathBuf,
    random: StdRng,
    limit: String,
    keys: Vec<Key>,
    markers: Arc<AtomicU64>,
    books: HashMap<String, KeyBook>,
    managed: Vec<Managed>,
    /// Requests of the provider that were looked at.
    looked_at: usize,
    kills: BTreeMap<Kill, usize>,
    broken: Vec<Broken>,
    _home: TempDir,
}

/// What was in the ledger in the end, and what callers were told meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Ledger {
    keys: usize,
    events: usize,
    calls: usize,
    /// Calls that were open in a crash.
    orphaned: usize,
    /// Answers that arrived to their last byte.
    whole: usize,
    /// Calls that a budget refused.
    refused: usize,
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ledger { keys, events, calls, orphaned, whole, refused } = self;
        write!(f, "{events} events of {keys} keys; {calls} calls, {orphaned} of them open in a crash, ")?;
        write!(f, "{whole} whole answers; {refused} more were refused")
    }
}

/// Its life.
impl Series {
    /// Starts on a new ledger, with a promise broken on purpose or not.
    pub(super) async fn start(seed: u64, mutation: Option<&str>) -> Series {
        let home = tempfile::tempdir().unwrap();
        let crash_at = home.path().join("crash-at");
        std::fs::write(&crash_at, "").unwrap();
        let setup = Setup::default().env("NEMO_CRASH_AT", &format!("@{}", crash_at.display()));
        let setup = mutation.map_or(setup.clone(), |mutation| setup.env("NEMO_MUTATION", mutation));
        let nemo = setup.start().await;
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
        let killer = match kill {
            Kill::Inside(place) => {
                self.arm(place, nth);
                None
            }
            Kill::Provider(stage) => Some(self.killer_at(stage, nth)),
            Kill::AnyTime | Kill::Recovering => {
                let moment = Duration::from_micros(self.random.random_range(0..60_000));
                Some(self.killer_after(moment))
            }
        };
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
        if !by_itself {
            self.nemo.signal(Signal::KILL);
        }
        killed(&self.nemo.until_exit().await);
        if kill == Kill::Recovering { self.kill_again().await } else { by_itself || by_us }
    }

    /// Starts it again in the same directory and waits until no call is open.
    pub(super) async fn recover(&mut self) {
        self.nemo.restart().await;
        for key in &self.keys {
            let idle = || async { (key.shown().await["open_calls"]["count"] == 0).then_some(()) };
            until("no call is open after a crash", idle).await;
        }
        self.nemo.provider().until_settled().await.unwrap();
    }

    /// Looks at the keys in use, and replaces those that are used up.
    pub(super) async fn check(&mut self) {
        self.look_at_provider();
        let bill = self.nemo.provider().bill().by_user();
        let mut used_up = Vec::new();
        for (at, key) in self.keys.iter().enumerate() {
            let account = Account::of(&key.events().await);
            let book = &self.books[key.id()];
            self.broken.extend(audit(book, &account, &bill));
            if key.charged().await != account.settled {
                let what = format!(
                    "{} is charged {}, its events say {}",
                    key.id(),
                    key.charged().await,
                    account.settled
                );
                self.broken.push(Broken(Promise::Truth, what));
            }
            if book.told.iter().any(|told| told.code.as_deref() == Some("budget_exceeded")) {
                used_up.push(at);
            }
        }
        for managed in std::mem::take(&mut self.managed) {
            self.check_managed(&managed).await;
        }
        self.replace(used_up).await;
    }

    /// What did not hold so far.
    pub(super) fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// How often it was killed where.
    pub(super) fn kills(&self) -> BTreeMap<Kill, usize> {
        self.kills.clone()
    }

    /// Kills it for good, verifies what is on disk, and looks at every key that ever was.
    pub(super) async fn close(&mut self) -> Ledger {
        self.nemo.kill9().await;
        let mut verify = Command::new(env!("CARGO_BIN_EXE_nemo"));
        let verified =
            verify.args(["ledger", "verify", "--data-dir"]).arg(self.nemo.data()).output().unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let (accounts, events) = accounts_on_disk(&self.nemo).await;
        let bill = self.nemo.provider().bill().by_user();
        for (id, book) in &self.books {
            self.broken.extend(audit(book, &accounts[id], &bill));
        }
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
        let calls = || accounts.values().flat_map(|account| account.calls.values());
        let told = || self.books.values().flat_map(|book| &book.told);
        Ledger {
            keys: accounts.len(),
            events,
            calls: calls().count(),
            orphaned: calls().filter(|call| call.orphaned).count(),
            whole: told().filter(|told| told.whole).count(),
            refused: told().filter(|told| matches!(told.status, Some(402 | 429))).count(),
        }
    }
}

/// Killing.
impl Series {
    fn arm(&self, place: &str, nth: usize) {
        self.crash_at(&format!("{place}:{nth}"));
    }

    fn disarm(&self) {
        self.crash_at("");
    }

    /// At once, so that nobody reads half of it.
    fn crash_at(&self, text: &str) {
        let new = self.crash_at.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &self.crash_at).unwrap();
    }

    fn killer_at(&self, stage: Stage, nth: usize) -> JoinHandle<()> {
        let (nemo, mut phases) = (self.nemo.clone(), self.nemo.provider().on_phase());
        tokio::spawn(async move {
            let mut left = nth;
            while left > 0 {
                if phases.recv().await.is_ok_and(|reached| stage.is(reached.phase)) {
                    left -= 1;
                }
            }
            nemo.signal(Signal::KILL);
        })
    }

    fn killer_after(&self, moment: Duration) -> JoinHandle<()> {
        let nemo = self.nemo.clone();
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            nemo.signal(Signal::KILL);
        })
    }

    /// Starts it and kills it while it starts, or while it ends calls that were left open; whether that came
    /// to be.
    async fn kill_again(&mut self) -> bool {
        let places = ["before-append", "group-commit", "group-committed", "after-append"];
        let place = places[self.random.random_range(0..places.len())];
        let nth = self.random.random_range(1..=4);
        self.arm(place, nth);
        let killed_there = match self.nemo.try_restart().await {
            Err(exited) => {
                killed(&exited);
                true
            }
            Ok(()) => {
                let died = until("it died or has recovered", || self.died_recovering()).await;
                if !died {
                    self.nemo.signal(Signal::KILL);
                }
                killed(&self.nemo.until_exit().await);
                died
            }
        };
        self.disarm();
        killed_there
    }

    /// `Some(false)` once no call is open.
    async fn died_recovering(&self) -> Option<bool> {
        for key in &self.keys {
            let request =
                self.nemo.http().get(self.nemo.url(&key.path(""))).bearer_auth(self.nemo.master_key());
            let Ok(response) = request.send().await else { return Some(true) };
            let Ok(shown) = response.json::<Value>().await else { return Some(true) };
            if shown["key"]["open_calls"]["count"] != 0 {
                return None;
            }
        }
        Some(false)
    }
}

/// Looking.
impl Series {
    fn remember(&mut self, load: Load) {
        let first = self.books.get_mut(self.keys[0].id()).unwrap();
        first.relabelled.0 += load.relabelled.0;
        first.relabelled.1 += load.relabelled.1;
        for told in load.told {
            self.books.get_mut(&told.key).unwrap().told.push(told);
        }
        self.managed.extend(load.managed);
    }

    fn look_at_provider(&mut self) {
        let requests = self.nemo.provider().requests();
        for request in &requests[self.looked_at..] {
            let marker = request.json()["user"].as_str().unwrap().to_owned();
            let key = marker.split('/').next().unwrap();
            self.books.get_mut(key).unwrap().seen.push(marker);
        }
        self.looked_at = requests.len();
    }

    /// What was acknowledged is there, in its order, and nothing but what was asked for.
    async fn check_managed(&mut self, managed: &Managed) {
        let (id, http) = (&managed.id, self.nemo.http());
        let told =
            self.nemo.manage(reqwest::Method::GET, &format!("/api/keys/{id}/events"), Value::Null).await;
        let events = if told.status == 200 { told.json()["events"].take() } else { json!([]) };
        let kinds: Vec<&str> =
            events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        let known =
            (managed.acknowledged..=managed.asked).contains(&kinds.len()) && STEPS.starts_with(&kinds);
        let answer = Answer::of(http.get(self.nemo.url("/v1/key")).bearer_auth(&managed.secret)).await;
        let expected = if kinds.len() == STEPS.len() { 401 } else { 200 };
        if !known || answer.status != expected {
            let what = format!("{managed:?}: {kinds:?}, and its key gets {}", answer.status);
            self.broken.push(Broken(Promise::Truth, what));
        }
    }

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

/// Mostly a good answer that takes some time; of ten calls one bills the whole hold, one fails, one breaks off.
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

/// Every key's account, by id, folded from the store's own bytes; and how many events there are in all.
async fn accounts_on_disk(nemo: &Nemo) -> (HashMap<String, Account>, usize) {
    let store = EmbeddedStore::open(&nemo.data(), Options::default()).unwrap();
    let (mut accounts, mut after, mut events) = (HashMap::<String, Account>::new(), None, 0);
    loop {
        let page = store.read_all(after, MAX_PAGE).await.unwrap();
        let Some(last) = page.last() else { break };
        (after, events) = (Some(last.position), events + page.len());
        for event in page.iter().map(|record| &record.event) {
            if let StreamName::Key(id) = event.stream {
                let data = serde_json::from_slice(&event.data).unwrap();
                accounts.entry(id.to_string()).or_default().take(&event.event_type, &data);
            }
        }
    }
    store.close().await;
    (accounts, events)
}
