//! What is asked of the people who log in, and what is counted of them: logins that failed, and histories that
//! they looked at. Counts are written once a minute, as refusals are; kill -9 can lose one minute of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nemo_events::operator::{LedgerExported, LedgerRead, LoginFailureCount, LoginsFailed, ReadCount};
use nemo_events::{Actor, KeyId, OperatorEvent, OperatorId, Timestamp};
use nemo_projections::decide::OperatorCommand;
use nemo_projections::{Operators, Refusal};

use super::Ledger;
use super::calls::within;
use super::command::{Command, Context, Done, ExecuteError};
use super::fold::OperatorFold;

/// Ways in which logins failed that one event tells apart; beyond, addresses are not told.
const FAILURES_NAMED: usize = 64;
/// Keys that one event names as looked at.
const KEYS_NAMED: usize = 256;

/// How a history leaves the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taking {
    /// Somebody looks at it.
    Read,
    /// Somebody takes it away.
    Export,
}

/// Counts since they were last written.
#[derive(Debug, Default)]
pub(super) struct OfOperators {
    failures: Mutex<Option<Counts<Failure>>>,
    reads: Mutex<BTreeMap<Reader, Reads>>,
}

type Failure = (Option<OperatorId>, &'static str, Option<String>);
/// Who looked, and how.
type Reader = (OperatorId, Taking);
/// At which keys' histories; `None` for the ledger as a whole.
type Reads = Counts<Option<KeyId>>;

/// How often each thing happened since the first did.
#[derive(Debug, Clone)]
struct Counts<T> {
    since: Timestamp,
    counts: BTreeMap<T, u64>,
}

impl<T: Ord> Counts<T> {
    const fn new(since: Timestamp) -> Self {
        Self { since, counts: BTreeMap::new() }
    }

    /// Counts `what`, or, once there are too many kinds, `rest` in its place.
    fn add(&mut self, what: T, rest: T, most: usize, more: u64) {
        let known = self.counts.contains_key(&what) || self.counts.len() < most;
        let count = self.counts.entry(if known { what } else { rest }).or_default();
        *count = count.saturating_add(more);
    }
}

impl OfOperators {
    fn fail(&self, (operator, code, address): Failure, more: u64, now: Timestamp) {
        let mut failures = lock(&self.failures);
        let rest = (operator, code, None);
        let counts = failures.get_or_insert_with(|| Counts::new(now));
        counts.since = counts.since.min(now);
        counts.add((operator, code, address), rest, FAILURES_NAMED, more);
    }

    fn read(&self, by: Reader, key: Option<KeyId>, more: u64, now: Timestamp) {
        let mut reads = lock(&self.reads);
        let counts = reads.entry(by).or_insert_with(|| Counts::new(now));
        counts.since = counts.since.min(now);
        counts.add(key, None, KEYS_NAMED, more);
    }
}

impl Ledger {
    /// Reads off who may log in. Decided, if not yet durable: whoever was removed is so at once.
    pub fn operators<T>(&self, look: impl FnOnce(&Operators) -> T) -> T {
        self.operators.glance(look)
    }

    /// Makes sure that what [`Ledger::operators`] tells is not behind what this node has seen of the log.
    /// What cannot be read now is told as it was.
    pub async fn settle_operators(&self) {
        if self.operators.settled(|_| ()).is_none() {
            // Whoever asks next tries again.
            let _ = within(self.core.pace.manage, self.operators.execute(Look, Context::system())).await;
        }
    }

    /// Executes a command on the people who log in; answers with the state that it led to.
    ///
    /// # Errors
    /// The refusal, or why there is no answer. A command that timed out may still happen.
    pub async fn manage_operators<C: OperatorCommand + Send + 'static>(
        &self,
        command: C,
        context: Context,
    ) -> Result<Done<Operators>, ExecuteError> {
        within(self.core.pace.manage, self.operators.execute(Manage(command), context)).await
    }

    /// Counts a login that failed. A name that is nobody's is not kept: it may well be a password.
    pub fn count_failed_login(
        &self,
        operator: Option<OperatorId>,
        code: &'static str,
        address: Option<String>,
    ) {
        self.of_operators.fail((operator, code, address), 1, self.now());
    }

    /// Counts that an operator looked at a key's history, or at the ledger as a whole.
    pub fn count_read(&self, operator: OperatorId, key: Option<KeyId>, taking: Taking) {
        self.of_operators.read((operator, taking), key, 1, self.now());
    }

    /// Writes the counts down. What cannot be written goes on waiting.
    pub(super) async fn write_of_operators(&self) {
        let tallies = &self.of_operators;
        let mut waiting = Vec::new();
        if let Some(failures) = lock(&tallies.failures).take() {
            waiting.push((Counted::Failures(failures), Context::system()));
        }
        for ((id, taking), counts) in std::mem::take(&mut *lock(&tallies.reads)) {
            let actor = Actor::Operator { id };
            waiting.push((Counted::Reads((id, taking), counts), Context { actor, ..Context::system() }));
        }
        for (counted, context) in waiting {
            let command = Write { tallies: Arc::clone(tallies), counted: Some(counted) };
            let work = self.operators.execute(command, context);
            if let Err(error) = within(self.core.pace.manage, work).await {
                tracing::warn!(%error, "counts of logins and of what operators read are not written yet");
            }
        }
    }
}

