//! Ends of a call: settled, voided, forfeited. Each is idempotent, and exactly one of them happens.

use nemo_events::key::{
    CallCorrected, CallForfeited, CallSettled, CallVoided, Ending, Evidence, ForfeitReason, VoidReason,
};
use nemo_events::price::PriceCard;
use nemo_events::{CallId, KeyEvent, Nanos, Timestamp, Usage};
use std::sync::Arc;

use super::KeyCommand;
use super::slices::{LetGo, and_return};
use crate::alerts;
use crate::key::{EndedCall, OpenCall};
use crate::price::cost;
use crate::{KeyState, Refusal};

/// After a call's deadline anybody may forfeit it, this much later.
const OVERDUE_SECS: i64 = 30;

/// Ends a call with what it used.
#[derive(Debug, Clone)]
pub struct Settle {
    /// The call.
    pub call: CallId,
    /// The card that the call was authorised with.
    pub card: Arc<PriceCard>,
    /// What it used; for estimates what is assumed that it used.
    pub usage: Usage,
    /// What the usage rests on.
    pub evidence: Evidence,
    /// How it ended.
    pub ending: Ending,
    /// The provider's id for the answer.
    pub provider_request: Option<String>,
    /// The provider's HTTP status.
    pub status: Option<u16>,
    /// Milliseconds to the first byte.
    pub first_byte_ms: Option<u64>,
    /// Milliseconds to the end.
    pub duration_ms: u64,
}

/// Ends a call that cost nothing.
#[derive(Debug, Clone)]
pub struct Void {
    /// The call.
    pub call: CallId,
    /// Why.
    pub reason: VoidReason,
    /// The provider's HTTP status.
    pub status: Option<u16>,
    /// Milliseconds to the end.
    pub duration_ms: u64,
}

/// What a call that nobody knows the cost of is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForfeitCharge {
    /// The whole hold.
    Hold,
    /// What the input can have cost: a stream whose answer never began produced no output.
    InputOnly,
}

/// Who says that a call is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forfeiter {
    /// The task that made the call, or its node after a restart.
    Owner,
    /// Anybody, once the call is overdue.
    Anybody,
}

/// Ends a call of which nobody knows what it cost.
#[derive(Debug, Clone)]
pub struct Forfeit {
    /// The call.
    pub call: CallId,
    /// What it is charged.
    pub charge: ForfeitCharge,
    /// Why.
    pub reason: ForfeitReason,
    /// Who says so.
    pub by: Forfeiter,
}

/// Where a call stands when its end is wanted.
enum Standing<'a> {
    Open(&'a OpenCall),
    Ended(&'a EndedCall),
}

fn standing(key: &KeyState, call: CallId) -> Result<Standing<'_>, Refusal> {
    if let Some(open) = key.open_calls.get(&call) {
        return Ok(Standing::Open(open));
    }
    key.ended_calls.get(&call).map(Standing::Ended).ok_or(Refusal::CallUnknown(call))
}

impl KeyCommand for Settle {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::KeyUnknown)?;
        let open = match standing(key, self.call)? {
            Standing::Ended(ended) => {
                let charged = cost(&self.card, &self.usage).unwrap_or(ended.charged);
                let why = "settled after it was forfeited";
                let events = late(self.call, ended, charged, Some(self.usage), why);
                return Ok(and_return(key, events, now, LetGo::Expired));
            }
            Standing::Open(open) => open,
        };
        let hold = open.hold.amount;
        let countable = |cost: &Nanos| key.windows.has_room(open.authorized_at, cost.minus_or_zero(hold));
        let computed = cost(&self.card, &self.usage).ok().filter(countable);
        let (cost, evidence, over_hold) = match (self.evidence, computed) {
            (Evidence::Reported, Some(cost)) => (cost, Evidence::Reported, cost > hold),
            // A cost that cannot be computed or counted is not usable as a report, but it tells enough.
            (Evidence::Reported, None) => (hold, Evidence::Estimated, true),
            (Evidence::Estimated, cost) => (cost.unwrap_or(hold).min(hold), Evidence::Estimated, false),
        };
        let settled = CallSettled {
            call: self.call,
            usage: self.usage,
            cost,
            evidence,
            ending: self.ending,
            over_hold,
            provider_request: self.provider_request.clone(),
            status: self.status,
            first_byte_ms: self.first_byte_ms,
            duration_ms: self.duration_ms,
        };
        Ok(and_return(key, with_alerts(key, open, cost, settled), now, LetGo::Expired))
    }
}

impl KeyCommand for Void {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::KeyUnknown)?;
        let events = match standing(key, self.call)? {
            Standing::Ended(ended) => {
                late(self.call, ended, Nanos::ZERO, None, "voided after it was forfeited")
            }
            Standing::Open(_) => {
                let (call, reason, status, duration_ms) =
                    (self.call, self.reason, self.status, self.duration_ms);
                vec![CallVoided { call, reason, status, duration_ms }.into()]
            }
        };
        Ok(and_return(key, events, now, LetGo::Expired))
    }
}

impl KeyCommand for Forfeit {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::KeyUnknown)?;
        let Standing::Open(open) = standing(key, self.call)? else { return Ok(Vec::new()) };
        if self.by == Forfeiter::Anybody && now < open.deadline.plus_secs(OVERDUE_SECS) {
            return Err(Refusal::CallNotOverdue(self.call));
        }
        let charged = match self.charge {
            ForfeitCharge::Hold => open.hold.amount,
            ForfeitCharge::InputOnly => open.hold.input_amount,
        };
        let forfeited = CallForfeited { call: self.call, charged, reason: self.reason };
        Ok(and_return(key, with_alerts(key, open, charged, forfeited), now, LetGo::Expired))
    }
}

/// An end with a charge, and the alerts that the charge raises.
fn with_alerts(key: &KeyState, open: &OpenCall, charged: Nanos, end: impl Into<KeyEvent>) -> Vec<KeyEvent> {
    let alerts = alerts::of_charge(key, open.authorized_at, charged);
    std::iter::once(end.into()).chain(alerts.into_iter().map(KeyEvent::from)).collect()
}

/// The truth about a forfeited call, come late: it may lower the charge, once.
fn late(
    call: CallId,
    ended: &EndedCall,
    charged: Nanos,
    usage: Option<Usage>,
    reason: &str,
) -> Vec<KeyEvent> {
    if !ended.unconfirmed || charged >= ended.charged {
        return Vec::new();
    }
    let corrected = CallCorrected {
        call,
        charged_before: ended.charged,
        charged,
        ended_at: ended.ended_at,
        authorized_at: ended.authorized_at,
        allotted: ended.allotted,
        usage,
        reason: reason.to_owned(),
    };
    vec![corrected.into()]
}
