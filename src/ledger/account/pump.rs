//! The pump: one task for each account in which commands wait. Appends what was decided, batch after
//! batch, and ends when nothing waits.

use std::sync::Arc;
use std::time::Instant;

use nemo_events::{Position, Revision, Sealed};
use nemo_store::{AppendError, Direction, Expected, ReadError};
use tracing::{debug, error, warn};

use super::{Account, Footing};
use crate::ledger::command::ExecuteError;
use crate::ledger::fold::Fold;
use crate::ledger::pace::Backoff;
use crate::ledger::stream;

use super::desk::Step;

/// An append that happened.
#[derive(Clone, Copy)]
struct Durable {
    revision: Revision,
    position: Position,
}

/// An append that did not happen and never will.
enum Failure {
    /// The stream has other events in its place.
    MovedOn,
    /// The store did not take it.
    Unavailable(String),
}

/// What a look at the stream tells of an append of unknown outcome.
enum Look {
    /// It happened.
    There(Durable),
    /// It did not, and never will: other events are in its place.
    Superseded,
    /// It has not happened yet.
    NotThere,
    /// The stream could not be read.
    Unreadable(String),
}

impl<F: Fold> Account<F> {
    pub(super) fn start_pump(self: &Arc<Self>) {
        let account = Arc::clone(self);
        self.core.tasks.spawn_on(account.pump(), &self.core.runtime);
    }

    async fn pump(self: Arc<Self>) {
        let _guard = Pumping(&self);
        let mut backoff = Backoff::new(self.core.pace);
        loop {
            let step = self.desk().next_step(self.core.store.max_append_bytes());
            match step {
                Step::Done => return,
                Step::Rebuild => self.rebuild(&mut backoff).await,
                Step::Append(batch) => match self.append(&batch).await {
                    Ok(reached) => {
                        self.core.health.succeeded();
                        backoff.reset();
                        self.appended(reached);
                    }
                    Err(failure) => self.recover(failure, &mut backoff).await,
                },
            }
        }
    }

    fn appended(&self, reached: Durable) {
        let mut desk = self.desk();
        desk.appended(reached.revision, reached.position, self.scribe());
        self.weigh(&desk);
    }

    async fn recover(&self, failure: Failure, backoff: &mut Backoff) {
        let before = {
            let mut desk = self.desk();
            desk.lose();
            desk.durable()
        };
        if let Failure::Unavailable(why) = &failure {
            debug!(stream = %self.stream, why, "append failed; trying again");
            self.core.health.failed(why);
            backoff.wait().await;
        }
        self.rebuild(backoff).await;
        if matches!(failure, Failure::MovedOn) && self.desk().durable() == before {
            // Nobody got ahead of us: a store that says so again and again must not be asked in a circle.
            backoff.wait().await;
        }
    }

    /// Appends one batch until its outcome is known.
    async fn append(&self, batch: &[Sealed]) -> Result<Durable, Failure> {
        let Some((first, last)) = batch.first().zip(batch.last()) else { return Err(Failure::MovedOn) };
        let (expected, last) = (Expected::before(first.revision), last.revision);
        let mut backoff = Backoff::new(self.core.pace);
        let mut in_doubt = false;
        self.before_append(last);
        let metrics = &self.core.metrics;
        loop {
            let began = Instant::now();
            let appended = self.core.store.append(expected, batch.to_vec()).await;
            if let Err(error) = &appended {
                metrics.append_failed(outcome(error));
            }
            match appended {
                Ok(position) => {
                    metrics.append.took(began.elapsed());
                    metrics.append_events.observe(batch.len() as u64);
                    crate::failpoint::reached("after-append");
                    return Ok(Durable { revision: last, position });
                }
                Err(AppendError::Unknown(why)) => {
                    debug!(stream = %self.stream, why, "append outcome unknown; looking");
                    self.core.health.failed(&why);
                    self.desk().doubt();
                    in_doubt = true;
                }
                // An earlier attempt may have succeeded, or may yet: only a look can tell.
                Err(error) if in_doubt => debug!(stream = %self.stream, %error, "append failed; looking"),
                Err(AppendError::Conflict) => return Err(Failure::MovedOn),
                Err(AppendError::Unavailable(why)) => return Err(Failure::Unavailable(why)),
                Err(AppendError::Invalid(why)) => {
                    error!(stream = %self.stream, why, "the store refused a batch as malformed");
                    return Err(Failure::MovedOn);
                }
            }
            if let Some(known) = self.look_until_known(batch, &mut backoff).await {
                return known;
            }
        }
    }

