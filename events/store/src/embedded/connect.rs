//! Connections to the ledger's database, and what their errors mean.
//!
//! All go through the `unix-excl` file system of SQLite: this process takes one lock for as long as any
//! connection is open, so that no other program can write or checkpoint meanwhile, and the index of
//! the WAL is on the heap, so that a full disk cannot make it fail after a commit.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::ReadError;

/// Waits of the writer for readers: only a checkpoint ever waits.
const WRITER_PATIENCE: Duration = Duration::from_millis(100);

/// The one connection that writes.
pub(super) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let db = connect(path)?;
    db.busy_timeout(WRITER_PATIENCE)?;
    // No checkpoint by itself: SQLite ignores the errors of an automatic one, a failed sync included.
    // No spilling: nothing of a transaction is in the WAL before its commit.
    // A cache of 16 MiB: after a page split SQLite looks at every page of it in the next commit.
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA cache_spill = OFF;
         PRAGMA cache_size = -16384;",
    )?;
    Ok(db)
}

/// A connection that only reads. Opened for writing all the same, as `unix-excl` shares its lock only
/// among such.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let db = connect(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")?;
    Ok(db)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags_and_vfs(path, flags, c"unix-excl")?;
    // A checkpoint when the last connection goes would ignore errors, too.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(db)
}

/// What a failed read means: a damaged file, or one that cannot be read now.
pub(super) fn read_failed(error: rusqlite::Error) -> ReadError {
    let transient = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::CannotOpen
                | ErrorCode::DiskFull
        )
    );
    if transient {
        ReadError::Unavailable(error.to_string())
    } else {
        ReadError::Damaged { place: "the database".to_owned(), what: error.to_string() }
    }
}
