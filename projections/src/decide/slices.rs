//! What a key does with slices of its org's budgets: take them up, let go of them. Each is idempotent.

use nemo_events::key::{AllotmentReceived, AllotmentRequired, AllotmentReturned};
use nemo_events::{Day, KeyEvent, Nanos, Revision, Timestamp};

use super::KeyCommand;
use crate::key::{Slices, Status};
use crate::{CorruptLog, KeyState, Refusal};

/// Tells the key that its org has budgets: from here on its calls draw on slices.
#[derive(Debug, Clone, Copy)]
pub struct Notice {
    /// Revision of the event in the org's stream that put them in force.
    pub since: Revision,
}

/// Takes up what the org allotted.
#[derive(Debug, Clone, Copy)]
pub struct Receive {
    /// The day of the slice.
    pub day: Day,
    /// All that the org ever allotted of it.
    pub total: Nanos,
}

/// Lets go of what is idle.
#[derive(Debug, Clone, Copy)]
pub struct Return {
    /// The day of the slice.
    pub day: Day,
    /// How much is wanted: at least this and half of what is idle are returned, if there is so much. All of it
    /// where nothing is said.
    pub wanted: Option<Nanos>,
}

impl KeyCommand for Notice {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::KeyUnknown)?;
        let knows = key.slices.required_since() >= Some(self.since);
        // A revoked key calls no more.
        if knows || key.status == Status::Revoked {
            return Ok(Vec::new());
        }
        Ok(vec![AllotmentRequired { since: self.since }.into()])
    }
}

impl KeyCommand for Receive {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::KeyUnknown)?;
        let Self { day, total } = *self;
        // What is carried so late that the slice was forgotten must not begin it anew.
        if total <= key.slices.of(day).received || !key.slices.remembers(day, now) {
            return Ok(Vec::new());
        }
        Ok(and_return(key, vec![AllotmentReceived { day, total }.into()], now, LetGo::Expired))
    }
}

impl KeyCommand for Return {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let slice = state.ok_or(Refusal::KeyUnknown)?.slices.of(self.day);
        let idle = slice.idle();
        if idle <= Nanos::ZERO {
            return Ok(Vec::new());
        }
        let half = Nanos::from_nanos(idle.as_nanos().checked_div(2).unwrap_or_default());
        let amount = self.wanted.map_or(idle, |wanted| wanted.max(half).min(idle));
        let total = slice.returned.checked_add(amount).ok_or_else(out_of_range)?;
        Ok(vec![AllotmentReturned { day: self.day, total }.into()])
    }
}

fn out_of_range() -> Refusal {
    Refusal::Invalid("the slice's amounts are out of range".to_owned())
}

/// What a key lets go of with whatever else is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LetGo {
    /// What is idle in slices of past days.
    Expired,
    /// What is idle in any: the org has no budgets any more.
    All,
}

/// The events, and behind them the returns of what they leave idle in slices that have expired; in all slices of a
/// key that is revoked.
pub(super) fn and_return(
    key: &KeyState,
    mut events: Vec<KeyEvent>,
    now: Timestamp,
    let_go: LetGo,
) -> Vec<KeyEvent> {
    // Most keys have no slices, and nothing is copied for them.
    let receives = events.iter().any(|event| matches!(event, KeyEvent::AllotmentReceived(_)));
    if key.slices.all().next().is_none() && !receives {
        return events;
    }
    // What cannot be folded is found by whoever folds it.
    let Ok(slices) = after(key, &events, now) else { return events };
    let revoked =
        key.status == Status::Revoked || events.iter().any(|e| matches!(e, KeyEvent::KeyRevoked(_)));
    let today = Day::of(now);
    let goes = slices.all().filter(|slice| slice.day < today || revoked || let_go == LetGo::All);
    for slice in goes.filter(|slice| slice.idle() > Nanos::ZERO) {
        if let Some(total) = slice.returned.checked_add(slice.idle()) {
            events.push(AllotmentReturned { day: slice.day, total }.into());
        }
    }
    events
}

/// The key's slices once the events have happened.
fn after(key: &KeyState, events: &[KeyEvent], now: Timestamp) -> Result<Slices, CorruptLog> {
    let mut slices = key.slices.clone();
    for event in events {
        key.move_slices(&mut slices, event, now)?;
    }
    Ok(slices)
}
