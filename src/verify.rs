//! `nemo ledger verify`: proves a stopped node's ledger and its read model (I6).

use std::path::Path;

use anyhow::Context as _;
use nemo_events::{EventRecord, Position};
use nemo_read_model::{Difference, ReadModel, compare};
use nemo_store::embedded::{EmbeddedStore, Options};
use nemo_store::{EventStore, MAX_PAGE};

use crate::cli::{CommandError, Exit};
use crate::read_side::FILE;

/// Checks every hash and every chain, builds the read model again from nothing, and compares it with the
/// one on disk.
///
/// # Errors
/// A ledger that is in use or damaged, or a read model that differs, with exit code 5.
pub async fn run(data_dir: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(data_dir.is_dir(), "there is no directory {}", data_dir.display());
    let dir = data_dir.to_owned();
    let store = tokio::task::spawn_blocking(move || EmbeddedStore::open(&dir, Options::default())).await?;
    let store = store.map_err(|error| broken(format!("The ledger does not hold: {error}.")))?;
    let events = store.head().await?.map_or(0, |head| head.0);
    eprintln!("{events} events: every hash, chain and position holds");
    let scratch = data_dir.join(format!("verify-{}", std::process::id()));
    std::fs::create_dir(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let result = differences(&store, &data_dir.join(FILE), &scratch.join(FILE)).await;
    std::fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    store.close().await;
    report(&result?)
}

fn broken(what: String) -> CommandError {
    CommandError::new(Exit::IntegrityBroken, what)
}

async fn differences(store: &EmbeddedStore, on_disk: &Path, fresh: &Path) -> anyhow::Result<Vec<Difference>> {
    let existing = caught_up(store, on_disk).await?;
    let rebuilt = caught_up(store, fresh).await?;
    Ok(compare(&existing.reader()?, &rebuilt.reader()?)?.differences)
}

/// Opens a read model and brings it to the ledger's end.
async fn caught_up(store: &EmbeddedStore, path: &Path) -> anyhow::Result<ReadModel> {
    let mut model = ReadModel::open(path)?.model;
    loop {
        let page = page(store, model.position()).await?;
        if page.is_empty() {
            return Ok(model);
        }
        model.apply(&page)?;
    }
}

async fn page(store: &EmbeddedStore, after: Option<Position>) -> anyhow::Result<Vec<EventRecord>> {
    Ok(store
        .read_all(after, MAX_PAGE)
        .await
        .map_err(|error| broken(format!("The ledger does not hold: {error}.")))?)
}

fn report(differences: &[Difference]) -> anyhow::Result<()> {
    if differences.is_empty() {
        eprintln!("the read model, rebuilt from nothing, is the same");
        return Ok(());
    }
    let told: Vec<String> = differences
        .iter()
        .map(|d| format!("{}: has {:?}, the log says {:?}", d.table, d.first, d.second))
        .collect();
    Err(broken(format!("The read model differs from the log. {}.", told.join("; "))).into())
}
