//! Follows the log: hands every event to the accounts in memory, should somebody else have written
//! it, and to whoever builds the read model.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use nemo_events::{EventRecord, Position, StreamName};
use nemo_store::{ReadError, Subscription};
use tracing::{error, info, warn};

use super::Ledger;
use super::fold::KeyAccount;
use super::pace::Backoff;

/// Events that are handed over without waiting for more.
const FULL_BATCH: usize = 1_024;
/// How long events are gathered: what the read model may lag behind.
const GATHER_FOR: Duration = Duration::from_millis(50);

/// The types' names, as stored.
const KEY_REVOKED: &str = "KeyRevoked";
const CALL_AUTHORIZED: &str = "CallAuthorized";

/// Takes events in order, each at least once.
pub trait Follower: Send + 'static {
    /// The position of the last event that it has taken for good; `None` for none.
    fn position(&self) -> Option<Position>;

    /// Takes events.
    ///
    /// # Errors
    /// Text for the log: the follower cannot go on.
    fn take(&mut self, records: &[EventRecord]) -> Result<(), String>;
}

/// Takes events and does nothing with them.
struct Nobody(Option<Position>);

impl Follower for Nobody {
    fn position(&self) -> Option<Position> {
        self.0
    }

    fn take(&mut self, records: &[EventRecord]) -> Result<(), String> {
        self.0 = records.last().map_or(self.0, |record| Some(record.position));
        Ok(())
    }
}

impl Ledger {
    /// Tells the accounts what others write, while nobody builds a read model. Until the store closes.
    pub async fn follow_alone(self: Arc<Self>) {
        let from = *self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        self.follow(Nobody(from)).await;
    }

    /// Follows the log until the store closes, or until the follower cannot go on. A store that is away is
    /// waited for.
    pub async fn follow(self: Arc<Self>, mut follower: impl Follower) {
        let mut backoff = Backoff::new(self.core.pace);
        let mut told = false;
        loop {
            let mut subscription = match self.store().subscribe_all(follower.position()).await {
                Ok(subscription) => subscription,
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        warn!(%error, "cannot follow the log; trying again");
                    }
                    backoff.wait().await;
                    continue;
                }
            };
            loop {
                match subscription.next().await {
                    None => return,
                    Some(Err(error)) => {
                        error!(%error, "following the log was interrupted");
                        break;
                    }
                    Some(Ok(records)) => {
                        if std::mem::take(&mut told) {
                            info!("following the log again");
                        }
                        backoff.reset();
                        self.observe(&records);
                        let (records, interrupted) = self.gather(records, &mut subscription).await;
                        let taken;
                        (follower, taken) = blocking(follower, records).await;
                        if let Err(error) = taken {
                            error!(error, "the read model cannot go on");
                            return;
                        }
                        if let Some(error) = interrupted {
                            error!(%error, "following the log was interrupted");
                            break;
                        }
                    }
                }
            }
            backoff.wait().await;
        }
    }

    /// Waits a moment for more, unless there is much already: a batch costs a follower nearly as much as
    /// hundreds of events, so that one for each commit would cost more than the calls themselves.
    async fn gather(
        &self,
        mut records: Vec<EventRecord>,
        subscription: &mut Subscription,
    ) -> (Vec<EventRecord>, Option<ReadError>) {
        if records.len() >= FULL_BATCH {
            return (records, None);
        }
        tokio::time::sleep(GATHER_FOR).await;
        while records.len() < FULL_BATCH {
            match subscription.next().now_or_never() {
                Some(Some(Ok(more))) => {
                    self.observe(&more);
                    records.extend(more);
                }
                Some(Some(Err(error))) => return (records, Some(error)),
                // Nothing yet; or the end, which stays the end.
                Some(None) | None => break,
            }
        }
        (records, None)
    }

    /// Everything up to here is known to the accounts, or will be read by them.
    pub(super) fn saw(&self, position: Option<Position>) {
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        *observed = (*observed).max(position);
    }

    pub(super) fn observe(&self, records: &[EventRecord]) {
        self.saw(records.last().map(|record| record.position));
        for record in records {
            match record.event.stream {
                StreamName::Key(id) => {
                    if record.event.event_type == KEY_REVOKED {
                        // Whoever revoked it, or stopped waiting for it to be durable.
                        self.running.cut(id);
                    }
                    let account = self.keys.held(id);
                    if let Some(account) = &account {
                        account.observe(record);
                        self.follow_slices(account, record);
                    }
                    // An end, or other limits: somebody who waits may fit.
                    if record.event.event_type != CALL_AUTHORIZED {
                        self.lines.stir(id);
                        let org = |account: &KeyAccount| account.key.as_ref().map(|key| key.org);
                        if self.lines.any_of_orgs()
                            && let Some(org) = account.and_then(|account| account.glance(org))
                        {
                            self.lines.stir(org);
                        }
                    }
                }
                StreamName::Org(id) => {
                    if let Some(account) = self.orgs.held(id) {
                        account.observe(record);
                    }
                    self.lines.stir(id);
                }
                StreamName::Prices => self.prices.observe(record),
                StreamName::Gateway => self.gateway.observe(record),
                StreamName::Operators => self.operators.observe(record),
                StreamName::Checkpoints => {}
            }
        }
    }
}

/// The follower writes to disk: not on a thread that serves calls.
async fn blocking<F: Follower>(mut follower: F, records: Vec<EventRecord>) -> (F, Result<(), String>) {
    tokio::task::block_in_place(|| {
        let taken = follower.take(&records);
        (follower, taken)
    })
}
