//! Given/when/then for decisions.

#![expect(clippy::panic, clippy::arithmetic_side_effects, reason = "a test helper fails loudly")]

use nemo_events::{KeyEvent, Revision, Timestamp};

use crate::decide::KeyCommand;
use crate::{At, KeyState, Refusal};

/// A key's history under test; events get dense revisions.
#[derive(Debug, Clone, Default)]
pub struct KeyHistory {
    state: Option<KeyState>,
    next: u64,
}

/// Starts from events, each with the time at which it was decided.
///
/// # Panics
/// Where the events cannot be folded.
#[must_use]
pub fn given(events: impl IntoIterator<Item = (Timestamp, KeyEvent)>) -> KeyHistory {
    let mut history = KeyHistory::default();
    for (time, event) in events {
        history.append(&event, time);
    }
    history
}

/// What a command led to.
#[derive(Debug)]
pub struct Outcome(Result<Vec<KeyEvent>, Refusal>);

impl KeyHistory {
    /// The state so far.
    #[must_use]
    pub const fn state(&self) -> Option<&KeyState> {
        self.state.as_ref()
    }

    /// Decides without changing the history.
    #[must_use]
    pub fn when(&self, command: &impl KeyCommand, now: Timestamp) -> Outcome {
        Outcome(command.decide(self.state.as_ref(), now))
    }

    /// Decides and folds what follows.
    ///
    /// # Errors
    /// The refusal.
    pub fn execute(&mut self, command: &impl KeyCommand, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let events = command.decide(self.state.as_ref(), now)?;
        for event in &events {
            self.append(event, now);
        }
        Ok(events)
    }

    fn append(&mut self, event: &KeyEvent, time: Timestamp) {
        let at = At { revision: Revision(self.next), time };
        self.next += 1;
        if let Err(corrupt) = KeyState::evolve(&mut self.state, event, at) {
            panic!("{corrupt}: {event:?}");
        }
    }
}

impl Outcome {
    /// Expects exactly these events.
    ///
    /// # Panics
    /// Where something else followed.
    pub fn then(self, events: impl IntoIterator<Item = KeyEvent>) {
        assert_eq!(self.0, Ok(events.into_iter().collect::<Vec<_>>()));
    }

    /// Expects this refusal.
    ///
    /// # Panics
    /// Where something else followed.
    pub fn then_refused(self, refusal: &Refusal) {
        assert_eq!(self.0.as_ref().err(), Some(refusal), "{:?}", self.0);
    }

    /// What followed.
    ///
    /// # Errors
    /// The refusal.
    pub fn result(self) -> Result<Vec<KeyEvent>, Refusal> {
        self.0
    }
}
