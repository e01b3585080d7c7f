//! What a caller may choose when opening a ledger.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::FatalError;

/// What to do without a usable watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatermarkRule {
    /// Refuse to open a ledger that is not empty.
    #[default]
    Require,
    /// Take the ledger's end for granted and write a new watermark, where there is none or a damaged
    /// one. For an operator who knows better. A usable watermark still has the last word.
    AcceptMissing,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events checked.
    pub done: u64,
    /// Events to check.
    pub total: u64,
}

/// A commit that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Its events.
    pub events: u64,
    /// How long committing took, its sync included.
    pub took: Duration,
}

pub(super) type OnCommit = Box<dyn Fn(Commit) + Send + Sync>;
pub(super) type OnProgress = Box<dyn Fn(Progress) + Send + Sync>;
pub(super) type OnFatal = Arc<dyn Fn(&FatalError) + Send + Sync>;
pub(super) type OnPhase = Option<fn(&'static str)>;

/// Options of [`super::EmbeddedStore::open`].
pub struct Options {
    /// What to do without a usable watermark.
    pub watermark: WatermarkRule,
    /// Reads that may run at the same time.
    pub readers: u32,
    /// WAL frames (pages of 4 KiB) from which on a checkpoint is made between two batches.
    pub checkpoint_frames: u32,
    /// Told now and then while [`super::EmbeddedStore::open`] checks the events; from several threads.
    pub on_progress: OnProgress,
    /// Told when the process must end; ends it. If a test's own returns, the store stays dead.
    pub on_fatal: OnFatal,
    /// Told of every commit by the thread that writes; it must not take its time.
    pub on_commit: OnCommit,
    /// The most pages that the database may have; for tests of a full disk.
    pub max_pages: Option<u32>,
    /// Told by the writing thread, between inserting a batch and its commit (`group-commit`), and between the
    /// commit and the answers (`group-committed`); for tests of a crash.
    pub on_phase: OnPhase,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            watermark: WatermarkRule::Require,
            readers: 4,
            checkpoint_frames: 16_384,
            on_progress: Box::new(|_| {}),
            on_fatal: Arc::new(end_process),
            on_commit: Box::new(|_| {}),
            max_pages: None,
            on_phase: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("watermark", &self.watermark)
            .field("readers", &self.readers)
            .field("checkpoint_frames", &self.checkpoint_frames)
            .field("max_pages", &self.max_pages)
            .finish_non_exhaustive()
    }
}

/// `EX_SOFTWARE`: a supervisor starts the process again, and the next start checks everything.
const EXIT_CODE: i32 = 70;

/// Ends without unwinding: no destructor may write to a database that is in doubt.
fn end_process(error: &FatalError) {
    tracing::error!(%error, "the ledger is in doubt; ending the process");
    std::process::exit(EXIT_CODE)
}
