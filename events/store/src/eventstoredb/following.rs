//! One subscriber's delivery: from the server's subscription, which may end at any time, to one that ends
//! only when the store closes. Whenever the server's ends, or stands still although there is more, the next
//! one starts behind what was delivered.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{StreamPosition, SubscribeToAllOptions};
use nemo_events::{EventRecord, Position};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::failure::{refuses_position, text};
use super::link::Link;
use super::pulling::{Pulled, pull};
use super::reading::place_text;
use super::record::{damaged, decode};
use super::supervise::jittered;
use super::{Shared, State, Tuning};
use crate::ReadError;
use crate::subscription::Delivery;

/// How long a subscriber may keep the server's subscription waiting. What lies in the connection's buffers
/// then holds up everything else on it, so a slower one's is given up, and made again when there is room.
const PATIENCE_WITH_SUBSCRIBER: Duration = Duration::from_millis(250);

pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) subscriber: Sender<Delivery>,
    /// The last position delivered.
    pub(super) delivered: Option<Position>,
    /// Up to here there is nothing more of the ledger's.
    pub(super) passed: Option<Position>,
}

/// How a delivery over one of the server's subscriptions ended.
enum Ended {
    /// There is nobody to deliver to.
    Gone,
    /// It should be made again.
    Again,
    /// It should be made again, and brought something.
    AgainAtOnce,
}

/// The server's subscription. Ends when dropped.
struct Pull {
    pages: Receiver<Pulled>,
    task: AbortOnDropHandle<()>,
}

impl Follower {
    /// Until the store closes or the subscriber goes.
    pub(super) async fn run(mut self) {
        let closing = self.shared.closing.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut state = self.shared.state.subscribe();
        let Tuning { first_pause, longest_pause, .. } = self.shared.tuning;
        let mut pause = first_pause;
        loop {
            let Some(pull) = self.subscribe(&mut state).await else { return };
            match self.deliver(pull).await {
                Ended::Gone => return,
                Ended::AgainAtOnce => pause = first_pause,
                Ended::Again => pause = pause.saturating_mul(2).min(longest_pause),
            }
            tokio::select! {
                () = self.subscriber.closed() => return,
                () = sleep(jittered(pause)) => {}
            }
        }
    }

    /// Subscribes once the server is reachable.
    async fn subscribe(&self, state: &mut watch::Receiver<State>) -> Option<Pull> {
        let link = tokio::select! {
            () = self.subscriber.closed() => return None,
            link = reachable(state) => link?,
        };
        let after = self.passed.max(self.delivered);
        let start = after.map_or(StreamPosition::Start, |Position(commit)| {
            StreamPosition::Position(eventstore::Position { commit, prepare: commit })
        });
        let options = SubscribeToAllOptions::default().position(start).filter(self.shared.names.filter());
        let options = match &self.shared.login {
            Some(login) => options.authenticated(login.clone()),
            None => options,
        };
        let (sender, pages) = mpsc::channel(1);
        let task = link.spawn(|client| pull(client, options, sender));
        // The link is not held: it may be replaced, which ends this subscription.
        Some(Pull { pages, task })
    }

    async fn deliver(&mut self, mut pull: Pull) -> Ended {
        let mut head = self.shared.tail.watch();
        let mut ended = Ended::Again;
        loop {
            let pulled = tokio::select! {
                () = self.subscriber.closed() => return Ended::Gone,
                () = stands_still(&mut head, self.delivered, self.shared.tuning.timeout) => {
                    debug!("a subscription stands still; subscribing again");
                    return ended;
                }
                pulled = pull.pages.recv() => pulled,
            };
            match pulled {
                Some(Pulled::Events(events)) => {
                    ended = Ended::AgainAtOnce;
                    let page = self.fresh(events);
                    match self.hand_over(page, &mut pull).await {
                        Ok(true) => {}
                        Ok(false) => return ended,
                        Err(()) => return Ended::Gone,
                    }
                }
                Some(Pulled::Passed(position)) => self.passed = self.passed.max(Some(Position(position))),
                Some(Pulled::Ended(Some(error))) if refuses_position(&error) => {
                    return self.refused().await;
                }
                Some(Pulled::Ended(why)) => {
                    debug!(why = why.as_ref().map(text), "a subscription ended; subscribing again");
                    return ended;
                }
                // The link is gone, or the client panicked.
                None => return ended,
            }
        }
    }

    /// What was not delivered before, checked.
    fn fresh(&self, events: Vec<eventstore::RecordedEvent>) -> Delivery {
        let decoded = events.into_iter().filter_map(|event| decode(&self.shared.names, event).transpose());
        let is_fresh = |record: &Result<EventRecord, ReadError>| match record {
            Ok(record) => Some(record.position) > self.delivered,
            Err(_) => true,
        };
        decoded.filter(is_fresh).collect()
    }

    /// Whether the server's subscription may go on; an error if there is nobody to deliver to, or the
    /// ledger is damaged.
    async fn hand_over(&mut self, page: Delivery, pull: &mut Pull) -> Result<bool, ()> {
        let last = match &page {
            Ok(records) => match records.last() {
                Some(last) => Some(last.position),
                None => return Ok(true),
            },
            Err(_) => None,
        };
        let (room, in_time) = match timeout(PATIENCE_WITH_SUBSCRIBER, self.subscriber.reserve()).await {
            Ok(room) => (room, true),
            Err(_) => {
                pull.stop();
                (self.subscriber.reserve().await, false)
            }
        };
        room.map_err(drop)?.send(page);
        let last = last.ok_or(())?;
        self.delivered = Some(last);
        self.shared.tail.saw(last);
        Ok(in_time)
    }

    /// The server does not know the position.
    async fn refused(&mut self) -> Ended {
        if self.passed.take() > self.delivered {
            return Ended::Again;
        }
        let place = place_text(self.delivered);
        // The subscriber may be gone; then nobody needs the reason.
        let _ = self.subscriber.send(Err(damaged(place, "the server has no event there"))).await;
        Ended::Gone
    }
}

impl Pull {
    fn stop(&mut self) {
        self.task.abort();
        self.pages.close();
    }
}

/// A link, once there is one; `None` once the store is closed.
async fn reachable(state: &mut watch::Receiver<State>) -> Option<Arc<Link>> {
    let up = state.wait_for(|state| matches!(state, State::Up(_) | State::Closed)).await.ok()?;
    match &*up {
        State::Up(link) => Some(Arc::clone(link)),
        State::Connecting | State::Away(_) | State::Closed => None,
    }
}

/// Ends when there has been more than was delivered for so long.
async fn stands_still(
    head: &mut watch::Receiver<Option<Position>>,
    delivered: Option<Position>,
    patience: Duration,
) {
    if head.wait_for(|head| *head > delivered).await.is_err() {
        std::future::pending::<()>().await;
    }
    sleep(patience).await;
}
