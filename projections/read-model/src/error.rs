//! What can go wrong, and where.

use std::path::PathBuf;

use nemo_events::{CodecError, Position, Revision, StreamName};
use nemo_projections::CorruptLog;

/// Why the read model did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// SQLite failed: disk full, damaged file, sum out of range. Nothing was written.
    #[error("the read model's database failed")]
    Database(#[from] rusqlite::Error),
    /// The file cannot be read, moved or removed.
    #[error("the read model's file cannot be replaced")]
    File(#[source] std::io::Error),
    /// The file is a database of another program, or another database of Nemo's. It is left alone.
    #[error("`{}` is not a read model", .0.display())]
    NotAReadModel(PathBuf),
    /// An event cannot be applied. Nothing of its batch was written.
    #[error("event {stream}{revision} at position {position} cannot be applied")]
    Event {
        /// The event's stream.
        stream: StreamName,
        /// Its number there.
        revision: Revision,
        /// Its position.
        position: Position,
        /// What is wrong with it.
        #[source]
        why: EventError,
    },
    /// The database holds what this program cannot have written: discard it.
    #[error("the read model is damaged: {0}")]
    Damaged(&'static str),
    /// The cursor comes from another list, or from nowhere.
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    /// The question has no answer; says why.
    #[error("the query is not valid: {0}")]
    InvalidQuery(&'static str),
}

/// What is wrong with an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Its bytes are no event that this program knows.
    #[error("the event cannot be decoded")]
    Codec(#[from] CodecError),
    /// Its metadata is not what this program knows.
    #[error("the event's metadata cannot be decoded")]
    Metadata(#[source] serde_json::Error),
    /// No decision could have written it at this place.
    #[error("the event does not follow from those before it")]
    Corrupt(#[from] CorruptLog),
    /// A number in it is beyond what the database holds.
    #[error("a number in the event is out of range")]
    OutOfRange,
}

impl ReadModelError {
    /// Whether the file itself is damaged, so that only [`crate::ReadModel::discard`] helps.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Damaged(_) => true,
            Self::Database(error) => {
                matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            Self::File(_)
            | Self::NotAReadModel(_)
            | Self::Event { .. }
            | Self::InvalidCursor
            | Self::InvalidQuery(_) => false,
        }
    }
}

/// What one event can fail with: its own fault, or the database's.
#[derive(Debug)]
pub(crate) enum Fault {
    Event(EventError),
    Model(ReadModelError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Model(error.into())
    }
}

impl From<ReadModelError> for Fault {
    fn from(error: ReadModelError) -> Self {
        Self::Model(error)
    }
}

impl From<EventError> for Fault {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        Self::Event(error.into())
    }
}

impl From<CorruptLog> for Fault {
    fn from(error: CorruptLog) -> Self {
        Self::Event(error.into())
    }
}
