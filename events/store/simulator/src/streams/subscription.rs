//! Subscriptions: everything behind a place, then everything new, with checkpoints where a filter hides much
//! (`Enumerator.AllSubscription*.cs` of the server's sources).
//!
//! As in the server, the place is found by reading one event from it: a place that is no event's own loses the
//! event that follows it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::Streams;
use super::read::{Place, Reader, Stop, stream_name};
use crate::call::Call;
use crate::faults::Calls;
use crate::filter::{Filter, READ_BATCH};
use crate::log::Recorded;
use crate::protocol::streams::read_req::options::StreamOptions;
use crate::protocol::streams::read_req::options::stream_options::RevisionOption;
use crate::protocol::streams::read_resp::{CaughtUp, Checkpoint, Content, SubscriptionConfirmation};
use crate::shared::Command;

/// How many delivered events can be delivered again.
const REMEMBERED: usize = 64;

/// What the next step of a subscription brings.
struct Step {
    events: Vec<Arc<Recorded>>,
    /// Commit and prepare position.
    checkpoint: Option<(u64, u64)>,
    is_end: bool,
}

/// Where a subscription stands.
enum Cursor {
    All { next: u64, filter: Option<Filter>, considered: usize },
    Stream { name: Arc<str>, next: u64 },
}

impl Streams {
    pub(super) async fn subscribe_to_all(
        &self,
        call: &Call,
        from: Place,
        filter: Option<Filter>,
        reader: &Reader,
    ) -> Result<(), Stop> {
        let next = match from {
            Place::Start | Place::Position { commit: 0, prepare: 0 } => 0,
            Place::End => *self.shared.log.end().borrow(),
            Place::Position { commit, prepare } => self.page((commit, prepare), true, 1, None)?.next,
        };
        self.deliver(call, Cursor::All { next, filter, considered: 0 }, reader).await
    }

    pub(super) async fn subscribe_to_stream(
        &self,
        call: &Call,
        options: StreamOptions,
        reader: &Reader,
    ) -> Result<(), Stop> {
        let name = stream_name(&options)?;
        let next = match options.revision_option {
            Some(RevisionOption::Revision(revision)) => revision.saturating_add(1),
            Some(RevisionOption::End(())) => {
                self.shared.log.read_stream(&name, u64::MAX - 1, false, 1).map_or(0, |page| page.last + 1)
            }
            Some(RevisionOption::Start(())) | None => 0,
        };
        self.deliver(call, Cursor::Stream { name, next }, reader).await
    }

    async fn deliver(&self, call: &Call, mut cursor: Cursor, reader: &Reader) -> Result<(), Stop> {
        let shared = &self.shared;
        let _open = shared.counters.open(
            |counts| {
                counts.subscriptions += 1;
                counts.open_subscriptions += 1;
            },
            |counts| counts.open_subscriptions -= 1,
        );
        let mut commands = shared.subscriptions.enter(&call.link);
        let mut end = shared.log.end();
        let mut delivered = VecDeque::with_capacity(REMEMBERED);
        let mut is_live = false;
        let subscription_id = Uuid::new_v4().to_string();
        reader.say(Content::Confirmation(SubscriptionConfirmation { subscription_id })).await?;
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => {
                    if self.obey(command, &delivered, reader).await? {
                        return Ok(());
                    }
                    continue;
                }
                () = shared.faults.pass(Calls::Subscriptions) => {}
            }
            let seen = *end.borrow_and_update();
            shared.travel(Instant::now()).await;
            let step = self.step(&mut cursor, is_live)?;
            for event in step.events {
                reader.event(&event).await?;
                shared.counters.count(|counts| counts.delivered += 1);
                delivered.truncate(REMEMBERED - 1);
                delivered.push_front(event);
            }
            if let Some((commit_position, prepare_position)) = step.checkpoint {
                let checkpoint = Checkpoint { commit_position, prepare_position, timestamp: None };
                reader.say(Content::Checkpoint(checkpoint)).await?;
            }
            if !step.is_end {
                continue;
            }
            if !is_live {
                is_live = true;
                reader.say(Content::CaughtUp(CaughtUp::default())).await?;
            }
            if self.wait(seen, &mut end, &mut commands, &delivered, reader).await? {
                return Ok(());
            }
        }
    }

    /// Waits until the log is longer than `seen`; true if the subscription shall end.
    async fn wait(
        &self,
        seen: u64,
        end: &mut tokio::sync::watch::Receiver<u64>,
        commands: &mut UnboundedReceiver<Command>,
        delivered: &VecDeque<Arc<Recorded>>,
        reader: &Reader,
    ) -> Result<bool, Stop> {
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => {
                    if self.obey(command, delivered, reader).await? {
                        return Ok(true);
                    }
                }
                is_gone = async { end.wait_for(|end| *end != seen).await.is_err() } => return Ok(is_gone),
            }
        }
    }

    /// Does what a test wants; true if the subscription shall end.
    async fn obey(
        &self,
        command: Option<Command>,
        delivered: &VecDeque<Arc<Recorded>>,
        reader: &Reader,
    ) -> Result<bool, Stop> {
        match command {
            None | Some(Command::End) => Ok(true),
            Some(Command::Fail(code)) => Err(Status::new(code, "as the test wants it").into()),
            Some(Command::Duplicate(count)) => {
                for event in delivered.iter().take(count).rev() {
                    reader.event(event).await?;
                    self.shared.counters.count(|counts| counts.delivered += 1);
                }
                Ok(false)
            }
        }
    }

    fn step(&self, cursor: &mut Cursor, is_live: bool) -> Result<Step, Stop> {
        match cursor {
            Cursor::All { next, filter, considered } => {
                let start = *next;
                let page = self.page((start, start), true, READ_BATCH, filter.as_ref())?;
                *next = page.next;
                *considered += page.considered;
                let interval = filter.as_ref().map_or(usize::MAX, |filter| filter.checkpoint_interval);
                let is_due = *considered >= interval && (is_live || !page.is_end);
                if is_due {
                    *considered %= interval;
                }
                // Live it is the last event that was considered. While it catches up it is the last one that was
                // delivered, or the place where the page began, which need not be an event's.
                let last =
                    if is_live { page.last_considered } else { page.events.last().map(|last| last.position) };
                let checkpoint = is_due.then(|| last.map_or((start, 0), |last| (last, last)));
                Ok(Step { events: page.events, checkpoint, is_end: page.is_end })
            }
            Cursor::Stream { name, next } => {
                let page = self.shared.log.read_stream(name, *next, true, READ_BATCH);
                let events = page.map_or_else(Vec::new, |page| page.events);
                *next = events.last().map_or(*next, |last| last.revision + 1);
                let is_end = events.len() < READ_BATCH;
                Ok(Step { events, checkpoint: None, is_end })
            }
        }
    }
}
