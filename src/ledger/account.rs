//! One stream's account: its fold in memory, the commands that wait, and the one append in flight.
//!
//! Decisions are taken one after the other on the fold in memory, which runs ahead of what is
//! durable. Three rules keep that honest: every answer waits until the revision that it was decided
//! on is durable; an unknown outcome is looked up, never guessed; after a conflict or a failed append
//! the fold is dropped, read again, and the waiting commands are decided again in their order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nemo_events::{EventId, EventRecord, Metadata, Position, Revision, Sealed, StreamHead, StreamName, Timestamp};
use nemo_projections::At;
use nemo_store::{AppendError, Direction, Expected, MAX_PAGE, ReadError};
use tokio::sync::oneshot;
use tracing::{error, warn};
use uuid::Uuid;

use super::Core;
use super::backoff::Backoff;
use super::command::{Asked, Command, Context, Done, ExecuteError, Job, Reached};
use super::fold::Fold;

/// Events of one append at most: bounds the size of a batch, not of a decision.
const BATCH_EVENTS: usize = 512;
/// How far a stream's last event may lie ahead of this node's clock.
const CLOCK_LEAD_MICROS: i64 = 5_000_000;

/// One stream's account. Cheap to share; there is one for each stream in use.
pub struct Account<F: Fold> {
    id: F::Id,
    stream: StreamName,
    core: Arc<Core>,
    desk: Mutex<Desk<F>>,
    weight: AtomicUsize,
}

/// What the lock guards. It is never held across an await.
struct Desk<F: Fold> {
    state: F::State,
    /// The head that `state` reflects, durable or not.
    head: StreamHead,
    /// The last revision known to be durable.
    durable: Option<Revision>,
    /// The position of the last append of this account.
    position: Option<Position>,
    /// Decided, in the order of arrival; released from the front.
    waiting: VecDeque<Decided<F>>,
    /// A pump is running, which will look at `waiting` again.
    pumping: bool,
}

struct Decided<F: Fold> {
    job: Box<dyn Job<F>>,
    /// The revision that the answer depends on.
    revision: Option<Revision>,
    /// Sealed, and not yet handed to the store.
    events: Vec<Sealed>,
}

impl<F: Fold> Account<F> {
    /// Reads the stream and folds it.
    pub(super) async fn load(id: F::Id, core: Arc<Core>) -> Result<Self, ExecuteError> {
        let stream = F::stream(id);
        let (state, head) = fold_stream::<F>(&core, &stream).await?;
        let weight = AtomicUsize::new(F::weight(&state));
        let durable = head.revision;
        let desk = Desk { state, head, durable, position: None, waiting: VecDeque::new(), pumping: false };
        Ok(Self { id, stream, core, desk: Mutex::new(desk), weight })
    }

    /// What tells this account from others of its kind.
    pub const fn id(&self) -> F::Id {
        self.id
    }

    /// About how many bytes the account takes in memory.
    pub fn weight(&self) -> usize {
        self.weight.load(Ordering::Relaxed)
    }

    /// Reads off the state as decided so far, durable or not. For what is told to a caller use a
    /// command instead, whose answer waits.
    pub fn glance<T>(&self, look: impl FnOnce(&F::State) -> T) -> T {
        look(&self.desk().state)
    }

    /// The last event's revision, durable or not.
    pub fn revision(&self) -> Option<Revision> {
        self.desk().head.revision
    }

