//! `nemo ledger rebuild`: a stopped node's read model, built from nothing. The one that is there stays until the
//! new one is whole; whatever interrupts, a node that starts has one of the two, or builds its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use nemo_events::Position;
use nemo_read_model::ReadModel;
use nemo_store::{EventStore, MAX_PAGE};
use serde::Serialize;

use crate::backup::{directory, marks, print};
use crate::cli::render::{Cell, Column, Shape};
use crate::cli::{Progress, RebuildArgs};
use crate::failpoint;
use crate::read_side::FILE;

/// Where the new one is made, in the data directory.
const SCRATCH: &str = "read-model.rebuild";

/// A read model that was built anew.
#[derive(Serialize)]
struct Rebuilt {
    read_model: String,
    position: Option<Position>,
    seconds: f64,
}

static REBUILT: Shape<Rebuilt> = Shape {
    columns: &[
        Column::new("read_model", "Read model", |it| Cell::Id(it.read_model.clone())),
        Column::new("position", "Position", |it| Cell::maybe(it.position, |at| Cell::Count(at.0))),
        Column::in_tables("Took", |it| Cell::Text(format!("{:.1} s", it.seconds))),
    ],
    none: "",
};

/// Builds it, puts it in place of the other, and says how far it goes.
///
/// # Errors
/// A directory that is in use or a backup, a damaged ledger, no room; then the old one is still there.
pub async fn run(args: &RebuildArgs) -> anyhow::Result<()> {
    let (dir, began) = (&args.data_dir, Instant::now());
    marks::require_ledger(dir)?;
    marks::refuse_to_write(dir)?;
    let events = directory::open(dir).await?;
    // The ledger's lock keeps nodes away until the new one is in place.
    let rebuilt = replaced(&*events, dir).await;
    events.close().await;
    let (path, position) = rebuilt?;
    let seconds = began.elapsed().as_secs_f64();
    print(&REBUILT, args.output, Rebuilt { read_model: path.display().to_string(), position, seconds })
}

async fn replaced(events: &dyn EventStore, dir: &Path) -> anyhow::Result<(PathBuf, Option<Position>)> {
    let (scratch, path) = (dir.join(SCRATCH), dir.join(FILE));
    remove(&scratch)?;
    fs::create_dir(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let fresh = scratch.join(FILE);
    let position = build(events, &fresh).await;
    let position = match position {
        Ok(position) => position,
        Err(error) => {
            remove(&scratch)?;
            return Err(error);
        }
    };
    let synced = File::open(&fresh).and_then(|file| file.sync_all());
    synced.with_context(|| format!("cannot sync {}", fresh.display()))?;
    failpoint::reached("rebuild-built");
    ReadModel::discard(&path)?;
    failpoint::reached("rebuild-discarded");
    fs::rename(&fresh, &path).with_context(|| format!("cannot replace {}", path.display()))?;
    failpoint::reached("rebuild-replaced");
    remove(&scratch)?;
    marks::sync_dir(dir)?;
    Ok((path, position))
}

async fn build(events: &dyn EventStore, path: &Path) -> anyhow::Result<Option<Position>> {
    let end = events.head().await?.map_or(0, |head| head.0);
    let mut model = ReadModel::open(path)?.model;
    let bar = Progress::begin("folding events");
    loop {
        let page = events.read_all(model.position(), MAX_PAGE).await?;
        if page.is_empty() {
            break;
        }
        tokio::task::block_in_place(|| model.apply(&page))?;
        failpoint::reached("rebuild-page");
        bar.at(model.position().map_or(0, |position| position.0), end);
    }
    let position = model.position();
    // The last connection moves the write-ahead log into the file; only the file is put in place.
    drop(model);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    anyhow::ensure!(!Path::new(&log).exists(), "the new read model could not be closed");
    Ok(position)
}

/// Removes what an earlier run left.
fn remove(scratch: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", scratch.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
