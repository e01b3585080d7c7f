//! What an account's lock guards: commands are decided in the order in which they come, and their
//! answers let go in the same order, once what they rest on is durable.

use std::collections::VecDeque;

use nemo_events::{EventRecord, Position, Revision, Sealed, StreamHead, StreamName, Timestamp};
use nemo_projections::At;
use nemo_store::append_bytes;
use tracing::error;

use super::scribe::Scribe;
use crate::ledger::command::{Context, ExecuteError, Job, Reached};
use crate::ledger::counted::Counted;
use crate::ledger::fold::Fold;
use crate::ledger::stream::{Read, evolve};

/// Events of one append at most, and their bytes, if the store takes so many: bounds the size of a batch, not of
/// a decision.
const BATCH_EVENTS: usize = 512;
const BATCH_BYTES: usize = 512 * 1024;
/// Commands that may wait for one stream. Ends of calls are not counted: each has a call to itself.
pub(in crate::ledger) const WAITING_AT_MOST: usize = 16_384;

/// Whether commands may be decided on the fold in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Footing {
    /// They may.
    Firm,
    /// An append's outcome is not known: commands wait undecided until it is.
    InDoubt,
    /// The fold is not what the stream says: commands wait undecided until it was read again.
    Lost,
}

/// An account's fold and the commands on their way through it.
pub(super) struct Desk<F: Fold> {
    state: F::State,
    /// The head that `state` reflects, durable or not.
    head: StreamHead,
    /// The last revision known to be durable.
    durable: Option<Revision>,
    /// The last revision that was seen in the store, folded or not.
    seen: Option<Revision>,
    /// The position of the last event known to be durable.
    position: Option<Position>,
    pub(super) footing: Footing,
    /// Released from the front.
    decided: VecDeque<Decided<F>>,
    /// Decided from the front, once the footing is firm.
    undecided: VecDeque<Box<dyn Job<F>>>,
    /// A pump is running, which will look again.
    pub(super) pumping: bool,
}

struct Decided<F: Fold> {
    job: Box<dyn Job<F>>,
    /// The revision that the answer rests on.
    revision: Option<Revision>,
    /// Sealed, and not yet handed to the store.
    unsent: Vec<Sealed>,
    /// What is counted of the events once they are durable.
    counted: Vec<Counted>,
}

/// What the pump does next.
pub(super) enum Step {
    /// Nothing waits.
    Done,
    /// Append these events.
    Append(Vec<Sealed>),
    /// Read the stream again.
    Rebuild,
}

impl<F: Fold> Desk<F> {
    pub(super) fn unread() -> Self {
        Self {
            state: F::State::default(),
            head: StreamHead::EMPTY,
            durable: None,
            seen: None,
            position: None,
            footing: Footing::Lost,
            decided: VecDeque::new(),
            undecided: VecDeque::new(),
            pumping: false,
        }
    }

    pub(super) const fn state(&self) -> &F::State {
        &self.state
    }

    pub(super) const fn revision(&self) -> Option<Revision> {
        self.head.revision
    }

    pub(super) const fn durable(&self) -> Option<Revision> {
        self.durable
    }

    pub(super) fn waiting(&self) -> usize {
        self.decided.len().saturating_add(self.undecided.len())
    }

    /// What must happen and is not known to be durable.
    pub(super) fn unwritten_ends(&self) -> usize {
        let decided = self.decided.iter().map(|decided| &decided.job);
        decided.chain(&self.undecided).filter(|job| job.must_happen()).count()
    }

    /// Whether the fold is durable as a whole, and not known to be behind.
    pub(super) fn is_settled(&self) -> bool {
        let known = self.durable == self.head.revision && self.seen <= self.durable;
        known && self.footing == Footing::Firm && self.waiting() == 0
    }

    /// Whether the fold is of the stream as it is known here, durable or not.
    pub(super) fn is_current(&self) -> bool {
        self.footing != Footing::Lost && self.seen <= self.head.revision
    }

