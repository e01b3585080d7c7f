//! A store between a ledger and the memory store: it notes what is sent, and each append and read can
//! be made to go wrong in its own way. Each ledger has one of its own; the events are shared.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nemo_events::{EventRecord, Position, Revision, Sealed, StreamName};
use nemo_store::{AppendError, Direction, EventStore, Expected, MemoryStore, ReadError, Subscription};
use tokio::sync::watch;

/// What becomes of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It happens.
    Passes,
    /// It happens, but its outcome is told as unknown.
    Written,
    /// It does not happen, and its outcome is told as unknown.
    Lost,
    /// The same, and it may happen yet: at `commit_late`.
    Late,
    /// The store is away.
    Away,
    /// It is told of a conflict that there is not.
    Conflict,
    /// It is told to be malformed.
    Invalid,
    /// It panics.
    Panics,
}

/// What becomes of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The store is away.
    Away,
    /// What is stored is damaged.
    Damaged,
    /// The last event is not there yet, as at a replica that is behind.
    Behind,
}

/// What becomes of the appends in flight as a node dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// They never happen.
    Lost,
    /// They happen, and nobody is there to be told.
    Written,
    /// They may happen yet: at `commit_late`.
    Late,
}

#[derive(Default)]
struct Script {
    death: Option<Death>,
    outcomes: VecDeque<Outcome>,
    readings: VecDeque<Reading>,
    always_away: bool,
    late: Vec<(Expected, Vec<Sealed>)>,
    /// The operation before which late appends happen.
    commit_late_before: Option<usize>,
    operations: usize,
    sent: Vec<Vec<Sealed>>,
    /// The most bytes in one append; any number if none is said.
    takes_bytes: Option<usize>,
}

#[derive(Default, Clone, Copy)]
struct Gate {
    shut: bool,
    arrived: usize,
    /// So many of them may pass though it is shut.
    let_through: usize,
}

/// Comes to a gate and waits there.
async fn pass(gate: &watch::Sender<Gate>) {
    let place = gate.borrow().arrived;
    gate.send_modify(|gate| gate.arrived += 1);
    gate.subscribe().wait_for(|gate| !gate.shut || place < gate.let_through).await.unwrap();
}

pub(super) struct Probe {
    pub(super) memory: Arc<MemoryStore>,
    script: Mutex<Script>,
    appends: watch::Sender<Gate>,
    /// Reads are held behind this gate with their result in hand.
    reads: watch::Sender<Gate>,
}

impl Probe {
    pub(super) fn over(memory: &Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            memory: Arc::clone(memory),
            script: Mutex::default(),
            appends: watch::Sender::default(),
            reads: watch::Sender::default(),
        })
    }

    /// What becomes of the next appends that nothing was said about yet.
    pub(super) fn then(&self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.script.lock().unwrap().outcomes.extend(outcomes);
    }

    /// What becomes of the next reads of streams that nothing was said about yet.
    pub(super) fn then_reads(&self, readings: impl IntoIterator<Item = Reading>) {
        self.script.lock().unwrap().readings.extend(readings);
    }

    pub(super) fn go_away(&self) {
        self.script.lock().unwrap().always_away = true;
    }

    /// Ends every fault, those to come included.
    pub(super) fn come_back(&self) {
        let mut script = self.script.lock().unwrap();
        script.always_away = false;
        script.outcomes.clear();
        script.readings.clear();
    }

    pub(super) fn takes_bytes(&self, bytes: usize) {
        self.script.lock().unwrap().takes_bytes = Some(bytes);
    }

    pub(super) fn pause_appends(&self) {
        self.appends.send_modify(|gate| gate.shut = true);
    }

    pub(super) fn release_appends(&self) {
        self.appends.send_modify(|gate| gate.shut = false);
    }

    pub(super) fn hold_reads(&self) {
        self.reads.send_modify(|gate| *gate = Gate { shut: true, ..Gate::default() });
    }

    /// Lets so many of the reads pass that were or will be made since they are held.
    pub(super) fn let_reads_through(&self, count: usize) {
        self.reads.send_modify(|gate| gate.let_through = count);
    }

    pub(super) fn release_reads(&self) {
        self.reads.send_modify(|gate| gate.shut = false);
    }

    /// Waits until `count` reads were made since they are held.
    pub(super) async fn reads_arrive(&self, count: usize) {
        self.reads.subscribe().wait_for(|gate| gate.arrived >= count).await.unwrap();
    }

    pub(super) fn reads(&self) -> usize {
        self.reads.borrow().arrived
    }

    /// Late appends happen before the n-th operation (append or read) from now, counted from 0.
    pub(super) fn commit_late_before(&self, operation: usize) {
        let mut script = self.script.lock().unwrap();
        script.commit_late_before = Some(script.operations + operation);
    }

    /// Late appends happen now, as far as their streams have not moved on.
    pub(super) async fn commit_late(&self) {
        let late = std::mem::take(&mut self.script.lock().unwrap().late);
        for (expected, events) in late {
            let _ = self.memory.append(expected, events).await;
        }
    }

    /// All batches that were sent so far, whatever became of them.
    pub(super) fn sent(&self) -> Vec<Vec<Sealed>> {
        self.script.lock().unwrap().sent.clone()
    }

    /// The node is dead: what it sends from now on goes nowhere, and it gets no answer any more.
    pub(super) fn die(&self, death: Death) {
        self.script.lock().unwrap().death = Some(death);
        self.release_appends();
        self.release_reads();
    }

    fn death(&self) -> Option<Death> {
        self.script.lock().unwrap().death
    }

    async fn begin(&self) {
        let now = {
            let mut script = self.script.lock().unwrap();
            let operation = script.operations;
            script.operations += 1;
            script.commit_late_before == Some(operation)
        };
        if now {
            self.commit_late().await;
        }
    }
}

