//! When the WAL goes into the database, and how that may fail.
//!
//! Made by the writer between two batches: the WAL cannot grow for ever under a steady load, as it would
//! with SQLite's passive checkpoints, and every error is seen, as it would not be with its automatic
//! ones. A reader in the way delays it, for the length of a page.

use rusqlite::{Connection, ErrorCode};

use super::error::FatalError;
use super::watermark::Watermark;

/// Frames that the WAL must have grown by before a blocked checkpoint is tried again.
const RETRY_AFTER: u32 = 2048;

pub(super) struct Checkpoints {
    /// Frames from which on a checkpoint is due.
    limit: u32,
    due_at: u32,
    /// Frames of the WAL that are committed.
    committed: u32,
}

/// What a checkpoint came to.
struct Outcome {
    blocked: bool,
    frames: u32,
}

impl Checkpoints {
    /// For a WAL that was just truncated.
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, due_at: limit, committed: 0 }
    }

    /// Whether a log whose last commit is at this frame holds nothing but what is known to be durable.
    /// A restarted log is written anew from the first frame, so that having no commit at all is fine, too.
    pub(super) fn is_known(&self, committed: u32) -> bool {
        committed == 0 || committed == self.committed
    }

    /// Makes a checkpoint at the next chance: remains of a failed transaction are in the log.
    pub(super) fn check_soon(&mut self) {
        self.due_at = 0;
    }

    /// Makes a checkpoint if one is due; the next commit then starts the WAL anew.
    pub(super) fn after_commit(&mut self, db: &Connection, watermark: &Watermark) -> Result<(), FatalError> {
        self.committed = run(db, "PRAGMA wal_checkpoint(NOOP)").map_err(failed)?.frames;
        if self.committed < self.due_at {
            return Ok(());
        }
        match run(db, "PRAGMA wal_checkpoint(RESTART)") {
            Ok(Outcome { blocked: false, .. }) => {
                self.due_at = self.limit;
                return watermark
                    .sync()
                    .map_err(|error| FatalError { doing: "sync the watermark", reason: error.to_string() });
            }
            Ok(Outcome { blocked: true, frames }) => {
                tracing::debug!(frames, "a reader delays the checkpoint");
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                tracing::warn!(%error, frames = self.committed, "no room for a checkpoint");
            }
            Err(error) => return Err(failed(error)),
        }
        self.due_at = self.committed.saturating_add(RETRY_AFTER);
        Ok(())
    }

    /// Moves everything into the database and empties the WAL.
    pub(super) fn last(&self, db: &Connection, watermark: &Watermark) -> Result<(), FatalError> {
        truncate(db).map_err(failed)?;
        watermark
            .sync()
            .map_err(|error| FatalError { doing: "sync the watermark", reason: error.to_string() })
    }
}

/// A complete checkpoint that leaves an empty WAL. That a reader is in the way is an error here.
pub(super) fn truncate(db: &Connection) -> rusqlite::Result<()> {
    if run(db, "PRAGMA wal_checkpoint(TRUNCATE)")?.blocked {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, Some("a reader is in the way".to_owned())));
    }
    Ok(())
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<Outcome> {
    db.prepare_cached(sql)?.query_row([], |row| {
        let frames: i64 = row.get(1)?;
        Ok(Outcome { blocked: row.get(0)?, frames: u32::try_from(frames).unwrap_or(0) })
    })
}

fn failed(error: rusqlite::Error) -> FatalError {
    FatalError { doing: "make a checkpoint", reason: error.to_string() }
}
