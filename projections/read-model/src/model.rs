//! The one writer of a read model: opening or starting anew, applying events.

use std::path::{Path, PathBuf};

use nemo_events::{Digest, EventRecord, Position, Revision, StreamName, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::apply::{self, Caches};
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::file::{self, Found};
use crate::query::Reader;

/// A WAL of more bytes is reset with some force, as readers may have kept commits from doing so.
const WAL_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The WAL's size is looked at once in so many batches.
const BATCHES_PER_LOOK: u32 = 64;

/// The last event that a read model reflects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its position.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Its hash. Where the ledger has another event in its place, the read model is another ledger's.
    pub hash: Digest,
    /// Its stream.
    pub stream: StreamName,
    /// Its number in the stream.
    pub revision: Revision,
}

/// Where an opened read model comes from. All but `Existing` start from nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file was there and is good as far as opening shows.
    Existing,
    /// There was no file.
    New,
    /// The file was of no use; the caller should tell.
    Recreated(Recreated),
}

/// Why a read model was started anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recreated {
    /// Another version of Nemo wrote it. It was removed.
    OtherVersion,
    /// It cannot be read. It was moved aside, to the same name with `.damaged` behind it.
    Damaged,
}

/// A read model and where it comes from.
#[derive(Debug)]
pub struct Opened {
    /// The read model.
    pub model: ReadModel,
    /// Where it comes from.
    pub origin: Origin,
}

/// The writer of a read model. There must be only one for a file.
#[derive(Debug)]
pub struct ReadModel {
    path: PathBuf,
    connection: Connection,
    head: Option<Head>,
    /// What the writer knows of the tables; `None` after a failure, until it is read again.
    caches: Option<Caches>,
    batches: u32,
}

impl ReadModel {
    /// Opens the file, or starts it from nothing where there is none or it is of no use. A database of
    /// something else is left alone.
    ///
    /// # Errors
    /// [`ReadModelError::NotAReadModel`]; a file or a disk that cannot be used.
    pub fn open(path: &Path) -> Result<Opened, ReadModelError> {
        let loaded = match file::look(path) {
            Ok(Found::Nothing) => return Self::start(path, Origin::New),
            Ok(Found::OtherVersion) => {
                file::remove(path)?;
                return Self::start(path, Origin::Recreated(Recreated::OtherVersion));
            }
            Ok(Found::Good(connection)) => Self::load(path, connection),
            Err(error) => Err(error),
        };
        match loaded {
            Ok(model) => Ok(Opened { model, origin: Origin::Existing }),
            Err(error) if error.is_damage() => {
                file::move_aside(path)?;
                Self::start(path, Origin::Recreated(Recreated::Damaged))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a read model's file, so that the next opening starts from nothing.
    ///
    /// # Errors
    /// [`ReadModelError::NotAReadModel`]; a file that cannot be removed.
    pub fn discard(path: &Path) -> Result<(), ReadModelError> {
        match file::look(path) {
            Err(error) if !error.is_damage() => Err(error),
            Ok(_) | Err(_) => file::remove(path),
        }
    }

    /// Position of the last event that was applied.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.head.as_ref().map(|head| head.position)
    }

    /// The last event that was applied.
    #[must_use]
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A connection of its own for questions. Several may exist, each on another thread.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn reader(&self) -> Result<Reader, ReadModelError> {
        Reader::open(&self.path)
    }

    /// Applies events in the order of their positions, all or none, in one transaction. Those at or below
    /// the position are skipped. A batch costs some 100 µs whatever is in it: on a busy machine collect
    /// events for 50 to 100 ms, or up to a few thousand.
    ///
    /// # Errors
    /// [`ReadModelError::Event`] with the place of an event that cannot be applied; a failing database.
    /// Nothing of the batch was written, and it may be tried again.
    pub fn apply(&mut self, records: &[EventRecord]) -> Result<(), ReadModelError> {
        let mut caches = match self.caches.take() {
            Some(caches) => caches,
            None => {
                self.head = read_head(&self.connection)?;
                Caches::load(&self.connection)?
            }
        };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head = apply::batch(&transaction, &mut caches, self.head.clone(), records)?;
        transaction.commit()?;
        self.head = head;
        self.caches = Some(caches);
        self.keep_wal_short();
        Ok(())
    }

    fn start(path: &Path, origin: Origin) -> Result<Opened, ReadModelError> {
        Ok(Opened { model: Self::load(path, file::create(path)?)?, origin })
    }

    fn load(path: &Path, connection: Connection) -> Result<Self, ReadModelError> {
        let head = read_head(&connection)?;
        let caches = Some(Caches::load(&connection)?);
        Ok(Self { path: path.to_owned(), connection, head, caches, batches: 0 })
    }

    /// A WAL that readers keep from being reset grows without bound. Where this fails, the next look tries
    /// again, and a disk that is full shows at the next commit.
    fn keep_wal_short(&mut self) {
        self.batches = self.batches.wrapping_add(1);
        if !self.batches.is_multiple_of(BATCHES_PER_LOOK) {
            return;
        }
        if file::wal_bytes(&self.path) > WAL_MAX_BYTES {
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
}

pub(crate) fn read_head(connection: &Connection) -> Result<Option<Head>, ReadModelError> {
    let mut query =
        connection.prepare_cached("SELECT position, recorded_at, hash, stream, revision FROM meta")?;
    let head = query.query_row([], |row| {
        let mut columns = Columns::of(row);
        let mut head = || {
            let (position, recorded_at) = (columns.position()?, columns.time()?);
            let (hash, stream, revision) = (columns.digest()?, columns.parsed()?, columns.revision()?);
            Ok(Head { position, recorded_at, hash, stream, revision })
        };
        Ok(head())
    });
    head.optional()?.transpose()
}