    fn before_append(&self, _last: Revision) {
        #[cfg(feature = "failpoints")]
        if crate::failpoint::mutated("no-dispatch-gate") {
            self.desk().release_before_it_is_durable(_last);
        }
        crate::failpoint::reached("before-append");
    }

    /// Looks for a batch of unknown outcome. `None`: it is not there, and may be sent again.
    async fn look_until_known(
        &self,
        batch: &[Sealed],
        backoff: &mut Backoff,
    ) -> Option<Result<Durable, Failure>> {
        loop {
            backoff.wait().await;
            self.desk().drop_unwanted();
            match self.look_for(batch).await {
                Look::There(durable) => return Some(Ok(durable)),
                Look::Superseded => return Some(Err(Failure::MovedOn)),
                Look::NotThere => return None,
                Look::Unreadable(why) => debug!(stream = %self.stream, why, "cannot look for an append"),
            }
        }
    }

    async fn look_for(&self, batch: &[Sealed]) -> Look {
        let Some((first, last)) = batch.first().zip(batch.last()) else { return Look::Superseded };
        let read =
            self.core.store.read_stream(&self.stream, first.revision, Direction::Forwards, batch.len()).await;
        let found = match read {
            Ok(found) => found,
            Err(ReadError::Unavailable(why)) => return Look::Unreadable(why),
            // Reading all of it will say so, to everybody who waits.
            Err(ReadError::Damaged { .. }) => return Look::Superseded,
        };
        // All of a batch is there, or nothing.
        match found.first().zip(found.last()) {
            None => Look::NotThere,
            Some((start, _)) if start.event.id != first.id => Look::Superseded,
            Some((_, end)) if end.event.id == last.id => {
                Look::There(Durable { revision: last.revision, position: end.position })
            }
            Some(_) => Look::Unreadable("the page ends before the batch".to_owned()),
        }
    }

    /// Reads the stream again and decides everything that waits again, in order. Tries until the store
    /// answers or nobody waits; whoever stopped waiting meanwhile is dropped.
    async fn rebuild(&self, backoff: &mut Backoff) {
        loop {
            match stream::read::<F>(&self.core, &self.stream).await {
                Ok(read) => {
                    if self.install(read) {
                        return;
                    }
                    warn!(stream = %self.stream, "the store is behind what it has told; reading again");
                }
                Err(ExecuteError::Damaged(why)) => {
                    error!(stream = %self.stream, why, "the stream cannot be folded");
                    return self.desk().fail_all(&why);
                }
                Err(error) => {
                    debug!(stream = %self.stream, %error, "cannot read the stream; trying again");
                    self.core.health.failed(&error.to_string());
                }
            }
            let nobody_waits = {
                let mut desk = self.desk();
                desk.drop_unwanted();
                desk.waiting() == 0
            };
            if nobody_waits {
                return;
            }
            backoff.wait().await;
        }
    }
}

/// An append that failed, as it is counted.
const fn outcome(error: &AppendError) -> &'static str {
    match error {
        AppendError::Conflict => "conflict",
        AppendError::Unavailable(_) => "unavailable",
        AppendError::Unknown(_) => "unknown",
        AppendError::Invalid(_) => "invalid",
    }
}

/// A panic in the pump must not strand what waits for it: another pump takes over after a while.
struct Pumping<'a, F: Fold>(&'a Arc<Account<F>>);

impl<F: Fold> Drop for Pumping<'_, F> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        self.0.desk().footing = Footing::Lost;
        let account = Arc::clone(self.0);
        let takes_over = async move {
            tokio::time::sleep(account.core.pace.longest).await;
            account.pump().await;
        };
        self.0.core.tasks.spawn_on(takes_over, &self.0.core.runtime);
    }
}
