//! Corrections of ended calls, those included that their key's fold has forgotten.

use nemo_events::key::CallCorrected;
use nemo_events::{CallId, EventRecord, KeyEvent, KeyId, Nanos, Revision, StreamName, Timestamp};
use nemo_projections::Refusal;
use nemo_projections::decide::{Correct, ForgottenCall};
use nemo_store::{Direction, ReadError};

use super::Ledger;
use super::calls::{OnKey, within};
use super::command::{Command, Context, Done, ExecuteError};
use super::fold::{KeyAccount, KeyFold};

/// Where the events of an ended call are in its key's stream. Each is read and checked; that no later
/// correction is missing is up to whoever looked them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPlaces {
    /// Its authorisation.
    pub authorized: Revision,
    /// Its end.
    pub ended: Revision,
    /// The last correction of its charge.
    pub corrected: Option<Revision>,
    /// Nothing that was recorded before this moment is missing here.
    pub as_of: Timestamp,
}

/// What a call is wanted to be charged.
#[derive(Debug, Clone)]
pub struct Correction {
    /// The call.
    pub call: CallId,
    /// The charge.
    pub charged: Nanos,
    /// Why, and on what evidence.
    pub reason: String,
}

/// What became of a call's charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// Before; the same as now where nothing had to change.
    pub charged_before: Nanos,
    /// Now.
    pub charged: Nanos,
}

impl Command<KeyFold> for OnKey<Correct> {
    type Answer = Corrected;

    fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        self.events(state, now)
    }

    fn written(&mut self) {
        Self::written(self);
    }

    fn answer(&mut self, _state: &KeyAccount, events: &[KeyEvent], _now: Timestamp) -> Corrected {
        let corrected = events.iter().find_map(|event| match event {
            KeyEvent::CallCorrected(CallCorrected { charged_before, charged, .. }) => {
                Some(Corrected { charged_before: *charged_before, charged: *charged })
            }
            _ => None,
        });
        let unchanged = Corrected { charged_before: self.command.charged, charged: self.command.charged };
        corrected.unwrap_or(unchanged)
    }
}

impl Ledger {
    /// Corrects what an ended call is charged.
    ///
    /// # Errors
    /// The refusal, or why there is no answer. A command that timed out may still happen.
    pub async fn correct_call(
        &self,
        key: KeyId,
        correction: Correction,
        places: CallPlaces,
        context: Context,
    ) -> Result<Done<Corrected>, ExecuteError> {
        let Correction { call, charged, reason } = correction;
        let account = self.key(key).await?;
        let known = account.glance(|state| state.key.as_ref().is_some_and(|key| key.knows_call(call)));
        let forgotten = if known { None } else { Some(self.look_up(key, call, places).await?) };
        let command = Correct { call, charged, reason, forgotten };
        let command = OnKey { command, refused: self.refusals.take(key) };
        let context = Context { call: Some(call), ..context };
        within(self.core.pace.manage, account.execute(command, context)).await
    }

    async fn look_up(
        &self,
        key: KeyId,
        call: CallId,
        places: CallPlaces,
    ) -> Result<ForgottenCall, ExecuteError> {
        let (authorized_at, hold, allotted) = match self.event_at(key, places.authorized).await? {
            (KeyEvent::CallAuthorized(event), at) if event.call == call => {
                (at, event.hold.amount, event.allotted)
            }
            _ => return Err(misplaced()),
        };
        let ended = match self.event_at(key, places.ended).await? {
            (KeyEvent::CallSettled(event), _) if event.call == call => event.cost,
            (KeyEvent::CallForfeited(event), _) if event.call == call => event.charged,
            (KeyEvent::CallVoided(event), _) if event.call == call => Nanos::ZERO,
            _ => return Err(misplaced()),
        };
        let charged = match places.corrected {
            None => ended,
            Some(revision) => match self.event_at(key, revision).await? {
                (KeyEvent::CallCorrected(event), _) if event.call == call => event.charged,
                _ => return Err(misplaced()),
            },
        };
        let (ended_at, as_of) = (places.ended, places.as_of);
        Ok(ForgottenCall { authorized_at, hold, charged, ended_at, allotted, as_of })
    }

    async fn event_at(&self, key: KeyId, revision: Revision) -> Result<(KeyEvent, Timestamp), ExecuteError> {
        let found = self.store().read_stream(&StreamName::Key(key), revision, Direction::Forwards, 1).await;
        let found = found.map_err(|error| match error {
            ReadError::Unavailable(why) => ExecuteError::Unavailable(why),
            ReadError::Damaged { .. } => ExecuteError::Damaged(error.to_string()),
        })?;
        let EventRecord { event, .. } = found.into_iter().next().ok_or_else(misplaced)?;
        let decoded = KeyEvent::decode(&event.event_type, event.version, &event.data);
        let decoded = decoded.map_err(|error| ExecuteError::Damaged(error.to_string()))?;
        Ok((decoded, event.recorded_at))
    }
}

/// What was looked up does not fit the ledger, so it comes from another state of it.
fn misplaced() -> ExecuteError {
    ExecuteError::Unavailable("the call's events are not where they were looked up".to_owned())
}
