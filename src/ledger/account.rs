//! One stream's account: its fold in memory, the commands that wait, and the one append in flight.
//!
//! Decisions are taken one after the other on the fold in memory, which runs ahead of what is
//! durable. Three rules keep that honest: every answer waits until the revision that it was decided
//! on is durable; an unknown outcome is looked up, never guessed; after a conflict or a failed append
//! the fold is dropped, read again, and the waiting commands are decided again in their order.
//!
//! `desk` is what the lock guards: deciding and releasing, which take no time. `pump` is what takes
//! time: appending, looking, reading again.

mod desk;
mod pump;
mod scribe;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use nemo_events::{EventRecord, Revision, StreamName};
use tokio::sync::{oneshot, watch};

use super::Core;
use super::command::{Asked, Command, Context, Done, ExecuteError, Job};
use super::fold::Fold;
use super::pace::Backoff;
use super::stream;
use crate::metrics::ledger::LedgerMetrics;
use desk::{Desk, Footing};
use scribe::Scribe;

#[cfg(test)]
pub(super) use desk::WAITING_AT_MOST;

/// How often an account is read before it is given up that the store knows less than was seen of it.
const READS_AT_MOST: usize = 4;

/// One stream's account. Cheap to share; there is one for each stream in use.
pub struct Account<F: Fold> {
    id: F::Id,
    stream: StreamName,
    core: Arc<Core>,
    /// Never held across an await.
    desk: Mutex<Desk<F>>,
    /// Whether the stream was read at all.
    loaded: AtomicBool,
    /// The first reading, for those who wait for it.
    loading: watch::Sender<Loading>,
    weight: AtomicUsize,
    /// What the cache was told.
    weighed: AtomicUsize,
}

/// Where the first reading of a stream stands.
#[derive(Debug, Clone)]
enum Loading {
    /// Nobody reads.
    Idle,
    /// Somebody does.
    Running,
    /// It was read, or could not be.
    Ended(Result<(), ExecuteError>),
}

impl<F: Fold> Account<F> {
    /// An account whose stream was not read yet. From here on it may be told of events.
    pub(super) fn unread(id: F::Id, core: Arc<Core>) -> Self {
        Self {
            id,
            stream: F::stream(id),
            core,
            desk: Mutex::new(Desk::unread()),
            loaded: AtomicBool::new(false),
            loading: watch::Sender::new(Loading::Idle),
            weight: AtomicUsize::new(0),
            weighed: AtomicUsize::new(0),
        }
    }

    /// Whether the caller is the one who must read the stream now, and say how that ended.
    pub(super) fn begin_loading(&self) -> bool {
        self.loading.send_if_modified(|loading| {
            let idle = matches!(loading, Loading::Idle | Loading::Ended(Err(_)));
            if idle {
                *loading = Loading::Running;
            }
            idle
        })
    }

    pub(super) fn end_loading(&self, read: Result<(), ExecuteError>) {
        self.loading.send_replace(Loading::Ended(read));
    }

    /// Waits for the reading that was begun.
    pub(super) async fn loaded(&self) -> Result<(), ExecuteError> {
        let mut loading = self.loading.subscribe();
        // The sender is in `self`, so there is always an end.
        match loading.wait_for(|loading| matches!(loading, Loading::Ended(_))).await.as_deref() {
            Ok(Loading::Ended(read)) => read.clone(),
            Ok(_) | Err(_) => Err(ExecuteError::Unavailable("the reading of the stream was lost".to_owned())),
        }
    }

    /// Reads the stream and folds it: at least as far as anybody has seen it.
    pub(super) async fn read(&self) -> Result<(), ExecuteError> {
        let mut backoff = Backoff::new(self.core.pace);
        for _ in 0..READS_AT_MOST {
            let read = stream::read::<F>(&self.core, &self.stream).await?;
            if self.install(read) {
                self.loaded.store(true, Ordering::Release);
                return Ok(());
            }
            backoff.wait().await;
        }
        Err(ExecuteError::Unavailable("the store is behind what it has told".to_owned()))
    }

    /// Takes on a fold that was read, and decides on it whatever waits.
    fn install(&self, read: stream::Read<F>) -> bool {
        let mut desk = self.desk();
        let installed = desk.install(read);
        if installed {
            desk.proceed(self.scribe());
            self.weigh(&desk);
        }
        installed
    }

    /// What tells this account from others of its kind.
    pub const fn id(&self) -> F::Id {
        self.id
    }

    /// What the ledger counts.
    pub(super) fn metrics(&self) -> &LedgerMetrics {
        &self.core.metrics
    }

    /// About how many bytes the account takes in memory.
    pub fn weight(&self) -> usize {
        self.weight.load(Ordering::Relaxed)
    }

