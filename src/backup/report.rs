//! What came of a backup or a restore, in every format.

use std::path::Path;
use std::time::Duration;

use nemo_events::{Digest, Position, Timestamp};
use serde::Serialize;

use super::marks::Manifest;
use crate::cli::render::{Cell, Column, Shape, rows};
use crate::cli::reply::Verbatim;
use crate::cli::screen::Screen;
use crate::cli::{CommandError, Output};

/// A ledger that is in a directory now.
#[derive(Debug, Serialize)]
pub(super) struct BackupMade {
    directory: String,
    /// Where its events come from.
    from: String,
    source_position: Position,
    made_at: Timestamp,
    /// Events that this run brought over.
    new_events: u64,
    events: u64,
    bytes: u64,
    streams: u64,
    log_digest: Digest,
    heads_digest: Digest,
    seconds: f64,
}

impl BackupMade {
    pub(super) fn new(dir: &Path, manifest: &Manifest, new_events: u64, took: Duration) -> Self {
        Self {
            directory: dir.display().to_string(),
            from: manifest.from.clone(),
            source_position: manifest.source_position,
            made_at: manifest.made_at,
            new_events,
            events: manifest.events,
            bytes: manifest.bytes,
            streams: manifest.streams,
            log_digest: manifest.log_digest,
            heads_digest: manifest.heads_digest,
            seconds: took.as_secs_f64(),
        }
    }
}

macro_rules! shape {
    ($directory:literal, $heading:literal) => {
        Shape {
            columns: &[
                Column::new($directory, $heading, |made| Cell::Id(made.directory.clone())),
                Column::in_files("from", |made| Cell::Text(made.from.clone())),
                Column::new("source_position", "Position", |made| Cell::Count(made.source_position.0)),
                Column::in_files("made_at", |made| Cell::Second(made.made_at)),
                Column::new("new_events", "New events", |made| Cell::Count(made.new_events)),
                Column::new("events", "Events", |made| Cell::Count(made.events)),
                Column::new("bytes", "Bytes", |made| Cell::Count(made.bytes)),
                Column::new("streams", "Streams", |made| Cell::Count(made.streams)),
                Column::in_files("log_digest", |made| Cell::Id(made.log_digest.to_string())),
                Column::in_files("heads_digest", |made| Cell::Id(made.heads_digest.to_string())),
                Column::in_tables("Took", |made| Cell::Text(format!("{:.1} s", made.seconds))),
            ],
            none: "",
        }
    };
}

static BACKUP: Shape<BackupMade> = shape!("directory", "Backup");
static RESTORED: Shape<BackupMade> = shape!("directory", "Data directory");

pub(super) fn print_backup(output: Output, made: BackupMade) -> anyhow::Result<()> {
    print(&BACKUP, output, made)
}

pub(super) fn print_restored(output: Output, made: BackupMade) -> anyhow::Result<()> {
    print(&RESTORED, output, made)
}

/// One row of what this program itself has found, in every format.
///
/// # Errors
/// Where nobody takes the data.
pub fn print<V: Serialize>(shape: &'static Shape<V>, output: Output, view: V) -> anyhow::Result<()> {
    let (row, mut screen) = (Verbatim::of(view)?, Screen::of_process());
    let text = rows::alone(shape, &row.view, row.json(), output, screen.look);
    screen.data(&text).map_err(|error: CommandError| error.into())
}
