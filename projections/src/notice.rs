//! What is worth telling somebody outside: a small fixed vocabulary, read off the events alone.
//!
//! A notice says what happened and to whom, with nothing that opens anything: no secret, no digest, no prompt.

use nemo_events::key::{BudgetAlertRaised, CallsRefused, KeySecretRotated};
use nemo_events::limits::WindowKind;
use nemo_events::{KeyEvent, Nanos, OrgEvent, Timestamp};
use serde::{Deserialize, Serialize};

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NoticeKind {
    /// What was charged in a window of a budget reached its share.
    #[serde(rename = "budget.threshold_reached")]
    BudgetThresholdReached,
    /// Calls were refused for a reason that is news.
    #[serde(rename = "calls.refused")]
    CallsRefused,
    /// A key came into being.
    #[serde(rename = "key.created")]
    KeyCreated,
    /// A key is refused until it is unblocked.
    #[serde(rename = "key.blocked")]
    KeyBlocked,
    /// A key may be used again.
    #[serde(rename = "key.unblocked")]
    KeyUnblocked,
    /// A key's secret was reported leaked, and replaced.
    #[serde(rename = "key.leaked")]
    KeyLeaked,
    /// A key is refused for ever.
    #[serde(rename = "key.revoked")]
    KeyRevoked,
    /// An org's keys are refused until it is resumed.
    #[serde(rename = "org.suspended")]
    OrgSuspended,
    /// An org's keys may be used again.
    #[serde(rename = "org.resumed")]
    OrgResumed,
    /// An org and its keys are refused for ever.
    #[serde(rename = "org.archived")]
    OrgArchived,
}

impl NoticeKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::BudgetThresholdReached,
        Self::CallsRefused,
        Self::KeyCreated,
        Self::KeyBlocked,
        Self::KeyUnblocked,
        Self::KeyLeaked,
        Self::KeyRevoked,
        Self::OrgSuspended,
        Self::OrgResumed,
        Self::OrgArchived,
    ];

    /// The name that configuration, JSON and tables use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BudgetThresholdReached => "budget.threshold_reached",
            Self::CallsRefused => "calls.refused",
            Self::KeyCreated => "key.created",
            Self::KeyBlocked => "key.blocked",
            Self::KeyUnblocked => "key.unblocked",
            Self::KeyLeaked => "key.leaked",
            Self::KeyRevoked => "key.revoked",
            Self::OrgSuspended => "org.suspended",
            Self::OrgResumed => "org.resumed",
            Self::OrgArchived => "org.archived",
        }
    }
}

/// What a notice says besides whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// Of a budget.
    Budget {
        /// The budget, and where it stands.
        budget: BudgetNotice,
    },
    /// Of refusals.
    Refusals {
        /// How often each reason that is news was met, since `since`.
        refusals: Vec<RefusalNotice>,
        /// The first refusal's moment.
        since: Timestamp,
    },
    /// Of what somebody did, in their words.
    Deed {
        /// Why, where that was said.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// A budget whose share was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetNotice {
    /// Its kind of window.
    pub window: WindowKind,
    /// The window's first moment; absent for the total, which has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_start: Option<Timestamp>,
    /// Its limit, in dollars.
    pub limit: Nanos,
    /// The share, in percent.
    pub percent: u8,
    /// What was charged in the window, in dollars.
    pub settled: Nanos,
}

/// A reason that calls were refused for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalNotice {
    /// Its code, as in an error.
    pub code: String,
    /// How often it was met.
    pub count: u64,
}