    /// Whether something waits and nobody sees to it. Then the asker must.
    pub(super) fn wants_pump(&mut self) -> bool {
        let wants = !self.pumping && self.waiting() > 0;
        self.pumping |= wants;
        wants
    }

    /// Takes a command in and decides it if that may be.
    pub(super) fn take_in(&mut self, job: Box<dyn Job<F>>, scribe: Scribe<'_>) {
        if self.waiting() >= WAITING_AT_MOST && !job.must_happen() {
            return job.fail(ExecuteError::Unavailable("too many commands wait for this stream".to_owned()));
        }
        self.undecided.push_back(job);
        self.proceed(scribe);
    }

    /// Decides what may be decided, and lets go every answer that rests on durable revisions only.
    pub(super) fn proceed(&mut self, scribe: Scribe<'_>) {
        loop {
            self.decide_undecided(scribe);
            let follow_ups = self.release(scribe);
            if follow_ups.is_empty() {
                return;
            }
            self.undecided.extend(follow_ups);
        }
    }

    fn decide_undecided(&mut self, scribe: Scribe<'_>) {
        loop {
            if self.seen > self.head.revision {
                // Somebody else wrote: whatever is decided now is decided on the past.
                self.footing = Footing::Lost;
            }
            if self.footing != Footing::Firm {
                return;
            }
            let Some(job) = self.undecided.pop_front() else { return };
            if job.is_wanted() {
                self.decide(job, scribe);
            }
        }
    }

    /// Decides one command on the fold in memory.
    fn decide(&mut self, mut job: Box<dyn Job<F>>, scribe: Scribe<'_>) {
        let now = match scribe.decision_time(&self.head, job.must_happen()) {
            Ok(now) => now,
            Err(error) => return job.fail(error),
        };
        let events = job.decide(&self.state, now);
        match self.seal_and_evolve(&events, now, job.context(), scribe) {
            Ok((unsent, counted)) => {
                job.decided(&self.state, &events, now);
                self.decided.push_back(Decided { job, revision: self.head.revision, unsent, counted });
            }
            Err(error) => {
                // The fold may have taken some of the events, or half of one.
                error!(stream = %scribe.stream, error = %error, "a decision could not be folded");
                self.footing = Footing::Lost;
                job.fail(error);
            }
        }
    }

    fn seal_and_evolve(
        &mut self,
        events: &[F::Event],
        now: Timestamp,
        context: &Context,
        scribe: Scribe<'_>,
    ) -> Result<(Vec<Sealed>, Vec<Counted>), ExecuteError> {
        if events.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let metadata = scribe.metadata(context)?;
        let mut sealed = Vec::with_capacity(events.len());
        let mut counted = Vec::with_capacity(events.len());
        for event in events {
            let next = scribe.seal::<F>(event, &self.head, now, metadata.clone())?;
            let at = At { revision: next.revision, time: now };
            let of_call = F::of_call(&self.state, event);
            counted.push(Counted { event_type: next.event_type.clone(), of_call });
            F::evolve(&mut self.state, event, at).map_err(|e| scribe.damaged(&e))?;
            self.head = next.head();
            sealed.push(next);
        }
        scribe.check_size(&sealed)?;
        Ok((sealed, counted))
    }

    /// Lets go every answer that rests on durable revisions only, and counts the events behind it. Returns
    /// what has to be done where nobody waited for one.
    fn release(&mut self, scribe: Scribe<'_>) -> Vec<Box<dyn Job<F>>> {
        let mut follow_ups = Vec::new();
        while let Some(decided) = self.decided.pop_front() {
            if decided.revision > self.durable || !decided.unsent.is_empty() {
                self.decided.push_front(decided);
                break;
            }
            for counted in &decided.counted {
                counted.count(&scribe.core.metrics);
            }
            let reached = Reached { revision: decided.revision, position: self.position };
            follow_ups.extend(decided.job.release(reached));
        }
        follow_ups
    }

