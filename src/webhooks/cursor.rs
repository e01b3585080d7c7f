//! How far a webhook has come: a small file of its own in the data directory, replaced as a whole and synced.
//!
//! It stands beside the read model, not in it: that may be built anew at any time. Losing the file tells nothing
//! twice: a webhook without one begins at the ledger's end.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use nemo_events::{EventId, Position, Revision, StreamName};
use nemo_read_model::OutboxRow;
use nemo_store::{Direction, EventStore, ReadError};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// How far a webhook has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Where the ledger is whose position it is.
    pub place: String,
    /// Nothing at or before this position is told any more; `None` before the first event.
    pub position: Option<Position>,
    /// The event there, by which it is found again in a ledger that was moved. None where nothing was told yet.
    pub event: Option<Mark>,
}

/// An event, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    stream: StreamName,
    revision: Revision,
    id: EventId,
}

impl Kept {
    /// Behind an event that was told, or given up.
    pub(super) fn behind(row: &OutboxRow, place: &str) -> Self {
        let event = Mark { stream: row.stream.clone(), revision: row.revision, id: row.event };
        Self { place: place.to_owned(), position: Some(row.position), event: Some(event) }
    }

    /// The same in a ledger that may have been moved, or put back from a backup; `None` where it is another one.
    async fn located(self, store: &dyn EventStore, place: &str) -> Result<Option<Self>, ReadError> {
        let Some(mark) = &self.event else {
            let same = self.place == place && self.position <= store.head().await?;
            return Ok(same.then_some(self));
        };
        let found = store.read_stream(&mark.stream, mark.revision, Direction::Forwards, 1).await?;
        let found = found.first().filter(|record| record.event.id == mark.id);
        Ok(found.map(|record| Self {
            place: place.to_owned(),
            position: Some(record.position),
            event: self.event.clone(),
        }))
    }
}

/// The file of a webhook. Its name is one that a file may have.
pub(super) fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.json"))
}

/// Where a webhook goes on: behind what was told, else at the ledger's end.
pub(super) async fn find(store: &dyn EventStore, place: &str, path: PathBuf) -> Result<Kept, ReadError> {
    let kept = match read(&path) {
        Ok(kept) => kept,
        Err(error) => {
            warn!(path = %path.display(), %error, "how far a webhook has come cannot be read");
            None
        }
    };
    let known = kept.is_some();
    if let Some(kept) = kept
        && let Some(here) = kept.located(store, place).await?
    {
        return Ok(here);
    }
    if known {
        warn!(path = %path.display(), "a webhook has come as far in another ledger: it begins at this one's end");
    }
    let begins = Kept { place: place.to_owned(), position: store.head().await?, event: None };
    if let Err(error) = write(&path, &begins) {
        warn!(path = %path.display(), %error, "where a webhook begins cannot be kept");
    }
    Ok(begins)
}

fn read(path: &Path) -> io::Result<Option<Kept>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file as a whole, durably. Blocks.
pub(super) fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Err(ErrorKind::InvalidInput.into()) };
    fs::create_dir_all(dir)?;
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_what_is_not_there_is_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = path(&home.path().join("webhooks"), "ops");
        assert_eq!(read(&path).unwrap(), None);
        for position in [None, Some(Position(7))] {
            let kept = Kept { place: "nemo-data".to_owned(), position, event: None };
            write(&path, &kept).unwrap();
            assert_eq!(read(&path).unwrap(), Some(kept));
        }
        fs::write(&path, "{").unwrap();
        assert!(read(&path).is_err());
    }
}
