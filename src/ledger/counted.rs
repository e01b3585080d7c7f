//! What is counted of an event once it is durable: read off the event, and off the state before it.

use std::borrow::Cow;

use nemo_events::key::{CallCorrected, CallForfeited, CallSettled, CallVoided};
use nemo_events::key::{Ending, Evidence, ForfeitReason, VoidReason};
use nemo_events::{CallId, KeyEvent, Nanos, Usage};

use super::fold::KeyAccount;
use crate::metrics::ledger::{Alert, LedgerMetrics, OfCall};

/// What is counted of an event.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) event_type: Cow<'static, str>,
    pub(super) of_call: Option<OfCall>,
}

impl Counted {
    /// The event is durable.
    pub(super) fn count(&self, metrics: &LedgerMetrics) {
        metrics.event(&self.event_type);
        if let Some(of_call) = &self.of_call {
            metrics.of_call(of_call);
        }
    }
}

/// An end as it is counted.
struct End {
    end: &'static str,
    reason: &'static str,
    evidence: &'static str,
    charged: Nanos,
    usage: Option<Usage>,
    over_hold: bool,
}

/// What is counted of a key's event.
pub(super) fn of_call(before: &KeyAccount, event: &KeyEvent) -> Option<OfCall> {
    match event {
        KeyEvent::CallAuthorized(event) => Some(OfCall::Authorized {
            provider: event.provider.clone(),
            model: event.provider_model.clone(),
            hold: event.hold.amount,
        }),
        KeyEvent::CallSettled(event) => ended(before, event.call, settled(event)),
        KeyEvent::CallVoided(event) => ended(before, event.call, voided(event)),
        KeyEvent::CallForfeited(event) => ended(before, event.call, forfeited(event)),
        KeyEvent::CallCorrected(CallCorrected { charged_before, charged, .. }) => {
            Some(OfCall::Corrected(charged_before.minus_or_zero(*charged)))
        }
        KeyEvent::BudgetAlertRaised(alert) => {
            Some(OfCall::Alerted(vec![Alert { kind: "budget", of: alert.window.to_string() }]))
        }
        KeyEvent::CallsRefused(refused) if !refused.alerts.is_empty() => {
            let alert = |code: &String| Alert { kind: "refusal", of: code.clone() };
            Some(OfCall::Alerted(refused.alerts.iter().map(alert).collect()))
        }
        _ => None,
    }
}

fn ended(before: &KeyAccount, call: CallId, end: End) -> Option<OfCall> {
    let open = before.key.as_ref()?.open_calls.get(&call)?;
    let End { end, reason, evidence, charged, usage, over_hold } = end;
    let (provider, model) = (open.provider.clone(), open.provider_model.clone());
    Some(OfCall::Ended { provider, model, charged, usage, over_hold, end, reason, evidence })
}

fn settled(event: &CallSettled) -> End {
    End {
        end: "settled",
        reason: match event.ending {
            Ending::Completed => "completed",
            Ending::ClientLeft => "client_left",
            Ending::ProviderFailed => "provider_failed",
            Ending::TimedOut => "timed_out",
            Ending::DeadlineReached => "deadline_reached",
            Ending::KeyRevoked => "key_revoked",
            Ending::Stopped => "stopped",
        },
        evidence: match event.evidence {
            Evidence::Reported => "reported",
            Evidence::Estimated => "estimated",
        },
        charged: event.cost,
        usage: Some(event.usage),
        over_hold: event.over_hold,
    }
}

fn voided(event: &CallVoided) -> End {
    let reason = match event.reason {
        VoidReason::NotSent => "not_sent",
        VoidReason::NotConnected => "not_connected",
        VoidReason::ProviderRefused => "provider_refused",
        VoidReason::ProviderFailed => "provider_failed",
    };
    End { end: "voided", reason, evidence: NONE, charged: Nanos::ZERO, usage: None, over_hold: false }
}

fn forfeited(event: &CallForfeited) -> End {
    let reason = match event.reason {
        ForfeitReason::TimedOut => "timed_out",
        ForfeitReason::Reset => "reset",
        ForfeitReason::NodeDied => "node_died",
        ForfeitReason::DeadlinePassed => "deadline_passed",
        ForfeitReason::Cut => "cut",
    };
    End { end: "forfeited", reason, evidence: NONE, charged: event.charged, usage: None, over_hold: false }
}

const NONE: &str = "none";
