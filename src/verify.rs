//! `nemo ledger verify`: proves a ledger that nobody writes to, and its read model (I6).

mod serving;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use nemo_events::{EventRecord, Position};
use nemo_read_model::{Difference, ReadModel, compare};
use nemo_store::copy::Chains;
use nemo_store::embedded::DirLock;
use nemo_store::{EventStore, MAX_PAGE, ReadError, UpTo};

use crate::backup::directory;
use crate::backup::marks::{self, Manifest};
use crate::cli::progress::Progress;
use crate::cli::{CommandError, Exit, VerifyArgs};
use crate::config::StoreEntry;
use crate::ledger_copy::first_answer;
use crate::read_side::FILE;
use crate::{failpoint, store};

/// Checks every hash and every chain, builds the read model again from nothing, and compares it with the
/// one on disk, if there is one.
///
/// # Errors
/// A ledger that is in use; one that is not there, with exit code 3; one that is damaged, or a read model that
/// differs, with 5; a server that cannot be reached, with 6.
pub async fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    if args.serving {
        return serving::run(args.remote.clone()).await;
    }
    let config = args.server.over_config(args.store.as_deref(), args.data_dir.as_deref())?;
    let dir = &config.server.data_dir;
    match &config.store {
        StoreEntry::Embedded => in_directory(dir).await,
        StoreEntry::Server(entry) => {
            let opened = store::connect(entry)?;
            first_answer(&opened).await?;
            let result = on_server(&*opened.events, dir).await;
            opened.events.close().await;
            result
        }
    }
}

async fn in_directory(dir: &Path) -> anyhow::Result<()> {
    marks::require_ledger(dir)?;
    marks::refuse_unfinished(dir)?;
    let backup = Manifest::read(dir)?;
    let opened = directory::open(dir).await?;
    let result = match backup {
        Some(manifest) => of_backup(&opened, dir, &manifest).await,
        None => of_ledger(&*opened, dir).await,
    };
    opened.close().await;
    result
}

async fn of_ledger(events: &dyn EventStore, dir: &Path) -> anyhow::Result<()> {
    let count = events.head().await?.map_or(0, |head| head.0);
    eprintln!("{count} events: every hash, chain and position holds");
    sweep(dir)?;
    projections(events, Some(&dir.join(FILE)), dir).await
}

/// A backup has no read model; it has a description that must fit.
async fn of_backup(events: &Arc<dyn EventStore>, dir: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let past = UpTo::new(Arc::clone(events), manifest.end());
    let same = chains(&past).await?.same();
    if !manifest.describes(&same) {
        let what = format!("The backup {} is not what its backup.json says.", dir.display());
        return Err(broken(what).into());
    }
    eprintln!("{} events: every hash, chain and position holds; all as backed up", same.events);
    projections(&past, None, &std::env::temp_dir()).await
}

/// Removes what a run left that was killed. The directory is this process's own.
fn sweep(dir: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        let left = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("verify-"));
        if left && path.is_dir() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// A server checks nothing of a ledger when it starts, so everything is read here.
async fn on_server(events: &dyn EventStore, dir: &Path) -> anyhow::Result<()> {
    let chains = chains(events).await?.same();
    eprintln!("{} events in {} streams: every hash and chain holds", chains.events, chains.streams);
    let model = dir.join(FILE);
    if !model.exists() {
        return projections(events, None, &std::env::temp_dir()).await;
    }
    match DirLock::acquire(dir) {
        Ok(_lock) => projections(events, Some(&model), dir).await,
        Err(error) => {
            eprintln!("the read model on disk is not compared: {error}");
            projections(events, None, &std::env::temp_dir()).await
        }
    }
}

async fn chains(events: &dyn EventStore) -> anyhow::Result<Chains> {
    let (mut chains, mut after) = (Chains::new(), None);
    let end = events.head().await?.map_or(0, |head| head.0);
    let bar = Progress::begin("checking events");
    loop {
        let page = page(events, after).await?;
        let Some(last) = page.last() else { return Ok(chains) };
        after = Some(last.position);
        for record in &page {
            let place = || format!("{} {}", record.event.stream, record.event.revision);
            let followed = chains.follow(&record.event);
            followed.map_err(|error| broken(format!("The ledger does not hold at {}: {error}.", place())))?;
        }
        // Positions grow with the log: only the bar rests on that.
        bar.at(last.position.0, end.max(last.position.0));
    }
}

/// Rebuilds the read model, which proves that the log can be folded, and compares it with another.
async fn projections(events: &dyn EventStore, on_disk: Option<&Path>, room: &Path) -> anyhow::Result<()> {
    let scratch = room.join(format!("verify-{}", std::process::id()));
    std::fs::create_dir(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let result = differences(events, on_disk, &scratch.join(FILE)).await;
    std::fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    match result? {
        None => eprintln!("the read model was rebuilt from nothing; there is none to compare it with"),
        Some(differences) => report(&differences)?,
    }
    Ok(())
}

fn broken(what: String) -> CommandError {
    CommandError::new(Exit::IntegrityBroken, what)
}

async fn differences(
    events: &dyn EventStore,
    on_disk: Option<&Path>,
    fresh: &Path,
) -> anyhow::Result<Option<Vec<Difference>>> {
    let rebuilt = caught_up(events, ReadModel::open(fresh)?.model).await?;
    let Some(path) = on_disk else { return Ok(None) };
    let existing = ReadModel::open(path)?.model;
    if !crate::read_side::belongs_to(events, existing.head()).await? {
        eprintln!("the read model on disk is of another ledger or store; the next start builds it anew");
        return Ok(None);
    }
    let existing = caught_up(events, existing).await?;
    Ok(Some(compare(&existing.reader()?, &rebuilt.reader()?)?.differences))
}

/// Brings a read model to the ledger's end.
async fn caught_up(events: &dyn EventStore, mut model: ReadModel) -> anyhow::Result<ReadModel> {
    loop {
        let page = page(events, model.position()).await?;
        if page.is_empty() {
            return Ok(model);
        }
        model.apply(&page)?;
        failpoint::reached("verify-page");
    }
}

async fn page(events: &dyn EventStore, after: Option<Position>) -> anyhow::Result<Vec<EventRecord>> {
    events.read_all(after, MAX_PAGE).await.map_err(|error| match error {
        ReadError::Unavailable(_) => {
            CommandError::new(Exit::Unreachable, format!("The ledger cannot be read: {error}.")).into()
        }
        ReadError::Damaged { .. } => broken(format!("The ledger does not hold: {error}.")).into(),
    })
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
