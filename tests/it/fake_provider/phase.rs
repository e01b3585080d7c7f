//! The stages of answering a request: announced to whoever listens, and places where a test can hold requests
//! until it says so, in place of sleeping.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Instant;

use tokio::sync::oneshot;

use super::lock;

/// A stage of answering one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// The request is fully read (and on the bill, if it is billed); nothing is answered yet.
    Received,
    /// The response head is sent; nothing of the body.
    FirstByte,
    /// That many chunks are sent (1 is a stream's role chunk; a body comes in two halves). Not for the last
    /// one.
    MidStream(usize),
    /// Everything is sent but the last chunk (`[DONE]` of a stream, the second half of a body).
    BeforeLast,
    /// Everything is sent.
    LastByte,
    /// The answer is about to break off, as scripted.
    BrokeOff,
    /// The client hung up before everything was sent.
    HungUp,
}

/// One request reached one phase.
#[derive(Clone, Debug)]
pub(crate) struct PhaseReached {
    /// Index of the request in `FakeProvider::requests`.
    pub(crate) request: u64,
    /// The `user` member of its body.
    pub(crate) user: Option<String>,
    /// The phase.
    pub(crate) phase: Phase,
    /// When.
    pub(crate) at: Instant,
}

/// Phases at which requests are held, and the requests that wait there.
#[derive(Debug, Default)]
pub(super) struct Gates {
    shut: Mutex<HashMap<Phase, BTreeMap<u64, oneshot::Sender<()>>>>,
}

impl Gates {
    pub(super) fn shut(&self, phase: Phase) {
        lock(&self.shut).entry(phase).or_default();
    }

    /// Opens all gates: what waits goes on (its sender is dropped), what comes later is not held.
    pub(super) fn open(&self) {
        lock(&self.shut).clear();
    }

    /// Lets the oldest request that waits there go on; the gate stays shut.
    pub(super) fn let_one_pass(&self, phase: Phase) -> Option<u64> {
        let (request, _released) = lock(&self.shut).get_mut(&phase)?.pop_first()?;
        Some(request)
    }

    /// The requests that wait there, oldest first.
    pub(super) fn waiting(&self, phase: Phase) -> Vec<u64> {
        lock(&self.shut).get(&phase).map(|waiting| waiting.keys().copied().collect()).unwrap_or_default()
    }

    /// Something to wait for, if the gate is shut.
    pub(super) fn enter(&self, phase: Phase, request: u64) -> Option<oneshot::Receiver<()>> {
        let (release, released) = oneshot::channel();
        lock(&self.shut).get_mut(&phase)?.insert(request, release);
        Some(released)
    }

    /// A request that hung up no longer waits.
    pub(super) fn leave(&self, phase: Phase, request: u64) {
        if let Some(waiting) = lock(&self.shut).get_mut(&phase) {
            waiting.remove(&request);
        }
    }
}
