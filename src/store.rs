//! Opens the store that the configuration names.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use nemo_store::EventStore;
use nemo_store::embedded::{EmbeddedStore, Options};

/// Opens the embedded store, after all its checks. Blocks while it reads the whole ledger.
///
/// # Errors
/// A ledger that is in use or damaged; the text names the place and what to do.
pub fn open(dir: &Path) -> anyhow::Result<Arc<dyn EventStore>> {
    let store = EmbeddedStore::open(dir, options());
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
