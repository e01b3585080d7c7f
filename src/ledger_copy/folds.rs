//! The read model, folded from both ends of a copy and compared row by row. Positions are the store's own,
//! so both are folded with the events' places in the log instead.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use nemo_events::Position;
use nemo_read_model::ReadModel;
use nemo_store::copy::CopyJob;
use nemo_store::{EventStore, MAX_PAGE};

use crate::cli::progress::Progress;
use crate::cli::{CommandError, Exit};

/// Folds that many events of both ends and compares what came of them.
///
/// # Errors
/// Where the folds differ, with exit code 5; where an end cannot be read or folded.
pub async fn compare(job: &CopyJob, events: u64) -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let bar = Arc::new(Progress::begin("folding both and comparing"));
    let fold = |store: &Arc<dyn EventStore>, name: &str| {
        let (store, path, bar) = (Arc::clone(store), scratch.0.join(name), Arc::clone(&bar));
        tokio::spawn(async move { folded(&*store, &path, events, &bar).await })
    };
    let (source, target) = (fold(&job.source, "source"), fold(&job.target, "target"));
    let (source, target) = (source.await??, target.await??);
    let compared = tokio::task::block_in_place(|| {
        anyhow::Ok(nemo_read_model::compare(&source.reader()?, &target.reader()?)?)
    })?;
    match compared.differences.first() {
        None => Ok(()),
        Some(difference) => {
            let what = format!("The folds of the copy and of its source differ in {}.", difference.table);
            Err(CommandError::new(Exit::IntegrityBroken, what).into())
        }
    }
}

async fn folded(
    store: &dyn EventStore,
    path: &Path,
    events: u64,
    bar: &Progress,
) -> anyhow::Result<ReadModel> {
    let mut model = ReadModel::open(path)?.model;
    let (mut after, mut place) = (None, 0);
    while place < events {
        let mut page = store.read_all(after, MAX_PAGE).await?;
        let last = page.last().context("the log ends before its copy did")?;
        after = Some(last.position);
        page.truncate(usize::try_from(events.saturating_sub(place)).unwrap_or(usize::MAX));
        for record in &mut page {
            place = place.saturating_add(1);
            record.position = Position(place);
        }
        tokio::task::block_in_place(|| model.apply(&page))?;
        bar.at(place, events);
    }
    Ok(model)
}

/// A directory that goes with the comparison.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("nemo-copy-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is only in the way of nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
