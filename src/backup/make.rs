//! `nemo ledger backup`.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use nemo_events::Position;
use nemo_store::copy::{Copied, Phase};
use nemo_store::{EventStore, UpTo};

use super::copying::{self, Work};
use super::marks::{self, Manifest, Unfinished};
use super::remote_log::RemoteLog;
use super::report::{self, BackupMade};
use super::{SECRETS_APART, directory};
use crate::cli::remote::RemoteOptions;
use crate::cli::{BackupArgs, CommandError, Exit};
use crate::failpoint;

/// Backs a ledger up, or brings a backup up to date, and says what it holds.
///
/// # Errors
/// Why there is no backup, or the one that was there is not up to date; with exit code 5 where a ledger is
/// damaged or has lost events, 6 where the node cannot be reached.
pub async fn run(args: BackupArgs) -> anyhow::Result<()> {
    let (began, output) = (Instant::now(), args.remote.output);
    let source = Source::open(args.data_dir.as_deref(), args.remote).await?;
    let made = backed_up(&source, &args.to, args.at).await;
    source.events.close().await;
    let (new, manifest) = made?;
    let made = BackupMade::new(&args.to, &manifest, new, began.elapsed());
    report::print_backup(output, made)?;
    eprintln!("{SECRETS_APART}: keep a copy of the secrets directory apart from it, and of nemo.toml.");
    Ok(())
}

/// What is backed up.
struct Source {
    events: Arc<dyn EventStore>,
    /// Over HTTP.
    node: Option<Arc<RemoteLog>>,
    /// For people.
    named: String,
}

impl Source {
    async fn open(dir: Option<&Path>, remote: RemoteOptions) -> anyhow::Result<Self> {
        if let Some(dir) = dir {
            marks::require_ledger(dir)?;
            marks::refuse_to_write(dir)?;
            let named = dir.display().to_string();
            return Ok(Self { events: directory::open(dir).await?, node: None, named });
        }
        let client = remote.open()?.client;
        let named = client.server().to_string();
        let node = Arc::new(RemoteLog::new(client));
        Ok(Self { events: Arc::clone(&node) as Arc<dyn EventStore>, node: Some(node), named })
    }

    /// The last position to back up.
    async fn end(&self, wanted: Option<Position>) -> anyhow::Result<Position> {
        let head = match &self.node {
            Some(node) => node.end().await?,
            None => self.events.head().await?,
        };
        let head = head.ok_or_else(|| {
            CommandError::new(Exit::NotFound, format!("The ledger of {} is empty.", self.named))
        })?;
        match wanted {
            Some(wanted) if wanted > head => {
                let what = format!("There is no position {wanted} yet: the ledger ends at {head}.");
                Err(CommandError::usage(what).into())
            }
            wanted => Ok(wanted.unwrap_or(head)),
        }
    }
}

async fn backed_up(source: &Source, to: &Path, at: Option<Position>) -> anyhow::Result<(u64, Manifest)> {
    let end = source.end(at).await?;
    let place = Place::prepare(to, &source.named)?;
    let target = directory::open(&place.working).await?;
    let past: Arc<dyn EventStore> = Arc::new(UpTo::new(Arc::clone(&source.events), end));
    let copied = copying::copy(&past, &target, work(to, at)).await;
    target.close().await;
    let Copied { new, same, .. } = copied.map_err(|error| {
        // In the node's own words, if it has said any.
        source.node.as_ref().and_then(|node| node.refusal()).unwrap_or(error)
    })?;
    let manifest = Manifest::of(&same, &source.named, end);
    failpoint::reached("backup-copied");
    manifest.write(&place.working)?;
    failpoint::reached("backup-described");
    place.finish(to)?;
    Ok((new, manifest))
}

fn work(to: &Path, at: Option<Position>) -> Work {
    let to = to.display();
    let ahead = match at {
        Some(at) => CommandError::usage(format!("The backup {to} reaches beyond position {at} already.")),
        None => CommandError::new(
            Exit::IntegrityBroken,
            format!("The backup {to} has events that the ledger does not have."),
        )
        .next(
            "If the ledger was restored from an earlier backup, begin a new one. If not, it has lost events: keep \
             this backup."
                .to_owned(),
        ),
    };
    Work {
        reached: |phase| match phase {
            Phase::Resuming => "backup-resuming",
            Phase::Copying => "backup-copying",
            Phase::Comparing => "backup-comparing",
        },
        differs: CommandError::new(Exit::Failed, format!("{to} holds the backup of another ledger."))
            .next("Name a new directory.".to_owned()),
        ahead,
    }
}

/// Where a backup is while it is made.
struct Place {
    working: PathBuf,
    is_new: bool,
}

impl Place {
    /// A backup that is there goes on where it is; a new one is made under another name.
    fn prepare(to: &Path, from: &str) -> anyhow::Result<Self> {
        if Manifest::read(to)?.is_some() {
            return Ok(Self { working: to.to_owned(), is_new: false });
        }
        if to.exists() && !is_empty_dir(to) {
            let what = format!("{} is there, and it is no backup.", to.display());
            let next = "Name a new directory, or an earlier backup of this ledger.";
            return Err(CommandError::usage(what).next(next.to_owned()).into());
        }
        let name =
            to.file_name().ok_or_else(|| CommandError::usage("The backup needs a name of its own."))?;
        let mut partial = name.to_owned();
        partial.push(".partial");
        let working = to.with_file_name(partial);
        if !working.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&working)
                .with_context(|| format!("cannot create {}", working.display()))?;
        }
        // A kill before the mark leaves an empty directory, one after the manifest a backup to rename.
        if Unfinished::read(&working)?.is_none() && Manifest::read(&working)?.is_none() {
            if !is_empty_dir(&working) {
                let what = format!("{} is there, and it is no unfinished backup.", working.display());
                return Err(CommandError::usage(what).next("Move it away.".to_owned()).into());
            }
            Unfinished { command: "backup".to_owned(), from: from.to_owned() }.write(&working)?;
        }
        Ok(Self { working, is_new: true })
    }

    /// The backup is whole: gives it its name.
    fn finish(self, to: &Path) -> anyhow::Result<()> {
        if !self.is_new {
            return Ok(());
        }
        Unfinished::finished(&self.working)?;
        failpoint::reached("backup-finished");
        let renamed = fs::rename(&self.working, to);
        renamed.with_context(|| {
            format!(
                "the backup is whole in {}, but cannot be renamed to {}",
                self.working.display(),
                to.display()
            )
        })?;
        marks::sync_dir(to.parent().unwrap_or(Path::new(".")))
    }
}

fn is_empty_dir(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.all(|entry| {
            // A draft of the mark that a kill left says nothing.
            entry.is_ok_and(|entry| entry.file_name() == "unfinished.json.new")
        })
    })
}
