//! The copy that a backup and a restore consist of, told as it goes, and why it was not made.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nemo_store::copy::{Copied, CopyError, CopyJob, Phase, Progress};
use nemo_store::{AppendError, EventStore, ReadError};

use crate::cli::{CommandError, Exit, Progress as Bar};
use crate::failpoint;

/// How long a node may be away, and a disk full, before a copy gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is made, and what is said where it cannot be.
pub(super) struct Work {
    /// Named where a test may end the process: once for each page.
    pub(super) reached: fn(Phase) -> &'static str,
    /// The target holds something else.
    pub(super) differs: CommandError,
    /// The target holds more.
    pub(super) ahead: CommandError,
}

/// Copies what the target lacks of the source, reads both and compares them.
pub(super) async fn copy(
    source: &Arc<dyn EventStore>,
    target: &Arc<dyn EventStore>,
    work: Work,
) -> Result<Copied, CommandError> {
    let told = Arc::new(Told::default());
    let (on_progress, reached) = (Arc::clone(&told), work.reached);
    let job = CopyJob {
        source: Arc::clone(source),
        target: Arc::clone(target),
        patience: PATIENCE,
        on_progress: Arc::new(move |progress| {
            on_progress.at(progress);
            failpoint::reached(reached(progress.phase));
        }),
    };
    let copied = job.run().await;
    told.done();
    copied.map_err(|error| failed(error, work))
}

fn failed(error: CopyError, work: Work) -> CommandError {
    const AGAIN: &str = "Run the same command again: it goes on where it ended.";
    let what = || format!("{:#}.", anyhow::Error::msg(chain(&error)));
    match &error {
        CopyError::Differs { .. } => work.differs,
        CopyError::Ahead { .. } => work.ahead,
        CopyError::Read { source: ReadError::Damaged { .. }, .. } | CopyError::Head { .. } => {
            CommandError::new(Exit::IntegrityBroken, what())
        }
        CopyError::Append { source: AppendError::Unavailable(_), .. } => {
            CommandError::new(Exit::Failed, what()).next(format!("If its disk is full, make room. {AGAIN}"))
        }
        CopyError::Append { .. } => CommandError::new(Exit::Failed, what()).next(AGAIN.to_owned()),
        CopyError::Read { .. } => CommandError::new(Exit::Unreachable, what()).next(AGAIN.to_owned()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The bar of the phase that runs.
#[derive(Default)]
struct Told(Mutex<Option<(Phase, Bar)>>);

impl Told {
    fn at(&self, progress: Progress) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref().is_none_or(|(phase, _)| *phase != progress.phase) {
            let what = match progress.phase {
                Phase::Resuming => "comparing what is there already",
                Phase::Copying => "copying events",
                Phase::Comparing => "reading both and comparing",
            };
            *told = Some((progress.phase, Bar::begin(what)));
        }
        if let Some((_, bar)) = told.as_ref() {
            bar.at(progress.events, expected_events(&progress));
        }
    }

    /// Takes the bar off the terminal.
    fn done(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// How many events there will be: positions grow with the log, so their ratio says about how far it is.
/// Nothing but the bar rests on it.
fn expected_events(progress: &Progress) -> u64 {
    let reached = progress.reached.map_or(0, |position| u128::from(position.0)).max(1);
    let expected = u128::from(progress.events).saturating_mul(u128::from(progress.end.0)) / reached;
    u64::try_from(expected).unwrap_or(u64::MAX).max(progress.events)
}
