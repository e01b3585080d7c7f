//! What a directory with a ledger in it is, besides a data directory: `backup.json` makes it a backup,
//! `unfinished.json` something that a command has not finished. Both are replaced as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context as _;
use nemo_events::{Digest, Position, Timestamp};
use nemo_store::copy::Same;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cli::{CommandError, Exit};
use crate::store;

const MANIFEST: &str = "backup.json";
const UNFINISHED: &str = "unfinished.json";
/// The form that this version writes and reads.
const FORMAT: u32 = 1;

/// What a backup must be: `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The backup's form.
    pub nemo_backup: u32,
    /// What wrote it.
    pub program: String,
    /// When.
    pub made_at: Timestamp,
    /// The directory or the server that it was read from.
    pub from: String,
    /// The last event's position there.
    pub source_position: Position,
    /// What the ledger holds, from its first event on.
    pub events: u64,
    /// Bytes of data and metadata.
    pub bytes: u64,
    /// Streams.
    pub streams: u64,
    /// Hash over the events' hashes in the order of the log.
    pub log_digest: Digest,
    /// Hash over the streams' heads in the order of their names.
    pub heads_digest: Digest,
}

impl Manifest {
    /// Of a ledger that was read as a whole.
    #[must_use]
    pub fn of(same: &Same, from: &str, source_position: Position) -> Self {
        Self {
            nemo_backup: FORMAT,
            program: concat!("nemo ", env!("CARGO_PKG_VERSION")).to_owned(),
            made_at: chrono::Utc::now().into(),
            from: from.to_owned(),
            source_position,
            events: same.events,
            bytes: same.bytes,
            streams: same.streams,
            log_digest: same.log,
            heads_digest: same.heads,
        }
    }

    /// Whether that is what was backed up.
    #[must_use]
    pub fn describes(&self, same: &Same) -> bool {
        let (events, bytes, streams) = (self.events, self.bytes, self.streams);
        (events, bytes, streams) == (same.events, same.bytes, same.streams)
            && self.log_digest == same.log
            && self.heads_digest == same.heads
    }

    /// The last event's position in the backup itself, whose positions count from 1 without gaps.
    #[must_use]
    pub const fn end(&self) -> Position {
        Position(self.events)
    }

    /// What the directory says of itself; `None` where it is no backup, or not a whole one.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        let Some(found) = read::<Self>(dir, MANIFEST)? else { return Ok(None) };
        if found.nemo_backup == FORMAT {
            return Ok(Some(found));
        }
        let what = format!("The backup in {} is of form {}.", dir.display(), found.nemo_backup);
        let next = "Use the version that wrote it, or a later one.";
        Err(CommandError::new(Exit::Failed, what).next(next.to_owned()).into())
    }

    /// Makes the directory a backup, durably.
    ///
    /// # Errors
    /// A file that cannot be written; then the directory is what it was.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        write(dir, MANIFEST, self)
    }
}

/// What a directory is going to be: `unfinished.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// `backup` or `restore`.
    pub command: String,
    /// Where its events come from.
    pub from: String,
}

impl Unfinished {
    /// What the directory says of itself.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        read(dir, UNFINISHED)
    }

    /// Marks the directory, durably, before there is anything in it that could be taken for a whole ledger.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        write(dir, UNFINISHED, self)
    }

    /// Takes the mark away, durably.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn finished(dir: &Path) -> anyhow::Result<()> {
        match fs::remove_file(dir.join(UNFINISHED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", dir.join(UNFINISHED).display()))
            }
            Ok(()) | Err(_) => sync_dir(dir),
        }
    }
}

/// Refuses a directory that no node may write to: a backup, and what is not finished.
///
/// # Errors
/// Such a directory.
pub fn refuse_to_write(dir: &Path) -> anyhow::Result<()> {
    refuse_unfinished(dir)?;
    if Manifest::read(dir)?.is_some() {
        let what = format!("{} is a backup: it is not served and not changed.", dir.display());
        let next = format!("nemo ledger restore {} --data-dir NEW", dir.display());
        return Err(CommandError::new(Exit::Failed, what).next(next).into());
    }
    Ok(())
}

/// Refuses what another command has not finished.
///
/// # Errors
/// Such a directory.
pub fn refuse_unfinished(dir: &Path) -> anyhow::Result<()> {
    let Some(Unfinished { command, from }) = Unfinished::read(dir)? else { return Ok(()) };
    let what = format!("{} is an unfinished {command} of {from}.", dir.display());
    let next = format!("Run the same `nemo ledger {command}` again: it goes on where it ended.");
    Err(CommandError::new(Exit::Failed, what).next(next).into())
}

/// Refuses a directory in which there is no ledger and never was. One whose database is lost is let through:
/// opening it says so.
///
/// # Errors
/// Such a directory, with exit code 3.
pub fn require_ledger(dir: &Path) -> Result<(), CommandError> {
    if store::is_in(dir) || store::was_in(dir) {
        return Ok(());
    }
    let next = "Name the directory with --data-dir.";
    let what = format!("There is no ledger in {}.", dir.display());
    Err(CommandError::new(Exit::NotFound, what).next(next.to_owned()))
}

/// Makes a directory's entries durable.
///
/// # Errors
/// A directory that cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("cannot sync {}", dir.display()))
}

fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> anyhow::Result<Option<T>> {
    let path = dir.join(name);
    match fs::read(&path) {
        Ok(text) => {
            let read = serde_json::from_slice(&text);
            read.map(Some).with_context(|| format!("{} is not understood", path.display()))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn write(dir: &Path, name: &str, what: &impl Serialize) -> anyhow::Result<()> {
    let (path, draft) = (dir.join(name), dir.join(format!("{name}.new")));
    let text = serde_json::to_string_pretty(what)? + "\n";
    let written = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))?;
    sync_dir(dir)
}
