//! The one thread that appends: it commits everything that waits with one sync.
//!
//! What each failure means:
//! - **Full** (`SQLITE_FULL`), while inserting or committing: SQLite writes a transaction to the WAL only
//!   in its commit, the commit frame last, and reports "full" only where a write failed; a failed *sync* is an
//!   I/O error, even if the disk is full. So the commit frame is not in the log. The transaction is
//!   rolled back, which also drops its pages from the cache, and to be certain the log is read back with our
//!   own reader before anybody is told `Unavailable`. The next batch overwrites what is left of it.
//! - **Busy**: somebody holds the write lock, which `unix-excl` should exclude. Nothing was written: `Unavailable`.
//! - **Anything else** (I/O, a failed sync, corruption, no memory): the commit frame may or may not be
//!   durable, and a later sync could succeed without having written anything. The process ends, the
//!   outcome is `Unknown`, and the next start checks everything.
//! - **A failed checkpoint** leaves the WAL as it is: full means later, anything else is fatal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use nemo_events::{Position, Sealed};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::batch::Batch;
use super::checkpoint::Checkpoints;
use super::error::{FatalError, OpenError};
use super::heads::Heads;
use super::lock::DirLock;
use super::options::{Commit, OnCommit, OnFatal, OnPhase};
use super::wal;
use super::watermark::{Mark, Watermark};
use crate::{AppendError, Expected};

/// Appends that may wait before the next caller has to.
pub(super) const QUEUE: usize = 4096;
/// Limits of one batch, so that neither its memory nor its commit grows without bound.
const BATCH_EVENTS: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;

pub(super) enum Message {
    Append(Request),
    /// Finish what waits, then end.
    Close,
}

/// An append that [`crate::append::check`] has passed.
pub(super) struct Append {
    pub(super) expected: Expected,
    pub(super) events: Vec<Sealed>,
}

/// Appends that happen in this order, up to the first that cannot.
pub(super) struct Request {
    pub(super) appends: Vec<Append>,
    pub(super) reply: oneshot::Sender<Result<Position, AppendError>>,
}

impl Request {
    fn events(&self) -> impl Iterator<Item = &Sealed> {
        self.appends.iter().flat_map(|append| &append.events)
    }

    fn bytes(&self) -> usize {
        self.events().map(|event| event.data.len() + event.metadata.len()).sum()
    }
}

/// Everything that only the writing thread touches.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) wal_path: PathBuf,
    pub(super) heads: Arc<Heads>,
    pub(super) durable: watch::Sender<Option<Position>>,
    pub(super) last: Mark,
    pub(super) watermark: Watermark,
    pub(super) checkpoints: Checkpoints,
    pub(super) on_fatal: OnFatal,
    pub(super) on_commit: OnCommit,
    pub(super) on_phase: OnPhase,
    /// Last, so that everything else is closed when the directory is released.
    pub(super) lock: DirLock,
}

/// Why a batch is not durable.
enum Failure {
    /// It was rolled back; the next one may succeed.
    NotWritten(String),
    Fatal(FatalError),
}

impl Writer {
    /// Starts the thread. It ends with the queue and hands the writer back, or with a fatal error.
    pub(super) fn spawn(self, queue: mpsc::Receiver<Message>) -> Result<JoinHandle<Option<Self>>, OpenError> {
        let path = self.wal_path.clone();
        let thread = std::thread::Builder::new().name("ledger-writer".to_owned());
        let running = thread.spawn(move || self.run(queue));
        running.map_err(|source| OpenError::Io { doing: "start the writer of", path, source })
    }

