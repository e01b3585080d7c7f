//! `nemo ledger restore`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use nemo_store::copy::{Copied, Phase};
use nemo_store::{EventStore, UpTo};

use super::copying::{self, Work};
use super::marks::{self, Manifest, Unfinished};
use super::report::{self, BackupMade};
use super::{SECRETS_APART, directory};
use crate::cli::{CommandError, Exit, RestoreArgs};
use crate::{failpoint, store};

/// What may be in the new directory already: secrets may come first, and a mounted disk brings the other.
const HARMLESS: [&str; 3] = ["secrets", "lost+found", "unfinished.json.new"];

/// Makes a data directory of a backup, compares the two, and says what it holds.
///
/// # Errors
/// Why there is none; with exit code 5 where the backup is not what it says, 3 where there is none.
pub async fn run(args: RestoreArgs) -> anyhow::Result<()> {
    let RestoreArgs { from, data_dir, output } = args;
    let began = Instant::now();
    let manifest = described(&from)?;
    prepare(&data_dir, &from)?;
    let new = restored(&from, &data_dir, &manifest).await?;
    failpoint::reached("restore-copied");
    Unfinished::finished(&data_dir)?;
    report::print_restored(output, BackupMade::new(&data_dir, &manifest, new, began.elapsed()))?;
    eprintln!(
        "{SECRETS_APART}: before you serve {0}, put your copy of the secrets directory to {0}/secrets.",
        data_dir.display()
    );
    Ok(())
}

fn described(from: &Path) -> anyhow::Result<Manifest> {
    marks::refuse_unfinished(from)?;
    if let Some(manifest) = Manifest::read(from)? {
        return Ok(manifest);
    }
    let what = format!("There is no backup in {}.", from.display());
    let next = store::is_in(from).then(|| {
        format!(
            "It is a data directory: `nemo ledger backup BACKUP --data-dir {}` makes one.",
            from.display()
        )
    });
    Err(CommandError::new(Exit::NotFound, what).next(next).into())
}

/// Marks the new directory before anything is in it that a node would serve.
fn prepare(dir: &Path, from: &Path) -> anyhow::Result<()> {
    if Unfinished::read(dir)?.is_some_and(|found| found.command == "restore") {
        return Ok(());
    }
    if let Some(found) = in_the_way(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let what = if store::is_in(dir) {
            format!("There is a ledger in {}: nothing is restored over it.", dir.display())
        } else {
            format!("{} is not empty: `{found}` is in it.", dir.display())
        };
        let next = "Name a new directory, or one with nothing but secrets in it.";
        return Err(CommandError::usage(what).next(next.to_owned()).into());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot create {}", dir.display()))?;
    Unfinished { command: "restore".to_owned(), from: from.display().to_string() }.write(dir)
}

fn in_the_way(dir: &Path) -> io::Result<Option<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !HARMLESS.contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Returns how many events this run brought over.
async fn restored(from: &Path, to: &Path, manifest: &Manifest) -> anyhow::Result<u64> {
    let source = directory::open(from).await?;
    let target = match directory::open(to).await {
        Ok(target) => target,
        Err(error) => {
            source.close().await;
            return Err(error);
        }
    };
    // What a later, unfinished backup added is no part of it.
    let past: Arc<dyn EventStore> = Arc::new(UpTo::new(Arc::clone(&source), manifest.end()));
    let copied = copying::copy(&past, &target, work(from, to)).await;
    target.close().await;
    source.close().await;
    let Copied { new, same, .. } = copied?;
    if manifest.describes(&same) {
        return Ok(new);
    }
    let what = format!(
        "The backup {} is not what its backup.json says: {} events with the log digest {}.",
        from.display(),
        same.events,
        same.log
    );
    let next = format!("Do not serve {}: it is left unfinished. Restore another backup.", to.display());
    Err(CommandError::new(Exit::IntegrityBroken, what).next(next).into())
}

fn work(from: &Path, to: &Path) -> Work {
    let other = || {
        let what =
            format!("What was restored to {} so far is not of the backup {}.", to.display(), from.display());
        CommandError::usage(what).next("Remove it, or name a new directory.".to_owned())
    };
    Work {
        reached: |phase| match phase {
            Phase::Resuming => "restore-resuming",
            Phase::Copying => "restore-copying",
            Phase::Comparing => "restore-comparing",
        },
        differs: other(),
        ahead: other(),
    }
}
