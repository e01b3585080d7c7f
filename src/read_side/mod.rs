//! The read model as the server has it: built by following the log, and asked by managers.
//!
//! Nothing here decides anything: where the read model lags, is being rebuilt or cannot be used,
//! reads are refused with 503 and everything else goes on. Loops that need the read model or the clock live here
//! too: ending calls that were left open, writing refusals down every minute, keeping folds of long streams.

mod keep;
mod keys_of_orgs;
mod outbox;
mod pool;
mod progress;
mod project;
mod upkeep;

#[cfg(test)]
mod tests;

pub use outbox::Outbox;
pub use progress::{Progress, State};
pub(crate) use project::belongs_to;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use nemo_events::Position;
use nemo_read_model::{ReadModelError, Reader};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::ledger::Ledger;
use keep::Due;
use keys_of_orgs::Directory;
use pool::Pool;
use progress::Board;

/// The read model's file in the data directory. It may be deleted while Nemo is stopped.
pub const FILE: &str = "read-model.sqlite";
/// How long a read waits while the read model is being opened.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);
/// How long a read waits until the read model has got to the position that it asks for.
const REACH_PATIENCE: Duration = Duration::from_secs(5);

/// Why a read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The read model is being opened, or it is broken and will be opened again.
    #[error("the read model is not available")]
    Unavailable,
    /// It has not got to the wanted position in time.
    #[error("the read model has not reached position {wanted}")]
    Behind {
        /// The position that the asker wants.
        wanted: Position,
        /// The last position that is reflected.
        reached: Option<Position>,
    },
    /// All readers are busy for too long.
    #[error("all readers of the read model are busy")]
    Busy,
    /// The cursor comes from another list, or from nowhere.
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    /// The question has no answer; says why.
    #[error("the query is not valid: {0}")]
    InvalidQuery(&'static str),
}

/// The read model, followed and readable.
pub struct ReadSide {
    shared: Arc<Shared>,
    stop: CancellationToken,
    loops: TaskTracker,
}

/// What the loops and the readers have in common.
struct Shared {
    path: PathBuf,
    board: Board,
    pool: Pool,
    due: Due,
    bell: outbox::Bell,
}

impl ReadSide {
    /// The read model in `data_dir`, which nobody has opened yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let (board, pool, due, bell) = (Board::new(), Pool::new(), Due::default(), outbox::Bell::default());
        let shared = Arc::new(Shared { path, board, pool, due, bell });
        Self { shared, stop: CancellationToken::new(), loops: TaskTracker::new() }
    }

    /// Follows the ledger into the read model, and does the upkeep that goes with it, in tasks of the
    /// ledger. Once. Returns at once: a read model that cannot be opened is tried again later, and keeps
    /// nothing else from starting.
    pub fn start(&self, ledger: &Arc<Ledger>) {
        self.spawn(ledger, project::run(Arc::clone(ledger), Arc::clone(&self.shared)));
        self.spawn(ledger, upkeep::end_lost_calls(Arc::clone(ledger), Arc::clone(&self.shared)));
        ledger.keys_are_known_to(Arc::new(Directory(Arc::clone(&self.shared))));
        self.spawn(ledger, upkeep::tidy_allotments(Arc::clone(ledger)));
        self.spawn(ledger, upkeep::write_refusals(Arc::clone(ledger)));
        self.spawn(ledger, keep::keep_snapshots(Arc::clone(ledger), Arc::clone(&self.shared)));
    }

    /// Stops following and waits until that is done. What is in the ledger by then and not in the read
    /// model gets there at the next start. Must come before the ledger is drained.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
    }

    /// Where the read model stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.shared.board.now()
    }

    /// Waits until the read model reflects a position.
    ///
    /// # Errors
    /// [`Unread::Behind`] after 5 s, [`Unread::Unavailable`] at once where it makes no progress.
    pub async fn reach(&self, wanted: Position) -> Result<(), Unread> {
        match tokio::time::timeout(REACH_PATIENCE, self.shared.board.reach(wanted)).await {
            Ok(reached) => reached,
            Err(_) => Err(Unread::Behind { wanted, reached: self.progress().position }),
        }
    }

    /// Waits until all that was in the ledger when the read model was opened is reflected, however long that
    /// takes.
    pub async fn caught_up(&self) {
        self.shared.board.caught_up().await;
    }

    /// What is to be told outside.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox(Arc::clone(&self.shared))
    }

    /// Asks the read model, on a thread where it may block.
    ///
    /// # Errors
    /// See [`Unread`].
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader) -> Result<T, ReadModelError> + Send + 'static,
    ) -> Result<T, Unread> {
        self.shared.read(ask).await
    }

    fn spawn(&self, ledger: &Ledger, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.stop.clone().run_until_cancelled_owned(work);
        ledger.spawn(self.loops.track_future(work.map(drop)));
    }
}

impl Shared {
    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Reader) -> Result<T, ReadModelError> + Send + 'static,
    ) -> Result<T, Unread> {
        if !self.board.opened_within(OPEN_PATIENCE).await {
            return Err(Unread::Unavailable);
        }
        let answer = self.pool.read(&self.path, ask).await.ok_or(Unread::Busy)?;
        answer.map_err(|error| self.unread(&error))
    }

    fn unread(&self, error: &ReadModelError) -> Unread {
        match error {
            ReadModelError::InvalidCursor => Unread::InvalidCursor,
            ReadModelError::InvalidQuery(why) => Unread::InvalidQuery(why),
            ReadModelError::Database(_)
            | ReadModelError::File(_)
            | ReadModelError::NotAReadModel(_)
            | ReadModelError::Event { .. }
            | ReadModelError::Damaged(_) => {
                error!(error = chain(error), "the read model cannot be read");
                if error.is_damage() {
                    self.board.stuck(State::Damaged);
                }
                Unread::Unavailable
            }
        }
    }
}

/// An error with all its sources, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