    fn run(mut self, mut queue: mpsc::Receiver<Message>) -> Option<Self> {
        while let Some(message) = queue.blocking_recv() {
            let outcome = match message {
                Message::Append(first) => self.run_batch(first, &mut queue),
                Message::Close => {
                    queue.close();
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                queue.close();
                self.die(error, queue);
                return None;
            }
        }
        Some(self)
    }

    /// One batch, then a checkpoint if one is due.
    fn run_batch(&mut self, first: Request, queue: &mut mpsc::Receiver<Message>) -> Result<(), FatalError> {
        let heads = Arc::clone(&self.heads);
        let mut batch = Batch::new(&heads, self.last);
        let outcome = self.fill(&mut batch, first, queue).and_then(|()| self.commit(&mut batch));
        match outcome {
            Ok(()) => batch.answer(),
            Err(Failure::NotWritten(reason)) => {
                tracing::warn!(reason, "the batch was not written");
                batch.fail(|| AppendError::Unavailable(reason.clone()));
                return Ok(());
            }
            Err(Failure::Fatal(error)) => {
                (self.on_fatal)(&error);
                batch.fail(|| AppendError::Unknown(error.to_string()));
                return Err(error);
            }
        }
        self.checkpoints.after_commit(&self.db, &self.watermark).inspect_err(|error| (self.on_fatal)(error))
    }

    /// Stages the first append and everything that waits behind it.
    fn fill(
        &mut self,
        batch: &mut Batch<'_>,
        first: Request,
        queue: &mut mpsc::Receiver<Message>,
    ) -> Result<(), Failure> {
        if let Err(error) = execute(&self.db, "BEGIN IMMEDIATE") {
            // Not staged, so it has to be told here.
            let failure = self.roll_back("begin a transaction", error);
            let answer = match &failure {
                Failure::NotWritten(reason) => AppendError::Unavailable(reason.clone()),
                Failure::Fatal(error) => AppendError::Unknown(error.to_string()),
            };
            let _ = first.reply.send(Err(answer));
            return Err(failure);
        }
        let (mut events, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(request) = next {
            events += request.events().count();
            bytes += request.bytes();
            batch.stage(&self.db, request).map_err(|error| self.roll_back("insert events", error))?;
            let full = events >= BATCH_EVENTS || bytes >= BATCH_BYTES;
            next = if full { None } else { take_waiting(queue) };
        }
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch<'_>) -> Result<(), Failure> {
        if batch.is_empty() {
            return execute(&self.db, "ROLLBACK").map_err(|error| fatal("end a transaction", &error));
        }
        self.reached("group-commit");
        let began = Instant::now();
        if let Err(error) = execute(&self.db, "COMMIT") {
            let failure = self.roll_back("commit", error);
            self.checkpoints.check_soon();
            return Err(self.read_back(failure));
        }
        self.reached("group-committed");
        let events = batch.last().position.0.saturating_sub(self.last.position.0);
        (self.on_commit)(Commit { events, took: began.elapsed() });
        self.last = batch.last();
        batch.publish();
        self.durable.send_replace(Some(self.last.position));
        self.advance_watermark()
    }

    fn reached(&self, phase: &'static str) {
        if let Some(tell) = self.on_phase {
            tell(phase);
        }
    }

    /// After this the transaction is gone from the cache, or the error is fatal.
    fn roll_back(&self, doing: &'static str, error: rusqlite::Error) -> Failure {
        let harmless =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy));
        if !harmless {
            return fatal(doing, &error);
        }
        // SQLite may have rolled back by itself.
        if !self.db.is_autocommit()
            && let Err(error) = execute(&self.db, "ROLLBACK")
        {
            return fatal("roll back", &error);
        }
        Failure::NotWritten(format!("cannot {doing}: {error}"))
    }

    /// What is about to be called "not written" must not be in the log.
    fn read_back(&self, failure: Failure) -> Failure {
        let Failure::NotWritten(reason) = failure else { return failure };
        match wal::inspect(&self.wal_path) {
            Ok(report) if self.checkpoints.is_known(report.committed) => Failure::NotWritten(reason),
            Ok(_) => Failure::Fatal(FatalError { doing: "undo a commit", reason }),
            Err(error) => {
                Failure::Fatal(FatalError { doing: "read the log back", reason: error.to_string() })
            }
        }
    }

    /// The batch is durable already, so a full disk (where even overwriting needs room) only means
    /// that the watermark stays behind.
    fn advance_watermark(&mut self) -> Result<(), Failure> {
        match self.watermark.advance(self.last) {
            Ok(()) => Ok(()),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                tracing::warn!(%error, "the watermark stays behind");
                Ok(())
            }
            Err(error) => {
                Err(Failure::Fatal(FatalError { doing: "write the watermark", reason: error.to_string() }))
            }
        }
    }

    /// Tells everybody who still waits, and leaves all files as they are.
    fn die(self, error: FatalError, mut queue: mpsc::Receiver<Message>) {
        while let Some(message) = queue.blocking_recv() {
            if let Message::Append(request) = message {
                let _ = request.reply.send(Err(AppendError::Unavailable(error.to_string())));
            }
        }
    }

    /// The last step of closing: nobody reads or writes any more.
    pub(super) fn finish(self) {
        if let Err(error) = self.checkpoints.last(&self.db, &self.watermark) {
            // Everything is durable in the WAL; the next start tries again.
            tracing::error!(%error, "the last checkpoint failed");
        }
        drop(self.db);
        drop(self.lock);
    }
}

/// An append that waits already; `None` where nothing or only the end waits.
fn take_waiting(queue: &mut mpsc::Receiver<Message>) -> Option<Request> {
    match queue.try_recv() {
        Ok(Message::Append(request)) => Some(request),
        Ok(Message::Close) => {
            queue.close();
            None
        }
        Err(_) => None,
    }
}

fn execute(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.raw_execute().map(|_| ())
}

fn fatal(doing: &'static str, error: &rusqlite::Error) -> Failure {
    Failure::Fatal(FatalError { doing, reason: error.to_string() })
}
