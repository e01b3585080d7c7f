//! Opens the store that the configuration names.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use nemo_store::EventStore;
use nemo_store::embedded::{Commit, EmbeddedStore, Options};

use crate::metrics::store::StoreMetrics;

/// Opens the embedded store, after all its checks. Blocks while it reads the whole ledger.
///
/// # Errors
/// A ledger that is in use or damaged; the text names the place and what to do.
pub fn open(dir: &Path, metrics: &StoreMetrics) -> anyhow::Result<Arc<dyn EventStore>> {
    let metrics = metrics.clone();
    let on_commit = Box::new(move |commit: Commit| metrics.committed(commit.events, commit.took));
    let store = EmbeddedStore::open(dir, Options { on_commit, ..options() });
    let store = store.with_context(|| format!("cannot open the ledger in {}", dir.display()))?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "failpoints"))]
fn options() -> Options {
    Options::default()
}

#[cfg(feature = "failpoints")]
fn options() -> Options {
    Options { on_phase: Some(crate::failpoint::reached), ..Options::default() }
}