    /// Decides a command; the answer comes once everything it rests on is durable.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute<C: Command<F>>(
        self: &Arc<Self>,
        command: C,
        context: Context,
    ) -> Result<Done<C::Answer>, ExecuteError> {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(Asked { command, context, reply: Some(reply), answer: None }));
        answer.await.unwrap_or_else(|_| Err(ExecuteError::Unavailable("the ledger is stopping".to_owned())))
    }

    /// Decides a command whose answer nobody waits for, but which must happen.
    pub fn submit_unattended<C: Command<F>>(self: &Arc<Self>, command: C, context: Context) {
        self.submit(unattended(command, context));
    }

    fn submit(self: &Arc<Self>, job: Box<dyn Job<F>>) {
        let mut desk = self.desk();
        if !self.decide(&mut desk, job) {
            return;
        }
        if !desk.pumping {
            desk.pumping = true;
            drop(desk);
            let account = Arc::clone(self);
            self.core.tasks.spawn_on(async move { account.pump().await }, &self.core.runtime);
        }
    }

    /// Decides one job on the fold in memory. Returns whether it has to wait.
    fn decide(&self, desk: &mut Desk<F>, mut job: Box<dyn Job<F>>) -> bool {
        let now = match self.decision_time(&desk.head) {
            Ok(now) => now,
            Err(error) => {
                job.fail(error);
                return false;
            }
        };
        let events = job.decide(&desk.state, now);
        let sealed = match self.seal_and_evolve(desk, &events, now, job.context()) {
            Ok(sealed) => sealed,
            Err(error) => {
                // The fold may have taken some of the events: nothing is decided on it any more.
                error!(stream = %self.stream, error = %error, "a decision could not be folded");
                job.fail(error);
                return false;
            }
        };
        job.decided(&desk.state, &events, now);
        let revision = desk.head.revision;
        if revision == desk.durable && desk.waiting.is_empty() {
            let reached = Reached { revision, position: desk.position };
            // Without events there is nothing to undo, whoever stopped waiting.
            let _ = job.release(reached);
            return false;
        }
        desk.waiting.push_back(Decided { job, revision, events: sealed });
        true
    }

    /// Never before the stream's last event; refuses where the clock lies far behind it.
    fn decision_time(&self, head: &StreamHead) -> Result<Timestamp, ExecuteError> {
        let now = self.core.clock.now();
        let lead = head.recorded_at.micros_since(now);
        if lead > CLOCK_LEAD_MICROS {
            return Err(ExecuteError::ClockBehind(lead / 1_000));
        }
        Ok(now.max(head.recorded_at))
    }

    fn seal_and_evolve(
        &self,
        desk: &mut Desk<F>,
        events: &[F::Event],
        now: Timestamp,
        context: &Context,
    ) -> Result<Vec<Sealed>, ExecuteError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let damaged = |error: &dyn std::fmt::Display| ExecuteError::Damaged(format!("{}: {error}", self.stream));
        let metadata = Metadata {
            actor: context.actor.clone(),
            request: context.request,
            call: context.call,
            node: self.core.node.clone(),
            boot: self.core.boot,
        };
        let metadata: bytes::Bytes = serde_json::to_vec(&metadata).map_err(|e| damaged(&e))?.into();
        let mut sealed = Vec::with_capacity(events.len());
        for event in events {
            let (event_type, version, data) = F::encode(event).map_err(|e| damaged(&e))?;
            let next = Sealed {
                stream: self.stream.clone(),
                revision: desk.head.next_revision(),
                id: EventId::from_uuid(Uuid::now_v7()),
                event_type: event_type.into(),
                version,
                recorded_at: now,
                data: data.into(),
                metadata: metadata.clone(),
                prev_hash: desk.head.hash,
                hash: nemo_events::Digest::ZERO,
            }
            .with_hash();
            let at = At { revision: next.revision, time: now };
            F::evolve(&mut desk.state, event, at).map_err(|e| damaged(&e))?;
            desk.head = next.head();
            sealed.push(next);
        }
        Ok(sealed)
    }

    /// Appends what waits, batch after batch, until nothing waits.
    async fn pump(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        while let Some(batch) = self.next_batch() {
            match self.append(batch).await {
                Ok(reached) => {
                    self.core.health.succeeded();
                    backoff = Backoff::new();
                    self.release(reached);
                }
                Err(Failure::MovedOn) => self.rebuild(&mut backoff).await,
                Err(Failure::Unavailable(why)) => {
                    warn!(stream = %self.stream, why, "append failed; trying again");
                    self.core.health.failed(&why);
                    backoff.wait().await;
                    self.rebuild(&mut backoff).await;
                }
            }
        }
    }

    /// The events to append next; releases what needs none. `None` ends the pump.
    fn next_batch(&self) -> Option<Vec<Sealed>> {
        let mut desk = self.desk();
        let mut batch = Vec::new();
        for decided in &mut desk.waiting {
            if !batch.is_empty() && batch.len().saturating_add(decided.events.len()) > BATCH_EVENTS {
                break;
            }
            batch.append(&mut decided.events);
        }
        if batch.is_empty() {
            debug_assert!(desk.waiting.is_empty(), "an answer waits for events that nobody appends");
            desk.pumping = false;
            self.weight.store(F::weight(&desk.state), Ordering::Relaxed);
            return None;
        }
        Some(batch)
    }

    /// Appends one batch until its outcome is known.
    async fn append(&self, batch: Vec<Sealed>) -> Result<Durable, Failure> {
        let Some((first, last)) = batch.first().zip(batch.last()) else {
            return Err(Failure::MovedOn);
        };
        let (first, last) = (first.revision, last.revision);
        let expected = first.0.checked_sub(1).map_or(Expected::NoStream, |r| Expected::Exact(Revision(r)));
        let mut backoff = Backoff::new();
        #[cfg(feature = "failpoints")]
        self.release_before_it_is_durable(last);
        crate::failpoint::reached("before-append");
        loop {
            match self.core.store.append(expected, batch.clone()).await {
                Ok(position) => {
                    crate::failpoint::reached("after-append");
                    return Ok(Durable { revision: last, position });
                }
                Err(AppendError::Conflict) => return Err(Failure::MovedOn),
                Err(AppendError::Unavailable(why)) => return Err(Failure::Unavailable(why)),
                Err(AppendError::Invalid(why)) => {
                    error!(stream = %self.stream, why, "the store refused a batch as malformed");
                    return Err(Failure::MovedOn);
                }
                // Unknown is not failed: look, and send the same bytes again if they are not there.
                Err(AppendError::Unknown(why)) => {
                    warn!(stream = %self.stream, why, "append outcome unknown; looking");
                    self.core.health.failed(&why);
                    backoff.wait().await;
                    if let Some(outcome) = self.look_for(&batch, first, last).await {
                        return outcome;
                    }
                }
            }
        }
    }

    /// Whether a batch of unknown outcome is there (durable), is superseded, or `None`: not there.
    async fn look_for(&self, batch: &[Sealed], first: Revision, last: Revision) -> Option<Result<Durable, Failure>> {
        let limit = batch.len();
        match self.core.store.read_stream(&self.stream, first, Direction::Forwards, limit).await {
            Err(error) => {
                warn!(stream = %self.stream, error = %error, "cannot look for the append");
                None
            }
            Ok(found) if found.is_empty() => None,
            Ok(found) => {
                let same = found.len() == batch.len() && found.iter().zip(batch).all(|(a, b)| a.event.id == b.id);
                let position = found.last().map(|record| record.position);
                Some(match position {
                    Some(position) if same => Ok(Durable { revision: last, position }),
                    _ => Err(Failure::MovedOn),
                })
            }
        }
    }

    /// Lets go every answer that rests on durable revisions only.
    fn release(self: &Arc<Self>, reached: Durable) {
        let mut follow_ups = Vec::new();
        {
            let mut desk = self.desk();
            desk.durable = desk.durable.max(Some(reached.revision));
            desk.position = Some(reached.position);
            while let Some(decided) = desk.waiting.pop_front() {
                if decided.revision > desk.durable || !decided.events.is_empty() {
                    desk.waiting.push_front(decided);
                    break;
                }
                let at = Reached { revision: decided.revision, position: Some(reached.position) };
                follow_ups.extend(decided.job.release(at));
            }
            for job in follow_ups {
                self.decide(&mut desk, job);
            }
        }
    }

    /// Drops the fold, reads the stream again and decides everything that waits again, in order.
    /// Tries until the store answers; whoever stopped waiting meanwhile is dropped.
    async fn rebuild(&self, backoff: &mut Backoff) {
        loop {
            match fold_stream::<F>(&self.core, &self.stream).await {
                Ok((state, head)) => return self.decide_again(state, head),
                Err(ExecuteError::Damaged(why)) => {
                    error!(stream = %self.stream, why, "the stream cannot be folded");
                    return self.fail_all(&why);
                }
                Err(error) => {
                    warn!(stream = %self.stream, error = %error, "cannot read the stream; trying again");
                    self.drop_unwanted();
                    backoff.wait().await;
                }
            }
        }
    }

    fn decide_again(&self, state: F::State, head: StreamHead) {
        let mut desk = self.desk();
        desk.state = state;
        desk.head = head;
        desk.durable = head.revision;
        for decided in std::mem::take(&mut desk.waiting) {
            if decided.job.is_wanted() {
                self.decide(&mut desk, decided.job);
            }
        }
    }

    fn drop_unwanted(&self) {
        self.desk().waiting.retain(|decided| decided.job.is_wanted());
    }

    fn fail_all(&self, why: &str) {
        let mut desk = self.desk();
        for decided in std::mem::take(&mut desk.waiting) {
            decided.job.fail(ExecuteError::Damaged(why.to_owned()));
        }
    }

    /// Somebody else's event was seen in the store. Folds it if it is the next one.
    pub(super) fn observe(&self, record: &EventRecord) {
        let mut desk = self.desk();
        if !desk.waiting.is_empty() || record.event.follows(&desk.head).is_err() {
            // Already known, or a conflict will make the pump read the stream again.
            return;
        }
        let event = &record.event;
        let at = At { revision: event.revision, time: event.recorded_at };
        let folded = F::decode(&event.event_type, event.version, &event.data)
            .map_err(|e| e.to_string())
            .and_then(|e| F::evolve(&mut desk.state, &e, at).map_err(|e| e.to_string()));
        match folded {
            Ok(()) => {
                desk.head = event.head();
                desk.durable = Some(event.revision);
            }
            Err(error) => error!(stream = %self.stream, revision = %event.revision, error, "cannot fold an event"),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk<F>> {
        // A panic while the desk was locked left a fold that the next conflict rebuilds.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mutation that the crash tests must catch: callers go ahead before anything is durable.
    #[cfg(feature = "failpoints")]
    fn release_before_it_is_durable(&self, last: Revision) {
        if !crate::failpoint::mutated("no-dispatch-gate") {
            return;
        }
        let mut desk = self.desk();
        while let Some(decided) = desk.waiting.pop_front() {
            if decided.revision > Some(last) || !decided.events.is_empty() {
                desk.waiting.push_front(decided);
                break;
            }
            let _ = decided.job.release(Reached { revision: decided.revision, position: None });
        }
    }
}

/// A job for a command that nobody waits for.
pub(super) fn unattended<F: Fold, C: Command<F>>(command: C, context: Context) -> Box<dyn Job<F>> {
    Box::new(Asked { command, context, reply: None, answer: None })
}

/// An append that happened.
#[derive(Clone, Copy)]
struct Durable {
    revision: Revision,
    position: Position,
}

/// An append that did not happen.
enum Failure {
    MovedOn,
    Unavailable(String),
}

/// Reads a whole stream, checks its chain and folds it.
async fn fold_stream<F: Fold>(core: &Core, stream: &StreamName) -> Result<(F::State, StreamHead), ExecuteError> {
    let mut state = F::State::default();
    let mut head = StreamHead::EMPTY;
    loop {
        let page = core.store.read_stream(stream, head.next_revision(), Direction::Forwards, MAX_PAGE).await;
        let page = page.map_err(|error| match error {
            ReadError::Unavailable(why) => ExecuteError::Unavailable(why),
            damaged @ ReadError::Damaged { .. } => ExecuteError::Damaged(damaged.to_string()),
        })?;
        for record in &page {
            let event = &record.event;
            let place = |error: &dyn std::fmt::Display| {
                ExecuteError::Damaged(format!("{stream} {}: {error}", event.revision))
            };
            event.follows(&head).map_err(|e| place(&e))?;
            let decoded = F::decode(&event.event_type, event.version, &event.data).map_err(|e| place(&e))?;
            let at = At { revision: event.revision, time: event.recorded_at };
            F::evolve(&mut state, &decoded, at).map_err(|e| place(&e))?;
            head = event.head();
        }
        if page.is_empty() {
            return Ok((state, head));
        }
    }
}
