//! The only code that knows how events are stored: one trait, its adapters, one contract suite.
//!
//! A store keeps streams of sealed events. It never looks into them, and returns their bytes as they
//! were given. Every adapter checks each event that it reads against its hash.

mod append;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod copy;
pub mod embedded;
pub mod eventstoredb;
mod follow;
pub mod memory;
mod subscription;
mod up_to;

pub use append::append_bytes;
pub use embedded::EmbeddedStore;
pub use eventstoredb::EventStoreDb;
pub use memory::MemoryStore;
pub use subscription::Subscription;
pub use up_to::UpTo;

use async_trait::async_trait;
use nemo_events::{EventRecord, Position, Revision, Sealed, StreamName};

/// What a stream must look like for an append to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The stream has no event yet.
    NoStream,
    /// The stream's last event has this revision.
    Exact(Revision),
}

impl Expected {
    /// What the stream must look like for an event of this revision to come next.
    #[must_use]
    pub const fn before(revision: Revision) -> Self {
        match revision.0.checked_sub(1) {
            None => Self::NoStream,
            Some(before) => Self::Exact(Revision(before)),
        }
    }
}

/// Why an append did not happen, or may not have happened.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream's head is another one. Nothing was written.
    #[error("the stream moved on")]
    Conflict,
    /// Nothing was written: the store is full, away or closing. Trying again may help.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// Nobody knows whether it was written: read the stream to find out.
    #[error("the outcome of the append is unknown: {0}")]
    Unknown(String),
    /// The events are not a continuation of their stream: none or too many, of several streams, with
    /// gaps, not chained, not what their hash says. A defect of the caller. Nothing was written.
    #[error("the events do not continue their stream: {0}")]
    Invalid(&'static str),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store is away or closing. Trying again may help.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What is stored is not what was written.
    #[error("the ledger is damaged at {place}: {what}")]
    Damaged {
        /// Stream and revision, position, or file and offset.
        place: String,
        /// What is wrong there.
        what: String,
    },
}

/// Which way a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending revisions.
    Forwards,
    /// Descending revisions.
    Backwards,
}

/// The most events that one read returns, whatever it asks for.
pub const MAX_PAGE: usize = 4096;

/// The most events that one append takes.
pub const MAX_APPEND: usize = 1024;

/// Keeps streams of events, durably, in one order over all streams.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends events of one stream, all or none, and answers once they are durable: with the
    /// position of the last one.
    ///
    /// Where the stream already holds exactly these events (same ids) behind the expected revision,
    /// the append has happened before and succeeds again: resending the same bytes is safe.
    ///
    /// Dropping the future does not take the append back: it may still happen.
    ///
    /// # Errors
    /// See [`AppendError`]; after `Conflict`, `Unavailable` and `Invalid` nothing was written.
    async fn append(&self, expected: Expected, events: Vec<Sealed>) -> Result<Position, AppendError>;

    /// Appends to several streams in exactly this order, each as [`EventStore::append`] does, behind the
    /// revision before its first event. What is written of the list is always a beginning of it: nothing
    /// comes behind an append that did not happen. Answers with the last one's position.
    ///
    /// For copies, whose order over all streams must be that of the original. At most [`MAX_PAGE`] events.
    ///
    /// # Errors
    /// See [`AppendError`], of the first that did not happen; what came before it may be written. The same
    /// list sent again goes on where it ended.
    async fn append_in_order(&self, appends: Vec<Vec<Sealed>>) -> Result<Position, AppendError> {
        let mut last = Err(AppendError::Invalid("no appends"));
        for events in appends {
            last = Ok(self.append(append::expected(&events)?, events).await?);
        }
        last
    }

    /// The most bytes that one append takes, by [`append_bytes`]; more are `Invalid`.
    fn max_append_bytes(&self) -> usize {
        usize::MAX
    }

    /// Reads up to `limit` (and [`MAX_PAGE`]) events of a stream, starting with `from` (inclusive).
    /// A missing stream, and a place beyond the end going forwards, is empty; going backwards from
    /// beyond the end starts at the end.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError>;

    /// Reads up to `limit` (and [`MAX_PAGE`]) events of all streams behind `after` (exclusive;
    /// `None`: from the start), ascending. Only durable events are returned.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError>;

    /// Position of the last durable event; `None` for an empty store.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn head(&self) -> Result<Option<Position>, ReadError>;

    /// Delivers every event behind `after`, then every new one, in order, each at least once.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn subscribe_all(&self, after: Option<Position>) -> Result<Subscription, ReadError>;

    /// Refuses new appends, finishes those that wait, releases the store. Idempotent.
    async fn close(&self);
}
