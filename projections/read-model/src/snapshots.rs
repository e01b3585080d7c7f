//! Folds of keys, kept in a file of their own so that a long stream need not be folded from its start.
//!
//! For each key there is the *latest* fold, whole, and *moments*: folds at earlier revisions, for replay. None is
//! ever the authority. What is given back is what was put in, by the same version of the fold: a digest covers all
//! of a row, and a row that does not match it is as good as none. Whether it belongs to the ledger is for the
//! reader to check, against the event that stands there.
//!
//! A file of its own, because SQLite has one writer for each file and following the log must not wait for this
//! one. It may be deleted at any time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use nemo_events::{Digest, KeyId, Revision, Timestamp};
use rusqlite::{Connection, Row, TransactionBehavior, params};

use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::file::{self, Marks};

/// Marks a file as one of snapshots: `NmSn`.
const APPLICATION_ID: i32 = 0x4e6d_536e;
const VERSION: i32 = 1;
const DOMAIN: &[u8] = b"nemo/snapshot/v1";
/// How long a writer and a reader wait for each other.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
const CREATE: &str = "
    CREATE TABLE latest (key_id TEXT PRIMARY KEY, fold_version INTEGER NOT NULL, revision INTEGER NOT NULL,
        head_hash BLOB NOT NULL, recorded_at INTEGER NOT NULL, state BLOB NOT NULL, digest BLOB NOT NULL) STRICT;
    CREATE TABLE moments (key_id TEXT NOT NULL, fold_version INTEGER NOT NULL, revision INTEGER NOT NULL,
        head_hash BLOB NOT NULL, recorded_at INTEGER NOT NULL, state BLOB NOT NULL, digest BLOB NOT NULL,
        PRIMARY KEY (key_id, revision)) STRICT;";
const COLUMNS: &str = "key_id, fold_version, revision, head_hash, recorded_at, state, digest";

/// The fold of a key at some revision. Whoever reads it checks revision and hash against the ledger before
/// relying on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The key.
    pub key: KeyId,
    /// The version of the fold that made it.
    pub fold_version: u32,
    /// The last event in it.
    pub revision: Revision,
    /// That event's hash.
    pub head_hash: Digest,
    /// When that event was recorded.
    pub recorded_at: Timestamp,
    /// The state, as the caller writes it.
    pub state: Vec<u8>,
}

/// A file of snapshots. It blocks: use it on threads of its own.
#[derive(Debug)]
pub struct SnapshotFile {
    connection: Connection,
}

impl SnapshotFile {
    /// Opens the file, or starts it anew where it is missing, damaged or of another version. A database of something
    /// else is left alone.
    ///
    /// # Errors
    /// [`ReadModelError::NotAReadModel`]; a file or a disk that cannot be used.
    pub fn open(path: &Path) -> Result<Self, ReadModelError> {
        match Self::look(path) {
            Ok(Some(file)) => return Ok(file),
            Ok(None) => {}
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
        file::remove(path)?;
        let connection = Connection::open(path)?;
        set_up(&connection)?;
        connection.execute_batch(CREATE)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        Ok(Self { connection })
    }

    /// Removes the file, so that the next opening starts from nothing.
    ///
    /// # Errors
    /// A file that cannot be removed, or a database of something else.
    pub fn discard(path: &Path) -> Result<(), ReadModelError> {
        match Self::look(path) {
            Err(error) if !error.is_damage() => Err(error),
            Ok(_) | Err(_) => file::remove(path),
        }
    }

    /// The file, if it is of this version.
    fn look(path: &Path) -> Result<Option<Self>, ReadModelError> {
        if !path.try_exists().map_err(ReadModelError::File)? {
            return Ok(None);
        }
        let connection = Connection::open(path)?;
        let marks = Marks::read(&connection)?;
        if marks.application_id != APPLICATION_ID && !marks.is_empty() {
            return Err(ReadModelError::NotAReadModel(path.to_owned()));
        }
        if marks.version != VERSION {
            return Ok(None);
        }
        set_up(&connection)?;
        Ok(Some(Self { connection }))
    }

    /// Keeps a key's latest fold, in place of the one before, and folds at earlier revisions, in one transaction.
    ///
    /// # Errors
    /// A failing database. Nothing was written.
    pub fn put(&mut self, latest: &Snapshot, moments: &[Snapshot]) -> Result<(), ReadModelError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        insert(&transaction, "latest", latest)?;
        for moment in moments {
            insert(&transaction, "moments", moment)?;
        }
        Ok(transaction.commit()?)
    }

