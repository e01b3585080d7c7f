//! Folds of long streams, on disk in the data directory: what the ledger asks and what keeps them filled.
//!
//! Nothing that goes wrong here is told to anybody but the log: whoever finds nothing folds from the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use nemo_events::{KeyId, Revision};
use nemo_projections::FOLD_VERSION;
use nemo_read_model::{ReadModelError, Snapshot, SnapshotFile};
use tracing::warn;

use crate::ledger::{Kept, Snapshots};

/// The file in the data directory. It may be deleted while Nemo is stopped.
pub const FILE: &str = "snapshots.sqlite";
/// Whoever wants to fold waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// The file of snapshots, opened when it is first needed.
pub struct Shelf {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// `None` before the first use, and after a failure.
    file: Mutex<Option<SnapshotFile>>,
    /// The failure at hand was told.
    told: AtomicBool,
}

impl Shelf {
    /// The snapshots in a data directory.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        let (path, file) = (data_dir.join(FILE), Mutex::default());
        Self { shared: Arc::new(Shared { path, file, told: AtomicBool::new(false) }) }
    }

    /// Does something with the file, on a thread where it may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SnapshotFile) -> Result<T, ReadModelError> + Send + 'static,
    ) -> Result<T, String> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || shared.with(work)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// The same for whoever would rather fold than wait.
    async fn ask(
        &self,
        question: impl FnOnce(&SnapshotFile) -> Result<Option<Snapshot>, ReadModelError> + Send + 'static,
    ) -> Option<Kept> {
        let found = tokio::time::timeout(PATIENCE, self.with(|file| question(file))).await.ok()?.ok()??;
        let Snapshot { revision, head_hash: hash, recorded_at, state, .. } = found;
        Some(Kept { revision, hash, recorded_at, state })
    }
}

impl Shared {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut SnapshotFile) -> Result<T, ReadModelError>,
    ) -> Result<T, ReadModelError> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let done = match slot.as_mut() {
            Some(file) => work(file),
            None => SnapshotFile::open(&self.path).and_then(|file| work(slot.insert(file))),
        };
        match &done {
            Ok(_) => self.told.store(false, Ordering::Relaxed),
            Err(error) => {
                *slot = None;
                if !self.told.swap(true, Ordering::Relaxed) {
                    warn!(%error, "snapshots cannot be used; long streams are folded from their start");
                }
                if error.is_damage() {
                    // Where even this fails, the next use says so.
                    let _ = SnapshotFile::discard(&self.path);
                }
            }
        }
        done
    }
}

#[async_trait]
impl Snapshots for Shelf {
    async fn latest(&self, key: KeyId) -> Option<Kept> {
        self.ask(move |file| file.latest(key, FOLD_VERSION)).await
    }

    async fn at_or_before(&self, key: KeyId, revision: Revision) -> Option<Kept> {
        self.ask(move |file| file.at_or_before(key, FOLD_VERSION, revision)).await
    }

    async fn keep(&self, key: KeyId, latest: Kept, moments: Vec<Kept>) -> Result<(), String> {
        let snapshot = move |kept: Kept| Snapshot {
            key,
            fold_version: FOLD_VERSION,
            revision: kept.revision,
            head_hash: kept.hash,
            recorded_at: kept.recorded_at,
            state: kept.state,
        };
        let moments: Vec<_> = moments.into_iter().map(snapshot).collect();
        self.with(move |file| file.put(&snapshot(latest), &moments)).await
    }

    async fn reached(&self) -> BTreeMap<KeyId, Revision> {
        self.with(|file| file.reached(FOLD_VERSION)).await.unwrap_or_default()
    }
}
