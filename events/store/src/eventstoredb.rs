//! The event store on EventStoreDB or KurrentDB, one node or a cluster, through the vendor's client.
//!
//! - A stream is called on the server as in the ledger, behind a prefix; data is the event's JSON, verbatim;
//!   the envelope is spliced into the metadata (`metadata`). Positions are the server's commit positions.
//! - Connecting never blocks and never gives up (`supervise`): until the server answers, and whenever
//!   it does not, everything is `Unavailable` at once. Every operation has a time limit of its own.
//!
//! Invariants:
//! - An append is answered `Ok` only after the server said that it is committed, or after it was found
//!   there. `Conflict`, `Unavailable` and `Invalid` are told only where it is certain that nothing was
//!   written; all else is `Unknown`.
//! - What was written is read back as it was, or the read fails: every event is checked against its hash,
//!   under the name and at the revision at which it was found; every page of a stream for density.
//! - Nothing of a connection that was given up is left behind (`link`).
//! - No text that leaves this module holds a password.
//!
//! What is particular about the client, kurrentdb 1.2.0, is told where it matters: `link`, `sessions`,
//! `tripwire`, `pulling`, `options`.

mod appending;
mod failure;
mod following;
mod heads;
mod link;
mod metadata;
mod names;
mod options;
mod pages;
mod pulling;
mod reading;
mod record;
mod sessions;
mod supervise;
mod tail;
mod tripwire;

pub use options::{Options, OptionsError, Tuning};

use std::sync::Arc;

use async_trait::async_trait;
use eventstore::Credentials;
use nemo_events::{EventRecord, Position, Revision, Sealed, StreamName};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::append::check;
use crate::{AppendError, Direction, EventStore, Expected, ReadError, Subscription};
use following::Follower;
use heads::Heads;
use link::Link;
use names::Names;
use supervise::Supervisor;
use tail::{Look, Tail};

/// Whether the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It does, as far as is known.
    Reachable,
    /// It does not; being tried again.
    Away {
        /// For people. Holds no password.
        why: String,
    },
    /// The store was closed.
    Closed,
}

/// Events on a server. See the module for what it promises.
#[derive(Debug)]
pub struct EventStoreDb {
    shared: Arc<Shared>,
    /// Supervisor and followers.
    tasks: TaskTracker,
    _ends_tasks: DropGuard,
}

/// What everything works with.
struct Shared {
    names: Names,
    login: Option<Credentials>,
    tuning: Tuning,
    state: watch::Sender<State>,
    heads: Heads,
    tail: Tail,
    /// From now on everything is refused.
    refusing: CancellationToken,
    /// What goes on of its own ends.
    closing: CancellationToken,
    /// Operations in flight.
    operations: TaskTracker,
}

/// The connection.
#[derive(Clone)]
enum State {
    Connecting,
    Up(Arc<Link>),
    Away(Arc<str>),
    Closed,
}

impl EventStoreDb {
    /// Starts to connect, and goes on in the background. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`OptionsError::NotAConnectionString`]; other faults of the options were told when they were made.
    pub fn connect(options: &Options) -> Result<Self, OptionsError> {
        let closing = CancellationToken::new();
        let shared = Arc::new(Shared {
            names: options.names().clone(),
            login: options.credentials(),
            tuning: options.tuning,
            state: watch::Sender::new(State::Connecting),
            heads: Heads::default(),
            tail: Tail::default(),
            refusing: CancellationToken::new(),
            closing: closing.clone(),
            operations: TaskTracker::new(),
        });
        let supervisor =
            Supervisor { shared: Arc::clone(&shared), settings: options.settings()?, hosts: options.hosts() };
        let tasks = TaskTracker::new();
        tasks.spawn(supervisor.run());
        Ok(Self { shared, tasks, _ends_tasks: closing.drop_guard() })
    }

    /// Whether the server answers now.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.shared.reach()
    }

    /// Waits until the server answers, or the store is closed.
    pub async fn reachable(&self) -> Reach {
        let mut state = self.shared.state.subscribe();
        // The sender is in `self`, so the channel cannot close while this waits.
        let _ = state.wait_for(|state| matches!(state, State::Up(_) | State::Closed)).await;
        self.reach()
    }
}

impl Shared {
    fn reach(&self) -> Reach {
        match &*self.state.borrow() {
            _ if self.refusing.is_cancelled() => Reach::Closed,
            State::Up(_) => Reach::Reachable,
            State::Connecting => Reach::Away { why: "not connected yet".to_owned() },
            State::Away(why) => Reach::Away { why: why.to_string() },
            State::Closed => Reach::Closed,
        }
    }

    /// A link, and a token that closing waits for; or why there is none.
    fn enter(&self) -> Result<(Arc<Link>, TaskTrackerToken), String> {
        let token = self.operations.token();
        if self.refusing.is_cancelled() {
            return Err("the store is closed".to_owned());
        }
        match &*self.state.borrow() {
            State::Up(link) => Ok((Arc::clone(link), token)),
            State::Connecting => Err("not connected to the event store yet".to_owned()),
            State::Away(why) => Err(format!("the event store is not reachable: {why}")),
            State::Closed => Err("the store is closed".to_owned()),
        }
    }

    fn look<'a>(&'a self, link: &'a Link) -> Look<'a> {
        Look {
            link,
            names: &self.names,
            login: self.login.as_ref(),
            timeout: self.tuning.timeout,
            scan_timeout: self.tuning.scan_timeout,
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("names", &self.names)
            .field("reach", &self.reach())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for EventStoreDb {
    async fn append(&self, expected: Expected, events: Vec<Sealed>) -> Result<Position, AppendError> {
        check(expected, &events)?;
        let (link, _token) = self.shared.enter().map_err(AppendError::Unavailable)?;
        self.shared.append(&link, expected, &events).await
    }

    fn max_append_bytes(&self) -> usize {
        self.shared.tuning.max_append_bytes
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        let (link, _token) = self.shared.enter().map_err(ReadError::Unavailable)?;
        self.shared.read_stream(&link, stream, from, direction, limit).await
    }

    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        let (link, _token) = self.shared.enter().map_err(ReadError::Unavailable)?;
        self.shared.read_all(&link, after, limit).await
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        let (link, _token) = self.shared.enter().map_err(ReadError::Unavailable)?;
        self.shared.head(&link).await
    }

    async fn subscribe_all(&self, after: Option<Position>) -> Result<Subscription, ReadError> {
        let (_link, _token) = self.shared.enter().map_err(ReadError::Unavailable)?;
        let (subscriber, subscription) = Subscription::channel();
        let follower =
            Follower { shared: Arc::clone(&self.shared), subscriber, delivered: after, passed: None };
        self.tasks.spawn(follower.run());
        Ok(subscription)
    }

    async fn close(&self) {
        self.shared.refusing.cancel();
        // Each has its own time limit.
        self.shared.operations.close();
        self.shared.operations.wait().await;
        self.shared.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests;
