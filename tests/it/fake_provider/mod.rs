//! An OpenAI-compatible chat provider over real sockets, for tests: it misbehaves on demand, down to the
//! byte, and keeps its own bill by its own arithmetic. It must not use any crate of Nemo, being what Nemo is
//! checked against; a dropped connection must never panic it. It runs on threads of its own, in the test
//! process: a test that blocks does not stop it, and a killed gateway leaves its bill intact.
//!
//! Map: `behaviour` what to do with a request · `script` which request gets which · `request` what was seen ·
//! `work` tokens really produced · `answer`, `stream` bytes that say so · `serve` a connection's life ·
//! `peer` its socket · `phase` stages to watch and hold · `bill` prices and amounts · `listener` the port.
//!
//! ```ignore
//! let provider = FakeProvider::start().await;
//! provider.set_price("gpt-test", UsdPerMillion { input: "2.50", cached: "1.25", output: "10" });
//! provider.script_next([Behaviour::error(500), Behaviour::success(100, 20).breaks(At::Chunk(3), How::Reset)]);
//! // … two requests through the gateway at provider.base_url(), with provider.key() …
//! assert_eq!(provider.bill().total(), 100 * 2_500 + 10 * 10_000);
//! ```
#![allow(dead_code, reason = "a vocabulary for tests: not every build of the test binary uses every word")]

mod answer;
mod behaviour;
mod bill;
mod listener;
mod peer;
mod phase;
mod request;
mod script;
mod serve;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod work;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::broadcast;

pub(crate) use behaviour::{At, Behaviour, How, Report};
#[allow(unused_imports, reason = "for tests that name the type")]
pub(crate) use bill::{Bill, BilledCall, Ending, UsdPerMillion};
pub(crate) use phase::{Phase, PhaseReached};
pub(crate) use request::{ChatRequest, SeenRequest};

use bill::Rates;
use listener::{Listening, Port};
use state::State;

/// How long the waiting methods wait before they give up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A condition that did not come true within ten seconds.
#[derive(Debug)]
pub(crate) struct TimedOut {
    /// What was waited for.
    pub(crate) what: String,
    /// How many requests the provider had seen by then.
    pub(crate) requests: usize,
}

/// A provider that listens on a loopback port until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct FakeProvider {
    state: Arc<State>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    runtime: Runtime,
    port: Port,
    listening: Option<Listening>,
}

/// Starting, stopping, being down.
impl FakeProvider {
    /// The provider key that is accepted unless `accept_keys` says otherwise.
    pub(crate) const KEY: &str = "sk-fake-provider-key-0123456789abcdef";