    /// `takes_bytes`: the most that the store takes in one append.
    pub(super) fn next_step(&mut self, takes_bytes: usize) -> Step {
        if self.waiting() == 0 {
            self.pumping = false;
            return Step::Done;
        }
        if self.footing == Footing::Firm {
            let batch = self.next_batch(takes_bytes.min(BATCH_BYTES));
            if !batch.is_empty() {
                return Step::Append(batch);
            }
        }
        self.lose();
        Step::Rebuild
    }

    fn next_batch(&mut self, most_bytes: usize) -> Vec<Sealed> {
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        for decided in &mut self.decided {
            bytes = bytes.saturating_add(decided.unsent.iter().map(append_bytes).sum());
            let full = batch.len().saturating_add(decided.unsent.len()) > BATCH_EVENTS || bytes > most_bytes;
            if full && !batch.is_empty() {
                break;
            }
            batch.append(&mut decided.unsent);
        }
        batch
    }

    /// An append happened: its last event has this revision and position.
    pub(super) fn appended(&mut self, revision: Revision, position: Position, scribe: Scribe<'_>) {
        self.durable = self.durable.max(Some(revision));
        self.position = self.position.max(Some(position));
        if self.footing == Footing::InDoubt {
            self.footing = Footing::Firm;
        }
        self.proceed(scribe);
    }

    /// Nobody knows whether the append in flight happened.
    pub(super) fn doubt(&mut self) {
        if self.footing == Footing::Firm {
            self.footing = Footing::InDoubt;
        }
    }

    /// The fold is not what the stream says: everything that waits is decided again, in its order. Not
    /// while an append is in flight.
    pub(super) fn lose(&mut self) {
        self.footing = Footing::Lost;
        for decided in self.decided.drain(..).rev() {
            self.undecided.push_front(decided.job);
        }
    }

    /// Takes on a fold that was read. Refuses one that ends before what is known to be there.
    pub(super) fn install(&mut self, read: Read<F>) -> bool {
        if read.head.revision < self.seen.max(self.durable) {
            return false;
        }
        self.lose();
        self.state = read.state;
        self.head = read.head;
        self.durable = read.head.revision;
        self.position = self.position.max(read.position);
        self.footing = Footing::Firm;
        true
    }

    /// Folds an event that was seen in the store, if it is the next one and nothing is in flight.
    /// If not, it is known already, or the stream is read again before anything is decided.
    pub(super) fn observe(&mut self, record: &EventRecord, stream: &StreamName) {
        let event = &record.event;
        self.seen = self.seen.max(Some(event.revision));
        if self.footing != Footing::Firm || self.waiting() > 0 || event.follows(&self.head).is_err() {
            return;
        }
        match evolve::<F>(&mut self.state, record) {
            Ok(()) => {
                self.head = event.head();
                self.durable = Some(event.revision);
                self.position = self.position.max(Some(record.position));
            }
            Err(error) => {
                error!(%stream, revision = %event.revision, error, "an event cannot be folded");
                self.footing = Footing::Lost;
            }
        }
    }

    /// Forgets commands that nobody waits for any more, while the others cannot be decided.
    pub(super) fn drop_unwanted(&mut self) {
        self.undecided.retain(|job| job.is_wanted());
    }

    /// The stream cannot be folded: nothing can be said to anybody.
    pub(super) fn fail_all(&mut self, why: &str) {
        self.lose();
        for job in self.undecided.drain(..) {
            job.fail(ExecuteError::Damaged(why.to_owned()));
        }
    }

    /// The mutation that the crash tests must catch: calls go ahead before their leave is durable. Only
    /// they do: whoever waits behind anything else goes on waiting.
    #[cfg(feature = "failpoints")]
    pub(super) fn release_before_it_is_durable(&mut self, last: Revision) {
        while let Some(decided) = self.decided.pop_front() {
            let is_leave = decided.job.context().call.is_some() && !decided.job.must_happen();
            if decided.revision > Some(last) || !decided.unsent.is_empty() || !is_leave {
                self.decided.push_front(decided);
                break;
            }
            let _ = decided.job.release(Reached { revision: decided.revision, position: None });
        }
    }
}
