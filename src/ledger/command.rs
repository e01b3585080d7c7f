//! What is asked of a stream, and how its answer travels back.

use nemo_events::{Actor, CallId, Position, RequestId, Revision, Timestamp};
use nemo_projections::Refusal;
use nemo_store::ReadError;
use tokio::sync::oneshot;

use super::fold::Fold;

/// Something that may be asked of a stream of kind `F`.
pub trait Command<F: Fold>: Send + 'static {
    /// What the asker is told besides the events.
    type Answer: Send + 'static;

    /// Whether it must happen even if nobody waits for the answer any more: the end of a call.
    const MUST_HAPPEN: bool = false;

    /// What follows from it. May run more than once: after a conflict it decides again.
    ///
    /// # Errors
    /// The refusal, by name.
    fn decide(&mut self, state: &F::State, now: Timestamp) -> Result<Vec<F::Event>, Refusal>;

    /// Read off the state that the events led to, at the moment of the decision.
    fn answer(&mut self, state: &F::State, events: &[F::Event], now: Timestamp) -> Self::Answer;

    /// The events that it led to are durable.
    fn written(&mut self) {}

    /// What takes back an answer that nobody got.
    fn undo(_answer: &Self::Answer) -> Option<Box<dyn Job<F>>> {
        None
    }
}

/// Who asks, and on behalf of which request and call.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who caused it.
    pub actor: Actor,
    /// The request that it belongs to.
    pub request: Option<RequestId>,
    /// The call that it belongs to.
    pub call: Option<CallId>,
}

impl Context {
    /// The gateway itself asks.
    #[must_use]
    pub const fn system() -> Self {
        Self { actor: Actor::System, request: None, call: None }
    }
}

/// A command's result, durable.
#[derive(Debug, Clone)]
pub struct Done<A> {
    /// What the asker is told.
    pub answer: A,
    /// The stream's revision at which it was decided; `None` for a stream without events.
    pub revision: Option<Revision>,
    /// A position at or behind the events, if there were any.
    pub position: Option<Position>,
}

/// Why a command has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecuteError {
    /// A business no.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The store could not be reached in time; nothing was granted.
    #[error("the ledger is not available: {0}")]
    Unavailable(String),
    /// This node's clock lies too far behind the stream's last event.
    #[error("this node's clock is {0} ms behind the ledger")]
    ClockBehind(i64),
    /// The stream cannot be folded or read: somebody must look.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
}

impl From<ReadError> for ExecuteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(why) => Self::Unavailable(why),
            damaged @ ReadError::Damaged { .. } => Self::Damaged(damaged.to_string()),
        }
    }
}

/// Where a decided job stands.
#[derive(Debug, Clone, Copy)]
pub struct Reached {
    /// The stream's revision.
    pub revision: Option<Revision>,
    /// The last append's position.
    pub position: Option<Position>,
}

/// A command without its type: what an account's queue holds.
pub trait Job<F: Fold>: Send {
    /// Decides, and keeps a refusal for the answer.
    fn decide(&mut self, state: &F::State, now: Timestamp) -> Vec<F::Event>;
    /// Keeps the answer, read off the state after the events.
    fn decided(&mut self, state: &F::State, events: &[F::Event], now: Timestamp);
    /// Lets the answer go. Returns what takes it back if nobody waits for it.
    fn release(self: Box<Self>, reached: Reached) -> Option<Box<dyn Job<F>>>;
    /// Ends without an answer.
    fn fail(self: Box<Self>, error: ExecuteError);
    /// Whether anybody waits. Jobs that nobody waits for, but which must happen, say yes.
    fn is_wanted(&self) -> bool;
    /// Whether it must happen even if nobody waits.
    fn must_happen(&self) -> bool;
    /// Who asks.
    fn context(&self) -> &Context;
}

/// A command with the way back to its asker.
pub(super) struct Asked<F: Fold, C: Command<F>> {
    command: C,
    context: Context,
    reply: Option<Reply<C::Answer>>,
    answer: Option<Result<C::Answer, Refusal>>,
    /// The last decision had events.
    writes: bool,
}

type Reply<A> = oneshot::Sender<Result<Done<A>, ExecuteError>>;

impl<F: Fold, C: Command<F>> Asked<F, C> {
    pub(super) const fn new(command: C, context: Context, reply: Option<Reply<C::Answer>>) -> Self {
        Self { command, context, reply, answer: None, writes: false }
    }
}

impl<F: Fold, C: Command<F>> Job<F> for Asked<F, C> {
    fn decide(&mut self, state: &F::State, now: Timestamp) -> Vec<F::Event> {
        let decision = self.command.decide(state, now);
        let (answer, events) = match decision {
            Ok(events) => (None, events),
            Err(refusal) => (Some(Err(refusal)), Vec::new()),
        };
        self.writes = !events.is_empty();
        self.answer = answer;
        events
    }

    fn decided(&mut self, state: &F::State, events: &[F::Event], now: Timestamp) {
        if self.answer.is_none() {
            self.answer = Some(Ok(self.command.answer(state, events, now)));
        }
    }

    fn release(mut self: Box<Self>, reached: Reached) -> Option<Box<dyn Job<F>>> {
        if self.writes {
            self.command.written();
        }
        let result = match self.answer.take() {
            Some(Ok(answer)) => Ok(Done { answer, revision: reached.revision, position: reached.position }),
            Some(Err(refusal)) => Err(ExecuteError::Refused(refusal)),
            None => Err(ExecuteError::Unavailable("the decision was lost".to_owned())),
        };
        let undelivered = self.reply.take()?.send(result).err()?;
        undelivered.ok().and_then(|done| C::undo(&done.answer))
    }

    fn fail(mut self: Box<Self>, error: ExecuteError) {
        if let Some(reply) = self.reply.take() {
            // Whoever stopped waiting needs no error.
            let _ = reply.send(Err(error));
        }
    }

    fn is_wanted(&self) -> bool {
        C::MUST_HAPPEN || self.reply.as_ref().is_none_or(|reply| !reply.is_closed())
    }

    fn must_happen(&self) -> bool {
        C::MUST_HAPPEN
    }

    fn context(&self) -> &Context {
        &self.context
    }
}
