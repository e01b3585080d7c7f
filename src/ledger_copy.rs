//! `nemo ledger copy`: takes a ledger to another directory or to a server, or back. The copying itself is
//! the store's: [`nemo_store::copy`]. Here both ends are opened, what must not be copied is refused, and the
//! read model is folded from both and compared.

pub mod folds;
mod report;
pub mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nemo_events::{GatewayEvent, NodeId, Revision, StreamName, Timestamp};
use nemo_store::copy::{Copied, CopyError, CopyJob};
use nemo_store::{Direction, EventStore, MAX_PAGE, ReadError};

use crate::cli::place::StoreOptions;
use crate::cli::{CommandError, CopyArgs, Exit};
use crate::config::StoreEntry;
use crate::store::{self, Kind, Opened};
use told::Told;

/// How long a server may be away before the copy gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a server may take to answer for the first time.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// Copies, compares, and says what was copied.
///
/// # Errors
/// Why nothing, or not everything, was copied; with exit code 5 where a ledger is damaged or the target is
/// something else, 6 where a server cannot be reached.
pub async fn run(args: &CopyArgs) -> anyhow::Result<()> {
    let (from, to) = (End::of(&args.from), End::of(&args.to));
    if from == to && args.from_prefix == args.to_prefix {
        return Err(CommandError::usage("The ledger is to be copied to where it is.").into());
    }
    let source = from.open(args.from_prefix.as_deref(), &args.server, Role::Source).await?;
    let target = to.open(args.to_prefix.as_deref(), &args.server, Role::Target).await?;
    let done = tokio::select! {
        done = copy(args, &source, &target) => done,
        _ = tokio::signal::ctrl_c() => Err(CommandError::new(Exit::Failed, "The copy was interrupted.")
            .next("Run the same command again: it goes on where it ended.".to_owned()).into()),
    };
    source.events.close().await;
    target.events.close().await;
    let (copied, took) = done?;
    report::print(args.output, &source.place, &target.place, &copied, took)
}

async fn copy(args: &CopyArgs, source: &Opened, target: &Opened) -> anyhow::Result<(Copied, Duration)> {
    if source.place.kind == Kind::EventStoreDb && !args.nodes_are_stopped {
        refuse_if_served(&*source.events).await?;
    }
    let (began, told) = (Instant::now(), Arc::new(Told::default()));
    let on_progress = Arc::clone(&told);
    let job = CopyJob {
        source: Arc::clone(&source.events),
        target: Arc::clone(&target.events),
        patience: PATIENCE,
        on_progress: Arc::new(move |progress| on_progress.at(progress)),
    };
    let copied = job.run().await.map_err(failed)?;
    told.done();
    folds::compare(&job, copied.same.events).await?;
    Ok((copied, began.elapsed()))
}

/// Whether an end is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Source,
    Target,
}

/// What stands behind `--from` and `--to`.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Directory(PathBuf),
    Server(String),
}

impl End {
    fn of(text: &str) -> Self {
        if text.contains("://") { Self::Server(text.to_owned()) } else { Self::Directory(text.into()) }
    }

    async fn open(&self, prefix: Option<&str>, server: &StoreOptions, role: Role) -> anyhow::Result<Opened> {
        match self {
            Self::Directory(dir) => {
                if role == Role::Source && !store::is_in(dir) {
                    let what = format!("There is no ledger in {}.", dir.display());
                    return Err(CommandError::new(Exit::NotFound, what).into());
                }
                let checking = crate::cli::progress::Progress::begin("checking events");
                store::open_embedded(dir.clone(), move |done| checking.at(done.done, done.total)).await
            }
            Self::Server(url) => {
                let mut server = server.clone();
                if let Some(prefix) = prefix {
                    server.stream_prefix = Some(prefix.to_owned());
                }
                let config = server.over_config(Some(url), None)?;
                let StoreEntry::Server(entry) = &config.store else {
                    anyhow::bail!("the configuration names no server");
                };
                let opened = store::connect(entry)?;
                first_answer(&opened).await?;
                Ok(opened)
            }
        }
    }
}

/// Waits until a server answers for the first time.
///
/// # Errors
/// With exit code 6 where it does not.
pub async fn first_answer(opened: &Opened) -> Result<(), CommandError> {
    let began = Instant::now();
    loop {
        let why = match opened.events.head().await {
            Ok(_) => return Ok(()),
            Err(ReadError::Unavailable(why)) => why,
            Err(damaged) => return Err(CommandError::new(Exit::IntegrityBroken, format!("{damaged}."))),
        };
        if began.elapsed() > FIRST_ANSWER {
            let what = format!("{} cannot be reached: {why}.", opened.place);
            return Err(CommandError::new(Exit::Unreachable, what));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server does not tell whether nodes work on a ledger; the ledger tells which of them never said that they
/// stopped.
async fn refuse_if_served(events: &dyn EventStore) -> anyhow::Result<()> {
    let running = running_nodes(events).await?;
    if running.is_empty() {
        return Ok(());
    }
    let nodes: Vec<String> =
        running.iter().map(|(node, since)| format!("{node} (started {since})")).collect();
    let what = format!("Nodes may be working on this ledger: {}.", nodes.join(", "));
    let next = "Stop them. If they are stopped already, and were killed or cut off, say so with \
                --nodes-are-stopped.";
    Err(CommandError::new(Exit::Failed, what).next(next.to_owned()).into())
}

async fn running_nodes(events: &dyn EventStore) -> anyhow::Result<Vec<(NodeId, Timestamp)>> {
    let mut running: Vec<(NodeId, Timestamp)> = Vec::new();
    let mut from = Revision::FIRST;
    loop {
        let page = events.read_stream(&StreamName::Gateway, from, Direction::Forwards, MAX_PAGE).await?;
        let Some(last) = page.last() else { return Ok(running) };
        from = last.event.revision.next();
        for record in &page {
            let event = &record.event;
            let said = GatewayEvent::decode(&event.event_type, event.version, &event.data);
            match said.with_context(|| format!("gateway {}", event.revision))? {
                GatewayEvent::NodeStarted(started) => {
                    running.retain(|(node, _)| *node != started.node);
                    running.push((started.node, event.recorded_at));
                }
                GatewayEvent::NodeStopped(stopped) => running.retain(|(node, _)| *node != stopped.node),
                _ => {}
            }
        }
    }
}

fn failed(error: CopyError) -> anyhow::Error {
    let (exit, next) = match &error {
        CopyError::Differs { .. } | CopyError::Ahead { .. } => {
            (Exit::Failed, "Name an empty target, or the one that an earlier copy of this ledger began.")
        }
        CopyError::Read { source: ReadError::Damaged { .. }, .. } | CopyError::Head { .. } => {
            (Exit::IntegrityBroken, "`nemo ledger verify` says more about either.")
        }
        CopyError::Read { .. } | CopyError::Append { .. } => {
            (Exit::Unreachable, "Run the same command again: it goes on where it ended.")
        }
    };
    CommandError::new(exit, format!("The ledger was not copied: {:#}.", anyhow::Error::from(error)))
        .next(next.to_owned())
        .into()
}