fn away() -> String {
    "told so by a test".to_owned()
}

#[async_trait]
impl EventStore for Probe {
    async fn append(&self, expected: Expected, events: Vec<Sealed>) -> Result<Position, AppendError> {
        if self.death().is_some() {
            return pending().await;
        }
        self.script.lock().unwrap().sent.push(events.clone());
        pass(&self.appends).await;
        if let Some(death) = self.death() {
            match death {
                Death::Lost => {}
                Death::Written => drop(self.memory.append(expected, events).await),
                Death::Late => self.script.lock().unwrap().late.push((expected, events)),
            }
            return pending().await;
        }
        self.begin().await;
        let outcome = {
            let mut script = self.script.lock().unwrap();
            if script.always_away {
                Outcome::Away
            } else {
                script.outcomes.pop_front().unwrap_or(Outcome::Passes)
            }
        };
        match outcome {
            Outcome::Passes => self.memory.append(expected, events).await,
            Outcome::Written => {
                self.memory.append(expected, events).await?;
                Err(AppendError::Unknown(away()))
            }
            Outcome::Lost => Err(AppendError::Unknown(away())),
            Outcome::Late => {
                self.script.lock().unwrap().late.push((expected, events));
                Err(AppendError::Unknown(away()))
            }
            Outcome::Away => Err(AppendError::Unavailable(away())),
            Outcome::Conflict => Err(AppendError::Conflict),
            Outcome::Invalid => Err(AppendError::Invalid("told so by a test")),
            Outcome::Panics => panic!("told so by a test"),
        }
    }

    fn max_append_bytes(&self) -> usize {
        self.script.lock().unwrap().takes_bytes.unwrap_or(usize::MAX)
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        if self.death().is_some() {
            return pending().await;
        }
        self.begin().await;
        let reading = {
            let mut script = self.script.lock().unwrap();
            if script.always_away { Some(Reading::Away) } else { script.readings.pop_front() }
        };
        let mut page = self.memory.read_stream(stream, from, direction, limit).await;
        match reading {
            None => {}
            Some(Reading::Away) => page = Err(ReadError::Unavailable(away())),
            Some(Reading::Damaged) => {
                page = Err(ReadError::Damaged { place: stream.to_string(), what: away() })
            }
            Some(Reading::Behind) => {
                page = page.map(|mut page| {
                    page.pop();
                    page
                })
            }
        }
        pass(&self.reads).await;
        page
    }

    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        self.memory.read_all(after, limit).await
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        self.memory.head().await
    }

    async fn subscribe_all(&self, after: Option<Position>) -> Result<Subscription, ReadError> {
        self.memory.subscribe_all(after).await
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}
