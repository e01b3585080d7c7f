//! The contract on the embedded store, and what only it promises.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod crash;
mod damage;
mod directory;
mod disk;
mod people;
mod watermarks;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nemo_events::{EventRecord, Revision};
use tempfile::TempDir;

use super::*;
use crate::MAX_PAGE;
use crate::contract::Script;

crate::contract_tests!(async || {
    let dir = scratch();
    let store = EmbeddedStore::open(dir.path(), options()).unwrap();
    (Arc::new(store) as Arc<dyn EventStore>, dir)
});

/// A directory in memory where there is one: a killed process loses nothing there either.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Options under which a fatal error does not end the test.
fn options() -> Options {
    Options { on_fatal: Arc::new(|_| {}), readers: 2, ..Options::default() }
}

/// The same, with a record of fatal errors.
fn recording() -> (Options, Arc<Mutex<Vec<String>>>) {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&errors);
    let on_fatal = Arc::new(move |error: &FatalError| record.lock().unwrap().push(error.to_string()));
    (Options { on_fatal, ..options() }, errors)
}

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, options()).unwrap()
}

/// What a kill leaves behind: the files as they are, while the store is open. The watermark first, as it
/// must not be newer than the rest.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["watermark", "ledger.sqlite3", "ledger.sqlite3-wal"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// Every event there is, by position.
async fn everything(store: &EmbeddedStore) -> Result<Vec<EventRecord>, ReadError> {
    let mut all: Vec<EventRecord> = Vec::new();
    loop {
        let page = store.read_all(all.last().map(|record| record.position), 100).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// A stream from its start, or from its end.
async fn stream(
    store: &EmbeddedStore,
    name: &StreamName,
    way: Direction,
) -> Result<Vec<EventRecord>, ReadError> {
    let from = match way {
        Direction::Forwards => Revision::FIRST,
        Direction::Backwards => Revision(u64::MAX),
    };
    store.read_stream(name, from, way, MAX_PAGE).await
}