    /// Starts on a free port of 127.0.0.1.
    pub(crate) async fn start() -> FakeProvider {
        FakeProvider::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts on this address, waiting a while for it to become free. A new provider: empty bill, no prices.
    pub(crate) async fn start_on(address: SocketAddr) -> FakeProvider {
        let port = or_fail("reserve its port", Port::reserve(address).await);
        let state = Arc::new(State::new(port.address(), FakeProvider::KEY));
        let runtime = or_fail("start its threads", runtime());
        let running = Mutex::new(Some(Running { runtime, port, listening: None }));
        let provider = FakeProvider { state, running };
        provider.resume();
        provider
    }

    /// Refuses connections from now on (ECONNREFUSED), keeping the port. Idle connections are closed before
    /// this returns, busy ones after their answer.
    pub(crate) fn refuse(&self) {
        self.state.refusing.send_replace(true);
        if let Some(running) = lock(&self.running).as_mut() {
            drop(running.listening.take());
        }
        listener::wait_until(|| self.state.idle.get() == 0);
    }

    /// Listens again, on the same port.
    pub(crate) fn resume(&self) {
        self.state.refusing.send_replace(false);
        if let Some(running) = lock(&self.running).as_mut() {
            let listening = running.port.listen(&running.runtime, &self.state);
            running.listening = Some(or_fail("listen", listening));
        }
    }

    /// Closes the listener and all connections; when this returns they are closed. Bill and requests stay
    /// readable.
    pub(crate) fn stop(&self) {
        let Some(Running { runtime, port, listening }) = lock(&self.running).take() else { return };
        drop(listening);
        // A runtime may not be shut down on a thread that drives another one.
        let stopping = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
        drop(stopping.join());
        drop(port);
        self.state.tick();
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.state.address
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub(crate) fn base_url(&self) -> String {
        self.state.base_url()
    }

    /// The provider key to configure in the gateway.
    pub(crate) fn key(&self) -> String {
        lock(&self.state.keys).first().cloned().unwrap_or_default()
    }

    /// Accepts these provider keys and no others (401).
    pub(crate) fn accept_keys(&self, keys: impl IntoIterator<Item = impl Into<String>>) {
        *lock(&self.state.keys) = keys.into_iter().map(Into::into).collect();
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What it shall do.
impl FakeProvider {
    /// The behaviour of every following chat request that no queued one is left for.
    pub(crate) fn script(&self, behaviour: Behaviour) {
        self.state.script.always(behaviour);
    }

    /// As `script`, chosen by the test from the request (its `user`, say); not for `At::Accept` and
    /// `At::Unread`.
    pub(crate) fn script_by(&self, choose: impl Fn(&ChatRequest) -> Behaviour + Send + Sync + 'static) {
        self.state.script.by(Arc::new(choose));
    }

    /// Queues behaviours: one per chat request that passes validation (401, 400, 404 take none), in order of
    /// arrival.
    pub(crate) fn script_next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.state.script.queue(behaviours);
    }

    /// Has this model at this price (from the next request on). A model without a price does not exist: 404.
    pub(crate) fn set_price(&self, model: &str, price: UsdPerMillion<'_>) {
        self.state.books.set_price(Some(model), rates(price));
    }

    /// Has every model, at this price unless `set_price` says otherwise.
    pub(crate) fn set_price_of_others(&self, price: UsdPerMillion<'_>) {
        self.state.books.set_price(None, rates(price));
    }

    /// Holds each request that reaches this phase, just when it is announced, until `release`. Several phases
    /// may be held; not `LastByte`, `BrokeOff` and `HungUp`. A held request still notices that its client
    /// hangs up.
    pub(crate) fn hold_at(&self, phase: Phase) {
        self.state.gates.shut(phase);
    }

    /// Ends all holds.
    pub(crate) fn release(&self) {
        self.state.gates.open();
    }

    /// Lets the oldest request that is held at this phase go on, and keeps holding the others; which one it
    /// was.
    pub(crate) fn release_one(&self, phase: Phase) -> Option<u64> {
        self.state.gates.let_one_pass(phase)
    }
}

/// What it saw and did.
impl FakeProvider {
    /// Every request that was fully read, in order, whatever was answered.
    pub(crate) fn requests(&self) -> Vec<Arc<SeenRequest>> {
        self.state.requests()
    }

    /// How many there are.
    pub(crate) fn request_count(&self) -> usize {
        self.state.request_count()
    }

    /// The bill as of now, calls in progress included.
    pub(crate) fn bill(&self) -> Bill {
        self.state.books.bill()
    }

    /// `bill().total()` in nano-dollars, without copying the bill.
    pub(crate) fn billed_nanos(&self) -> i128 {
        self.state.books.total()
    }

    /// How often somebody followed one of its redirects. Each is a request too, and an honest, billed answer.
    pub(crate) fn redirects_followed(&self) -> u64 {
        self.state.redirects_followed.load(Ordering::SeqCst)
    }

    /// How many connections were accepted so far.
    pub(crate) fn connections_accepted(&self) -> u64 {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub(crate) fn connections_open(&self) -> usize {
        self.state.open.get()
    }

    /// The requests held at this phase, oldest first.
    pub(crate) fn held_at(&self, phase: Phase) -> Vec<u64> {
        self.state.gates.waiting(phase)
    }

    /// Every phase of every request from now on. Holds 4096; a receiver that falls further behind gets
    /// `Lagged`.
    pub(crate) fn on_phase(&self) -> broadcast::Receiver<PhaseReached> {
        self.state.phases.subscribe()
    }

    /// Waits until this is true of the provider; it is asked again whenever something has changed.
    pub(crate) async fn until(
        &self,
        what: &str,
        condition: impl Fn(&FakeProvider) -> bool,
    ) -> Result<(), TimedOut> {
        let mut changed = self.state.changed.subscribe();
        let wait = async {
            while !condition(self) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.map_err(|_| TimedOut { what: what.to_owned(), requests: self.request_count() })
    }

    /// Waits until so many requests were read in full.
    pub(crate) async fn until_requests(&self, count: usize) -> Result<(), TimedOut> {
        self.until(&format!("{count} requests"), |provider| provider.request_count() >= count).await
    }

    /// Waits until so many requests are held at this phase; the requests.
    pub(crate) async fn until_held(&self, phase: Phase, count: usize) -> Result<Vec<u64>, TimedOut> {
        let what = format!("{count} requests held at {phase:?}");
        self.until(&what, |provider| provider.held_at(phase).len() >= count).await?;
        Ok(self.held_at(phase))
    }

    /// Waits until no call on the bill is running.
    pub(crate) async fn until_settled(&self) -> Result<Bill, TimedOut> {
        self.until("no call running", |provider| provider.bill().count(Ending::Running) == 0).await?;
        Ok(self.bill())
    }
}

fn runtime() -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("fake-provider").enable_all().build()
}

fn rates(price: UsdPerMillion<'_>) -> Rates {
    or_fail("understand its price", Rates::parse(price).ok_or(price))
}

/// The test cannot go on without this.
#[allow(clippy::panic, reason = "a test that cannot be set up fails")]
fn or_fail<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the fake provider could not {what}: {error:?}"),
    }
}

/// A panic of one test thread must not hide behind a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
