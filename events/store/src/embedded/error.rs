//! Why a ledger does not open, and why a running one must stop.

use std::io;
use std::path::PathBuf;

use nemo_events::Position;

use crate::ReadError;

/// Why the ledger was not opened. Nothing was appended; what is damaged was left as it was found.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another part of this one) uses the directory.
    #[error("the data directory {dir} is in use by {}", holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process that holds it, where known.
        holder: Option<u32>,
    },
    /// A file could not be created, read, written or synced.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// SQLite failed.
    #[error("cannot {doing}")]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// The file is no ledger of this version.
    #[error("{path} is not a ledger that this version can use: {what}")]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What is unexpected.
        what: String,
    },
    /// The write-ahead log holds transactions behind a damaged place; SQLite would drop them.
    #[error(
        "{path} is damaged: frame {frame}, at byte {offset}, is not what was written, and committed \
         transactions follow it; restore the data directory from a backup"
    )]
    DamagedWal {
        /// The file.
        path: PathBuf,
        /// The first bad frame, from 1; 0 is the file's header.
        frame: u32,
        /// Where it starts.
        offset: u64,
    },
    /// The ledger ends before what is known to have been written.
    #[error(
        "the ledger ends at position {} but was written up to {watermark}: {suspect}; restore the data directory \
         from a backup", head.map_or(0, |head| head.0)
    )]
    Truncated {
        /// Where it ends.
        head: Option<Position>,
        /// How far it is known to have reached.
        watermark: Position,
        /// The place that looks damaged.
        suspect: String,
    },
    /// The database is gone, but a log or a watermark says that there was one.
    #[error(
        "{path} is missing or empty, but there was a ledger in this directory; restore the data directory from a \
         backup"
    )]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// The watermark file cannot be used, and the ledger is not empty.
    #[error(
        "{path} is {what}, so nobody can tell whether the ledger's end is missing; restore the file, or, if position \
         {head} is known to be the last one written, have the ledger accepted as it is"
    )]
    Watermark {
        /// The file.
        path: PathBuf,
        /// Missing or damaged.
        what: &'static str,
        /// Where the ledger ends now.
        head: Position,
    },
    /// What is stored is not what was written.
    #[error(transparent)]
    Damaged(#[from] ReadError),
}

/// Why the process must end: the outcome of a write is not known, or the file is no longer sound.
#[derive(Debug, thiserror::Error)]
#[error("{doing} failed: {reason}")]
pub struct FatalError {
    /// What the writer was doing.
    pub doing: &'static str,
    /// What SQLite or the system said.
    pub reason: String,
}