/// What a key's event is worth telling.
#[must_use]
pub fn of_key(event: &KeyEvent) -> Option<(NoticeKind, Details)> {
    match event {
        KeyEvent::KeyCreated(_) => Some((NoticeKind::KeyCreated, Details::Deed { reason: None })),
        KeyEvent::KeyBlocked(e) => Some((NoticeKind::KeyBlocked, deed(e.reason.as_ref()))),
        KeyEvent::KeyUnblocked(_) => Some((NoticeKind::KeyUnblocked, deed(None))),
        KeyEvent::KeyRevoked(e) => Some((NoticeKind::KeyRevoked, deed(e.reason.as_ref()))),
        KeyEvent::KeySecretRotated(KeySecretRotated { leaked, .. }) => {
            leaked.then_some((NoticeKind::KeyLeaked, deed(None)))
        }
        KeyEvent::BudgetAlertRaised(e) => Some((NoticeKind::BudgetThresholdReached, budget(e))),
        KeyEvent::CallsRefused(e) => (!e.alerts.is_empty()).then(|| (NoticeKind::CallsRefused, refusals(e))),
        KeyEvent::KeyRelabelled(_)
        | KeyEvent::KeyLimitsSet(_)
        | KeyEvent::KeySecretRetired(_)
        | KeyEvent::KeyDigestRenewed(_)
        | KeyEvent::KeyModelCleared(_)
        | KeyEvent::AllotmentRequired(_)
        | KeyEvent::AllotmentReceived(_)
        | KeyEvent::AllotmentReturned(_)
        | KeyEvent::CallAuthorized(_)
        | KeyEvent::CallSettled(_)
        | KeyEvent::CallVoided(_)
        | KeyEvent::CallForfeited(_)
        | KeyEvent::CallCorrected(_) => None,
    }
}

/// What an org's event is worth telling.
#[must_use]
pub fn of_org(event: &OrgEvent) -> Option<(NoticeKind, Details)> {
    match event {
        OrgEvent::OrgSuspended(e) => Some((NoticeKind::OrgSuspended, deed(e.reason.as_ref()))),
        OrgEvent::OrgResumed(_) => Some((NoticeKind::OrgResumed, deed(None))),
        OrgEvent::OrgArchived(e) => Some((NoticeKind::OrgArchived, deed(e.reason.as_ref()))),
        OrgEvent::OrgCreated(_)
        | OrgEvent::OrgRenamed(_)
        | OrgEvent::OrgLimitsSet(_)
        | OrgEvent::OrgBudgetsSet(_)
        | OrgEvent::SpendCounted(_)
        | OrgEvent::BudgetAllotted(_)
        | OrgEvent::AllotmentReclaimed(_)
        | OrgEvent::AllotmentsClosed(_) => None,
    }
}

/// Types of events that may be worth telling: whoever waits for notices need not look at any other.
pub const EVENT_TYPES: [&str; 10] = [
    "KeyCreated",
    "KeyBlocked",
    "KeyUnblocked",
    "KeyRevoked",
    "KeySecretRotated",
    "BudgetAlertRaised",
    "CallsRefused",
    "OrgSuspended",
    "OrgResumed",
    "OrgArchived",
];

fn deed(reason: Option<&String>) -> Details {
    Details::Deed { reason: reason.cloned() }
}

fn budget(e: &BudgetAlertRaised) -> Details {
    let BudgetAlertRaised { window, window_start, limit, percent, settled } = *e;
    let window_start = (window != WindowKind::Total).then_some(window_start);
    Details::Budget { budget: BudgetNotice { window, window_start, limit, percent, settled } }
}

fn refusals(e: &CallsRefused) -> Details {
    let count = |code: &String| {
        let of_it = e.refusals.iter().filter(|refusal| refusal.code == *code);
        of_it.fold(0_u64, |sum, refusal| sum.saturating_add(refusal.count))
    };
    let refusals = e.alerts.iter().map(|code| RefusalNotice { code: code.clone(), count: count(code) });
    Details::Refusals { refusals: refusals.collect(), since: e.since }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_called_the_same_everywhere() {
        for kind in NoticeKind::ALL {
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.as_str().into()));
        }
    }

    #[test]
    fn refusals_of_one_reason_are_counted_over_all_addresses() {
        let json = r#"{"since": "2026-11-18T12:00:03.5Z", "alerts": ["budget_exceeded"], "refusals": [
            {"code": "budget_exceeded", "address": "203.0.113.7", "count": 41},
            {"code": "key_blocked", "count": 7}, {"code": "budget_exceeded", "count": 2}]}"#;
        let told = serde_json::from_str(json).map(|e: CallsRefused| of_key(&e.into()));
        let Ok(Some((NoticeKind::CallsRefused, Details::Refusals { refusals, .. }))) = told else {
            unreachable!("{told:?}")
        };
        assert_eq!(refusals, [RefusalNotice { code: "budget_exceeded".to_owned(), count: 43 }]);
    }
}