/// A command on the people who log in.
struct Manage<C>(C);

impl<C: OperatorCommand + Send + 'static> Command<OperatorFold> for Manage<C> {
    type Answer = Operators;

    fn decide(&mut self, state: &Operators, now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        self.0.decide(state, now)
    }

    fn answer(&mut self, state: &Operators, _: &[OperatorEvent], _: Timestamp) -> Operators {
        state.clone()
    }
}

/// Changes nothing: its answer waits until the fold is up to date.
struct Look;

impl Command<OperatorFold> for Look {
    type Answer = ();

    fn decide(&mut self, _: &Operators, _: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        Ok(Vec::new())
    }

    fn answer(&mut self, _: &Operators, _: &[OperatorEvent], _: Timestamp) {}
}

/// What was counted.
enum Counted {
    Failures(Counts<Failure>),
    Reads(Reader, Reads),
}

impl Counted {
    fn event(&self) -> OperatorEvent {
        match self {
            Self::Failures(Counts { since, counts }) => {
                let failures = counts.iter().map(|((operator, code, address), count)| LoginFailureCount {
                    operator: *operator,
                    code: (*code).to_owned(),
                    address: address.clone(),
                    count: *count,
                });
                LoginsFailed { since: *since, failures: failures.collect() }.into()
            }
            Self::Reads((_, taking), Counts { since, counts }) => {
                let reads = counts.iter().map(|(key, count)| ReadCount { key: *key, count: *count });
                let (since, reads) = (*since, reads.collect());
                match taking {
                    Taking::Read => LedgerRead { since, reads }.into(),
                    Taking::Export => LedgerExported { since, reads }.into(),
                }
            }
        }
    }
}

/// Writes counts down. They go back where they came from unless they were written.
struct Write {
    tallies: Arc<OfOperators>,
    counted: Option<Counted>,
}

impl Command<OperatorFold> for Write {
    type Answer = ();

    fn decide(&mut self, _: &Operators, _: Timestamp) -> Result<Vec<OperatorEvent>, Refusal> {
        Ok(self.counted.iter().map(Counted::event).collect())
    }

    fn answer(&mut self, _: &Operators, _: &[OperatorEvent], _: Timestamp) {}

    fn written(&mut self) {
        self.counted = None;
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        match self.counted.take() {
            None => {}
            Some(Counted::Failures(Counts { since, counts })) => {
                for (failure, count) in counts {
                    self.tallies.fail(failure, count, since);
                }
            }
            Some(Counted::Reads(by, Counts { since, counts })) => {
                for (key, count) in counts {
                    self.tallies.read(by, key, count, since);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
