//! The copy that a backup and a restore consist of, told as it goes, and why it was not made.

use std::sync::Arc;
use std::time::Duration;

use nemo_store::copy::{Copied, CopyError, CopyJob, Phase};
use nemo_store::{AppendError, EventStore, ReadError};

use crate::cli::{CommandError, Exit};
use crate::failpoint;
use crate::ledger_copy::told::Told;

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