    /// Reads off the state as decided so far, durable or not. For what is told to a caller use a
    /// command instead, whose answer waits.
    pub fn glance<T>(&self, look: impl FnOnce(&F::State) -> T) -> T {
        look(self.desk().state())
    }

    /// Reads off the state if all of it is durable, which is nearly always; if not, ask by a command.
    pub fn settled<T>(&self, look: impl FnOnce(&F::State) -> T) -> Option<T> {
        let desk = self.desk();
        desk.is_settled().then(|| look(desk.state()))
    }

    /// Reads off the state as decided so far, and the last revision known to be durable, unless the fold is not what
    /// the stream says.
    pub(super) fn unless_lost<T>(&self, look: impl FnOnce(&F::State, Option<Revision>) -> T) -> Option<T> {
        let desk = self.desk();
        desk.is_current().then(|| look(desk.state(), desk.durable()))
    }

    /// The last event's revision, durable or not.
    pub fn revision(&self) -> Option<Revision> {
        self.desk().revision()
    }

    /// Decides a command; the answer comes once everything it rests on is durable. Dropping the future
    /// takes back what an answer that nobody got would have granted.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute<C: Command<F>>(
        self: &Arc<Self>,
        command: C,
        context: Context,
    ) -> Result<Done<C::Answer>, ExecuteError> {
        let _waiting = self.core.metrics.waits();
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(Asked::new(command, context, Some(reply))));
        let mut receipt = Receipt::<F, C> { account: self, answer };
        let answer = (&mut receipt.answer).await;
        answer.unwrap_or_else(|_| Err(ExecuteError::Unavailable("the decision was lost".to_owned())))
    }

    /// Decides a command whose answer nobody waits for, but which must happen.
    pub fn submit_unattended<C: Command<F>>(self: &Arc<Self>, command: C, context: Context) {
        self.submit(unattended(command, context));
    }

    fn submit(self: &Arc<Self>, job: Box<dyn Job<F>>) {
        let mut desk = self.desk();
        desk.take_in(job, self.scribe());
        if desk.wants_pump() {
            drop(desk);
            self.start_pump();
        }
    }

    /// An event was seen in the store, somebody else's perhaps. Folds it if it is the next one.
    pub(super) fn observe(&self, record: &EventRecord) {
        let mut desk = self.desk();
        desk.observe(record, &self.stream);
        self.weigh(&desk);
    }

    /// Whether the stream was read: before, the account is known to those who load it only.
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Whether the stream has any event.
    pub(super) fn exists(&self) -> bool {
        self.desk().durable().is_some()
    }

    /// Ends of calls that wait here.
    pub(super) fn unwritten_ends(&self) -> usize {
        self.desk().unwritten_ends()
    }

    /// The weight, for the cache, which asks only when something is put into it.
    pub(super) fn tell_weight(&self) -> usize {
        let weight = self.weight();
        self.weighed.store(weight, Ordering::Relaxed);
        weight
    }

    /// Whether the weight is another one by a factor than the cache was told.
    pub(super) fn has_another_weight(&self) -> bool {
        let (now, told) = (self.weight(), self.weighed.load(Ordering::Relaxed));
        now > told.saturating_mul(2) || now < told / 4
    }

    fn weigh(&self, desk: &Desk<F>) {
        self.weight.store(F::weight(desk.state()), Ordering::Relaxed);
        F::noted(self.id, desk.state(), &self.core.slack);
    }

    fn scribe(&self) -> Scribe<'_> {
        Scribe { core: &self.core, stream: &self.stream }
    }

    fn desk(&self) -> MutexGuard<'_, Desk<F>> {
        self.desk.lock().unwrap_or_else(|poisoned| {
            // Whatever panicked may have left a fold that is half one thing and half another.
            self.desk.clear_poison();
            let mut desk = poisoned.into_inner();
            desk.footing = Footing::Lost;
            desk
        })
    }

    /// How many commands wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.desk().waiting()
    }
}

/// A job for a command that nobody waits for.
pub(super) fn unattended<F: Fold, C: Command<F>>(command: C, context: Context) -> Box<dyn Job<F>> {
    Box::new(Asked::new(command, context, None))
}

/// The asker's end of a command. Whoever goes away between the answer's coming and its being looked at
/// has not got it: then what it granted is undone, just as if it had found nobody.
struct Receipt<'a, F: Fold, C: Command<F>> {
    account: &'a Arc<Account<F>>,
    answer: oneshot::Receiver<Result<Done<C::Answer>, ExecuteError>>,
}

impl<F: Fold, C: Command<F>> Drop for Receipt<'_, F, C> {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(Ok(done)) = self.answer.try_recv()
            && let Some(undo) = C::undo(&done.answer)
        {
            self.account.submit(undo);
        }
    }
}