    /// A key's latest fold, if this version of the fold made it and it is as it was put in.
    ///
    /// # Errors
    /// A failing database.
    pub fn latest(&self, key: KeyId, fold_version: u32) -> Result<Option<Snapshot>, ReadModelError> {
        let sql = format!("SELECT {COLUMNS} FROM latest WHERE key_id = ? AND fold_version = ?");
        self.first(&sql, params![key.digits(), fold_version])
    }

    /// A key's last fold at this revision or before it, on the same terms.
    ///
    /// # Errors
    /// A failing database.
    pub fn at_or_before(
        &self,
        key: KeyId,
        fold_version: u32,
        revision: Revision,
    ) -> Result<Option<Snapshot>, ReadModelError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM moments WHERE key_id = ? AND fold_version = ? AND revision <= ?
             ORDER BY revision DESC LIMIT 1"
        );
        self.first(&sql, params![key.digits(), fold_version, number(revision)?])
    }

    /// How far the latest folds of this version have got. Does not look into them.
    ///
    /// # Errors
    /// A failing database.
    pub fn reached(&self, fold_version: u32) -> Result<BTreeMap<KeyId, Revision>, ReadModelError> {
        let sql = "SELECT key_id, revision FROM latest WHERE fold_version = ?";
        let mut query = self.connection.prepare_cached(sql)?;
        let mut rows = query.query([fold_version])?;
        let mut reached = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let mut columns = Columns::of(row);
            reached.insert(columns.key_id()?, columns.revision()?);
        }
        Ok(reached)
    }

    fn first(&self, sql: &str, params: impl rusqlite::Params) -> Result<Option<Snapshot>, ReadModelError> {
        let mut query = self.connection.prepare_cached(sql)?;
        let mut rows = query.query(params)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (snapshot, digest) = read(row)?;
        Ok(Some(snapshot).filter(|snapshot| snapshot.digest() == digest))
    }
}

impl Snapshot {
    /// Over all of it.
    fn digest(&self) -> Digest {
        let recorded_at = self.recorded_at.as_micros().to_be_bytes();
        Digest::of_fields(
            DOMAIN,
            &[
                self.key.digits().as_bytes(),
                &self.fold_version.to_be_bytes(),
                &self.revision.0.to_be_bytes(),
                self.head_hash.as_bytes(),
                &recorded_at,
                &self.state,
            ],
        )
    }
}

fn insert(connection: &Connection, table: &str, snapshot: &Snapshot) -> Result<(), ReadModelError> {
    let sql = format!("INSERT OR REPLACE INTO {table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)");
    connection.prepare_cached(&sql)?.execute(params![
        snapshot.key.digits(),
        snapshot.fold_version,
        number(snapshot.revision)?,
        snapshot.head_hash.as_bytes(),
        snapshot.recorded_at.as_micros(),
        snapshot.state,
        snapshot.digest().as_bytes(),
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<(Snapshot, Digest), ReadModelError> {
    let mut columns = Columns::of(row);
    let snapshot = Snapshot {
        key: columns.key_id()?,
        fold_version: columns.get()?,
        revision: columns.revision()?,
        head_hash: columns.digest()?,
        recorded_at: columns.time()?,
        state: columns.get()?,
    };
    Ok((snapshot, columns.digest()?))
}

fn number(revision: Revision) -> Result<i64, ReadModelError> {
    i64::try_from(revision.0)
        .map_err(|_| ReadModelError::InvalidQuery("the snapshot's revision is out of range"))
}

fn set_up(connection: &Connection) -> Result<(), ReadModelError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What the last commits before a crash wrote may be gone: it is made again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", "16777216")?;
    Ok(())
}
