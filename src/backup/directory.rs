//! Opening a directory's ledger, with everything that is checked then, and what is told where that fails.

use std::path::Path;
use std::sync::Arc;

use nemo_store::embedded::{OpenError, Options, WatermarkRule};
use nemo_store::{EmbeddedStore, EventStore};

use crate::cli::{CommandError, Exit, Progress};
use crate::store;

/// Opens the ledger in a directory, after reading all of it. Makes both where there is none.
///
/// # Errors
/// A directory that is in use, with what to do; a damaged ledger, with exit code 5.
pub async fn open(dir: &Path) -> anyhow::Result<Arc<dyn EventStore>> {
    open_with(dir, WatermarkRule::Require).await
}

/// The same with another rule for a watermark that is lost.
///
/// # Errors
/// As [`open`].
pub async fn open_with(dir: &Path, watermark: WatermarkRule) -> anyhow::Result<Arc<dyn EventStore>> {
    let checking = Progress::begin("checking events");
    let on_progress =
        Box::new(move |done: nemo_store::embedded::Progress| checking.at(done.done, done.total));
    let options = Options { watermark, on_progress, ..store::options() };
    let path = dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&path, options)).await?;
    Ok(Arc::new(opened.map_err(refused)?))
}

/// What to do about a ledger that is in use.
const ASK_THE_NODE: &str = "Stop the node; or ask it over HTTP: `nemo ledger verify --serving`, or `status` and \
                            `backup` without --data-dir.";

fn refused(error: OpenError) -> CommandError {
    let (exit, next) = match &error {
        OpenError::InUse { .. } => (Exit::Failed, Some(ASK_THE_NODE)),
        OpenError::Io { .. } | OpenError::Sqlite { .. } => (Exit::Failed, None),
        OpenError::Watermark { .. } => {
            (Exit::IntegrityBroken, Some("`nemo ledger accept-end` takes the end that is there for granted."))
        }
        _ => (Exit::IntegrityBroken, None),
    };
    let what = format!("The ledger cannot be opened: {:#}.", anyhow::Error::from(error));
    CommandError::new(exit, what).next(next.map(str::to_owned))
}
