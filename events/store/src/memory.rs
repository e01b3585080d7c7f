//! An event store in memory, for tests: the whole contract, and faults on demand.
//!
//! Nothing is kept beyond the process. Positions have gaps on purpose, so that a caller who takes
//! them for anything but opaque is found out.

mod faults;
mod state;

pub use faults::{Fault, Faults};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nemo_events::{EventRecord, Position, Revision, Sealed, StreamName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::append::check;
use crate::follow::{Follower, Source};
use crate::{AppendError, Direction, EventStore, Expected, ReadError, Subscription};
use state::State;

/// Events in one subscription page: few, so that tests see page borders.
const FOLLOW_PAGE: usize = 3;

/// Keeps events in memory.
#[derive(Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    followers: TaskTracker,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    head: watch::Sender<Option<Position>>,
    faults: Faults,
}

impl MemoryStore {
    /// An empty store without faults.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            state: Mutex::new(State::default()),
            head: watch::Sender::new(None),
            faults: Faults::default(),
        };
        Self { shared: Arc::new(shared), followers: TaskTracker::new(), closing: CancellationToken::new() }
    }

    /// What can be made to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Commits what [`Fault::Late`] held back, in the order of arrival, as far as the streams have not
    /// moved on. Returns how many appends became visible.
    pub fn commit_late(&self) -> usize {
        let late = self.shared.faults.take_late();
        late.into_iter().filter(|(expected, events)| self.shared.commit(*expected, events).is_ok()).count()
    }

    fn open(&self) -> Result<(), ReadError> {
        if self.closing.is_cancelled() {
            return Err(ReadError::Unavailable("the store is closed".to_owned()));
        }
        self.shared.faults.check_read()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, expected: Expected, events: &[Sealed]) -> Result<Position, AppendError> {
        let mut state = self.state();
        let position = state.append(expected, events)?;
        self.head.send_replace(state.head());
        Ok(position)
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(&self, expected: Expected, events: Vec<Sealed>) -> Result<Position, AppendError> {
        check(expected, &events)?;
        self.shared.faults.pass_gate().await;
        if self.closing.is_cancelled() {
            return Err(AppendError::Unavailable("the store is closed".to_owned()));
        }
        match self.shared.faults.next_append()? {
            None => self.shared.commit(expected, &events),
            Some(Fault::Conflict) => Err(AppendError::Conflict),
            Some(Fault::NotWritten) => Err(AppendError::Unknown("the request was lost".to_owned())),
            Some(Fault::Written) => {
                self.shared.commit(expected, &events)?;
                Err(AppendError::Unknown("the answer was lost".to_owned()))
            }
            Some(Fault::Late) => {
                self.shared.faults.hold_back(expected, events);
                Err(AppendError::Unknown("the answer is late".to_owned()))
            }
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        self.open()?;
        Ok(self.shared.state().read_stream(stream, from, direction, limit))
    }

    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        self.open()?;
        Ok(self.shared.state().read_all(after, limit))
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        self.open()?;
        Ok(self.shared.state().head())
    }

    async fn subscribe_all(&self, after: Option<Position>) -> Result<Subscription, ReadError> {
        self.open()?;
        let (subscriber, subscription) = Subscription::channel();
        let follower = Follower {
            source: Pages { shared: Arc::clone(&self.shared), last: Mutex::new(Vec::new()) },
            after,
            head: self.shared.head.subscribe(),
            closing: self.closing.clone(),
            subscriber,
        };
        self.followers.spawn(follower.run());
        Ok(subscription)
    }

    async fn close(&self) {
        self.closing.cancel();
        self.shared.faults.release_appends();
        self.followers.close();
        self.followers.wait().await;
    }
}

/// Where one subscription reads, with the page that [`Faults::deliver_twice`] repeats.
struct Pages {
    shared: Arc<Shared>,
    last: Mutex<Vec<EventRecord>>,
}

#[async_trait]
impl Source for Pages {
    async fn page(&self, after: Option<Position>) -> Result<Vec<EventRecord>, ReadError> {
        self.shared.faults.check_read()?;
        let fresh = self.shared.state().read_all(after, FOLLOW_PAGE);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, fresh.clone());
        if self.shared.faults.delivers_twice() { Ok([before, fresh].concat()) } else { Ok(fresh) }
    }
}

#[cfg(test)]
mod tests;
