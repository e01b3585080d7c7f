//! Follows the log into the read model. What keeps it from going on is logged once for each attempt,
//! and after a while it is opened again; a damaged file, or one of another ledger, is built anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nemo_events::{EventRecord, Position};
use nemo_read_model::{Head, Opened, Origin, ReadModel, ReadModelError, Recreated};
use nemo_store::{Direction, EventStore, ReadError};
use tracing::{error, info, warn};

use super::progress::State;
use super::{Shared, chain};
use crate::ledger::Ledger;
use crate::ledger::follow::Follower;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Follows until the store closes. May be dropped at any await: a batch is applied between two of them.
pub(super) async fn run(ledger: Arc<Ledger>, shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun_at = Instant::now();
        match open(&ledger, &shared).await {
            Ok(projector) => tokio::select! {
                () = Arc::clone(&ledger).follow(projector) => {}
                () = shared.board.got_stuck() => {}
            },
            Err(Unopened::Model(why)) => {
                error!(why, "the read model cannot be opened");
                shared.board.stuck(State::Broken);
            }
            Err(Unopened::Store(error @ ReadError::Unavailable(_))) => {
                warn!(%error, "the read model waits for the store");
                shared.board.stuck(State::Broken);
                // The store may be back at any time, and nothing is wrong with the read model.
                pause = FIRST_PAUSE;
            }
            Err(Unopened::Store(error)) => {
                error!(%error, "the read model cannot be built");
                shared.board.stuck(State::Broken);
            }
        }
        if !shared.board.now().state.is_stuck() {
            return;
        }
        if begun_at.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        // Meanwhile the accounts are told what others write.
        let _ = tokio::time::timeout(pause, Arc::clone(&ledger).follow_alone()).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Applies what the log delivers.
struct Projector {
    model: ReadModel,
    shared: Arc<Shared>,
}

impl Follower for Projector {
    fn position(&self) -> Option<Position> {
        self.model.position()
    }

    fn take(&mut self, records: &[EventRecord]) -> Result<(), String> {
        let board = &self.shared.board;
        if let Err(error) = self.model.apply(records) {
            board.stuck(if error.is_damage() { State::Damaged } else { State::Broken });
            return Err(chain(&error));
        }
        self.shared.due.note(records);
        if board.moved(self.model.position()) {
            info!("the read model has caught up with the ledger");
        }
        self.shared.bell.note(records);
        Ok(())
    }
}

/// Why there is no read model.
enum Unopened {
    /// Its file cannot be used.
    Model(String),
    /// The log cannot be read.
    Store(ReadError),
}

/// Opens the read model of this ledger, from nothing if need be.
async fn open(ledger: &Ledger, shared: &Arc<Shared>) -> Result<Projector, Unopened> {
    let was_damaged = shared.board.now().state == State::Damaged;
    shared.board.opening();
    shared.pool.forget();
    let store = ledger.store();
    let mut model = open_file(shared, was_damaged).await.map_err(Unopened::Model)?;
    if !belongs_to(store.as_ref(), model.head()).await.map_err(Unopened::Store)? {
        warn!("the read model does not belong to this ledger; building it anew");
        drop(model);
        model = open_file(shared, true).await.map_err(Unopened::Model)?;
    }
    let catch_up_to = store.head().await.map_err(Unopened::Store)?;
    shared.board.opened(model.position(), catch_up_to);
    Ok(Projector { model, shared: Arc::clone(shared) })
}

async fn open_file(shared: &Arc<Shared>, anew: bool) -> Result<ReadModel, String> {
    let path = shared.path.clone();
    let work = move || -> Result<Opened, ReadModelError> {
        if anew {
            ReadModel::discard(&path)?;
        }
        ReadModel::open(&path)
    };
    let opened = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    let Opened { model, origin } = opened.map_err(|error| chain(&error))?;
    match origin {
        Origin::Existing => {}
        Origin::New => info!("building the read model from the ledger"),
        Origin::Recreated(Recreated::OtherVersion) => {
            info!("another version wrote the read model; building it anew")
        }
        Origin::Recreated(Recreated::Damaged) => warn!("the read model was damaged; building it anew"),
    }
    Ok(model)
}

/// Whether the last event that the read model reflects is in the ledger, at the same place. It is asked for by
/// stream and revision: another store need not know the position.
pub(crate) async fn belongs_to(store: &dyn EventStore, head: Option<&Head>) -> Result<bool, ReadError> {
    let Some(head) = head else { return Ok(true) };
    let found = store.read_stream(&head.stream, head.revision, Direction::Forwards, 1).await?;
    Ok(found.first().is_some_and(|record| record.position == head.position && record.event.hash == head.hash))
}
