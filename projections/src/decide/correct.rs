//! Changes an ended call's charge on evidence; never above its hold.

use nemo_events::key::CallCorrected;
use nemo_events::{CallId, KeyEvent, Nanos, Timestamp};

use super::KeyCommand;
use super::manage::validate_reason;
use crate::{KeyState, Refusal};

/// Asks for another charge.
#[derive(Debug, Clone)]
pub struct Correct {
    /// The call.
    pub call: CallId,
    /// What it should be charged.
    pub charged: Nanos,
    /// Why, and on what evidence.
    pub reason: String,
}

impl KeyCommand for Correct {
    fn decide(&self, state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::KeyUnknown)?;
        let ended = key.ended_calls.get(&self.call).ok_or(Refusal::CallUnknown(self.call))?;
        if self.charged == ended.charged {
            return Ok(Vec::new());
        }
        // An estimate or a forfeit is an upper bound: evidence can only lower it.
        if self.charged.is_negative() || self.charged > ended.charged.min(ended.hold) {
            return Err(Refusal::CorrectionOutOfRange);
        }
        validate_reason(Some(&self.reason))?;
        let corrected = CallCorrected {
            call: self.call,
            charged_before: ended.charged,
            charged: self.charged,
            ended_at: ended.ended_at,
            authorized_at: ended.authorized_at,
            usage: None,
            reason: self.reason.clone(),
        };
        Ok(vec![corrected.into()])
    }
}
