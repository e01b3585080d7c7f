//! Changes an ended call's charge on evidence; never above its hold.
//!
//! The fold forgets calls that ended long ago. Whoever corrects one of those brings what its stream says of
//! it. That cannot be out of date unnoticed: the fold remembers every call that was corrected lately.

use nemo_events::key::CallCorrected;
use nemo_events::{CallId, KeyEvent, Nanos, Revision, Timestamp};

use super::KeyCommand;
use super::manage::validate_reason;
use super::slices::{LetGo, and_return};
use crate::key::EndedCall;
use crate::{KeyState, Refusal};

/// Another node's clock may be so far behind, and its corrections so much older than they look.
const CLOCKS_APART_SECS: i64 = 10;

/// Asks for another charge.
#[derive(Debug, Clone)]
pub struct Correct {
    /// The call.
    pub call: CallId,
    /// What it should be charged.
    pub charged: Nanos,
    /// Why, and on what evidence.
    pub reason: String,
    /// The call as its stream has it, where the fold may have forgotten it.
    pub forgotten: Option<ForgottenCall>,
}

/// An ended call, as its key's stream has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgottenCall {
    /// When it was authorised.
    pub authorized_at: Timestamp,
    /// What it held.
    pub hold: Nanos,
    /// What it is charged, corrections included.
    pub charged: Nanos,
    /// The revision of the event that ended it.
    pub ended_at: Revision,
    /// It drew on its day's slice.
    pub allotted: bool,
    /// Nothing that was recorded before this moment is missing here.
    pub as_of: Timestamp,
}

impl Correct {
    /// The call as it stands: as the fold remembers it, else as its stream had it a moment ago.
    fn ended(&self, key: &KeyState) -> Result<EndedCall, Refusal> {
        if let Some(ended) = key.ended_calls.get(&self.call) {
            return Ok(*ended);
        }
        if key.open_calls.contains_key(&self.call) {
            return Err(Refusal::CallNotEnded(self.call));
        }
        let forgotten = self.forgotten.ok_or(Refusal::CallUnknown(self.call))?;
        if !key.remembers_since(forgotten.as_of.plus_secs(CLOCKS_APART_SECS.wrapping_neg())) {
            let why = "the key's calls end too fast for this correction just now: try again";
            return Err(Refusal::Invalid(why.to_owned()));
        }
        let ForgottenCall { authorized_at, hold, charged, ended_at, allotted, .. } = forgotten;
        Ok(EndedCall { authorized_at, hold, charged, ended_at, unconfirmed: false, allotted })
    }
}

impl KeyCommand for Correct {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::KeyUnknown)?;
        let ended = self.ended(key)?;
        if self.charged == ended.charged {
            return Ok(Vec::new());
        }
        // An estimate or a forfeit is an upper bound: evidence can only lower it.
        if self.charged.is_negative() || self.charged > ended.charged.min(ended.hold) {
            return Err(Refusal::CorrectionOutOfRange);
        }
        if self.reason.trim().is_empty() {
            return Err(Refusal::Invalid("reason: say why, and on what evidence".to_owned()));
        }
        validate_reason(Some(&self.reason))?;
        let corrected = CallCorrected {
            call: self.call,
            charged_before: ended.charged,
            charged: self.charged,
            ended_at: ended.ended_at,
            authorized_at: ended.authorized_at,
            allotted: ended.allotted,
            usage: None,
            reason: self.reason.clone(),
        };
        Ok(and_return(key, vec![corrected.into()], now, LetGo::Expired))
    }
}
