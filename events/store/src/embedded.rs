//! The embedded event store: SQLite in one directory, one process, one writer.
//!
//! What is in the directory:
//! - `ledger.sqlite3` (and `-wal`): the events, one table by position. Stock `sqlite3` reads it while
//!   no Nemo runs; the view `events_readable` shows hex ids and readable times.
//! - `watermark`: how far the ledger is known to reach ([`watermark`](self::watermark) says why).
//! - `lock`: held by the one process that may use the directory.
//!
//! Invariants:
//! - An append is answered `Ok` only after its commit was synced. What was answered `Conflict`,
//!   `Unavailable` or `Invalid` never shows up later. Any doubt ends the process, see [`writer`].
//! - What was written is read back as it was, or the read fails: every event is checked against its
//!   hash, every stream read against the stream's known head, every position for density.
//! - A read returns what was durable when it began, never more.
//! - Nothing in this process opens `ledger.sqlite3` but SQLite: closing any other descriptor of that
//!   file would drop SQLite's own locks on it.

mod batch;
mod checkpoint;
mod connect;
mod error;
mod files;
mod heads;
mod lock;
mod open;
mod options;
mod page;
mod peek;
mod pool;
mod reads;
mod row;
mod scan;
mod schema;
mod sum;
mod verify;
mod wal;
mod watermark;
mod writer;

pub use error::{FatalError, OpenError};
pub use lock::DirLock;
pub use options::{Commit, Options, Progress, WatermarkRule};
pub use verify::Verified;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use nemo_events::{EventRecord, Position, Revision, Sealed, StreamName};
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::append::{check, expected};
use crate::follow::Follower;
use crate::{AppendError, Direction, EventStore, Expected, ReadError, Subscription};
use reads::Reads;
use writer::{Append, Message, Request, Writer};

/// Events of one directory. See the module for what it promises.
#[derive(Debug)]
pub struct EmbeddedStore {
    queue: mpsc::Sender<Message>,
    reads: Arc<Reads>,
    followers: TaskTracker,
    closing: CancellationToken,
    /// The thread that appends, until somebody closes the store.
    writer: Mutex<Option<JoinHandle<Option<Writer>>>>,
    closed: OnceCell<()>,
    _ends_followers: DropGuard,
}

impl EmbeddedStore {
    /// The database's name in the data directory.
    pub const FILE_NAME: &'static str = "ledger.sqlite3";
    /// The name of the file beside it that says how far it reaches.
    pub const WATERMARK_NAME: &'static str = "watermark";

    /// Opens the ledger in `dir`, creating both if need be. Blocks until every event is checked.
    ///
    /// # Errors
    /// Where the directory is in use, anything in it is damaged, or the disk fails; see [`OpenError`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let opened = open::open(dir, options)?;
        let (queue, waiting) = mpsc::channel(writer::QUEUE);
        let writer = opened.writer.spawn(waiting)?;
        let closing = CancellationToken::new();
        Ok(Self {
            queue,
            reads: Arc::new(opened.reads),
            followers: TaskTracker::new(),
            _ends_followers: closing.clone().drop_guard(),
            closing,
            writer: Mutex::new(Some(writer)),
            closed: OnceCell::new(),
        })
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.reads.path().to_owned()
    }

    /// Reads everything up to the present head anew: hashes, chains, density, and that the stream
    /// index leads to every event. Other reads and appends go on meanwhile.
    ///
    /// # Errors
    /// The first thing that is not as it was written, or `Unavailable`.
    pub async fn verify(&self, on_progress: impl Fn(Progress) + Send) -> Result<Verified, ReadError> {
        verify::verify(&self.reads, on_progress).await
    }

    async fn submit(&self, appends: Vec<Append>) -> Result<Position, AppendError> {
        let closed = || AppendError::Unavailable("the store is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        let request = Request { appends, reply };
        self.queue.send(Message::Append(request)).await.map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(AppendError::Unknown("the writer is gone".to_owned())))
    }

    /// Finishes the queue, ends subscriptions and reads, checkpoints, and releases the directory.
    async fn shut_down(&self) {
        // Where the queue is closed already, the writer has ended by itself.
        let _ = self.queue.send(Message::Close).await;
        self.closing.cancel();
        self.followers.close();
        self.followers.wait().await;
        self.reads.close().await;
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let finish = tokio::task::spawn_blocking(move || match thread.map(JoinHandle::join) {
            Some(Ok(Some(writer))) => writer.finish(),
            Some(Ok(None)) | None => {}
            Some(Err(_)) => tracing::error!("the ledger's writer panicked"),
        });
        if finish.await.is_err() {
            tracing::error!("closing the ledger panicked");
        }
    }
}

#[async_trait]
impl EventStore for EmbeddedStore {
    async fn append(&self, expected: Expected, events: Vec<Sealed>) -> Result<Position, AppendError> {
        check(expected, &events)?;
        self.submit(vec![Append { expected, events }]).await
    }

    /// In one transaction: a copy costs one sync for each list, not for each append.
    async fn append_in_order(&self, appends: Vec<Vec<Sealed>>) -> Result<Position, AppendError> {
        if appends.is_empty() {
            return Err(AppendError::Invalid("no appends"));
        }
        let checked = appends.into_iter().map(|events| {
            let expected = expected(&events)?;
            check(expected, &events)?;
            Ok(Append { expected, events })
        });
        self.submit(checked.collect::<Result<_, _>>()?).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        self.reads.stream(stream.clone(), from, direction, limit).await
    }

    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        self.reads.all(after, limit).await
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        self.reads.head()
    }

    async fn subscribe_all(&self, after: Option<Position>) -> Result<Subscription, ReadError> {
        self.reads.head()?;
        let (subscriber, subscription) = Subscription::channel();
        let follower = Follower {
            source: Arc::clone(&self.reads),
            after,
            head: self.reads.watch_head(),
            closing: self.closing.clone(),
            subscriber,
        };
        self.followers.spawn(follower.run());
        Ok(subscription)
    }

    async fn close(&self) {
        // Who comes second waits for the first.
        self.closed.get_or_init(|| self.shut_down()).await;
    }
}

#[cfg(test)]
mod tests;
