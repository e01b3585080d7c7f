//! When a key's spend or its refusals are worth telling somebody: decided on the key's fold, so that an alert is
//! part of the append that it is about, raised once however many nodes there are.
//!
//! - A budget raises an alert when what was **charged** in a window reaches its share. Holds do not count: most
//!   of a hold is given back, and an alert that is given back has cried wolf.
//! - Once for each window of a budget; again only after its limits were changed so that the share was no longer
//!   reached. A correction that takes a charge back does not arm it anew.
//! - A refusal raises one when its reason is met for the first time, then only after an hour without it, or on
//!   the next UTC day: a flood costs nothing, and what goes on is told daily.

use std::collections::{BTreeMap, BTreeSet};

use nemo_events::key::{BudgetAlertRaised, CallsRefused, RefusalCount};
use nemo_events::limits::{Budget, KeyLimits, WindowKind};
use nemo_events::{Nanos, Timestamp};
use serde::{Deserialize, Serialize};

use crate::budget::{Windows, window_start};
use crate::{CorruptLog, KeyState};

/// A reason that was not met for so long is news again.
const QUIET_SECS: i64 = 3600;

/// Refusals that somebody may have to do something about. What callers get wrong in a request is none of them.
pub const ALERTING: [&str; 17] = [
    "address_not_allowed",
    "budget_exceeded",
    "budget_held",
    "call_too_dear",
    "concurrency_limit_exceeded",
    "endpoint_not_allowed",
    "key_blocked",
    "key_expired",
    "key_revoked",
    "key_rotated",
    "model_flagged",
    "model_not_allowed",
    "model_not_priced",
    "org_archived",
    "org_suspended",
    "rate_limit_exceeded",
    "token_limit_exceeded",
];

/// What was told of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alerts {
    /// Windows whose budget has raised an alert and is not armed again.
    raised: Vec<(WindowKind, Timestamp)>,
    /// Reasons of refusals that an alert was raised for.
    refused: BTreeMap<String, Refused>,
}

/// A reason that calls were refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    /// When it was last written down.
    last_at: Timestamp,
    /// When an alert was last raised for it.
    alerted_at: Timestamp,
}

impl Alerts {
    /// Whether the budget of a window has raised an alert and is not armed again.
    #[must_use]
    pub fn has_raised(&self, window: WindowKind, start: Timestamp) -> bool {
        self.raised.contains(&(window, start))
    }

    /// Folds an alert of a budget. Of windows that the fold has forgotten nothing needs to be known any more.
    pub(crate) fn budget_raised(
        &mut self,
        e: &BudgetAlertRaised,
        windows: &Windows,
    ) -> Result<(), CorruptLog> {
        if self.has_raised(e.window, e.window_start) {
            return Err(CorruptLog("a budget raised an alert twice in a window"));
        }
        self.raised
            .retain(|(kind, start)| windows.all().iter().any(|w| (w.kind, w.start) == (*kind, *start)));
        self.raised.push((e.window, e.window_start));
        Ok(())
    }

    /// Folds new limits: budgets whose share is not reached any more may raise another alert.
    pub(crate) fn limits_set(&mut self, limits: &KeyLimits, windows: &Windows) {
        self.raised.retain(|(kind, start)| {
            let settled = windows.at(*kind, *start).settled;
            limits.budgets.iter().any(|budget| budget.window == *kind && is_reached(budget, settled))
        });
    }

    /// Folds refusals.
    pub(crate) fn calls_refused(&mut self, e: &CallsRefused, now: Timestamp) {
        for RefusalCount { code, .. } in &e.refusals {
            if let Some(refused) = self.refused.get_mut(code) {
                refused.last_at = now;
            }
        }
        for code in &e.alerts {
            self.refused.insert(code.clone(), Refused { last_at: now, alerted_at: now });
        }
    }

    fn is_news(&self, code: &str, now: Timestamp) -> bool {
        self.refused.get(code).is_none_or(|refused| {
            let quiet_until = refused.last_at.plus_secs(QUIET_SECS);
            let day = |at| window_start(WindowKind::Day, at);
            now >= quiet_until || day(now) > day(refused.alerted_at)
        })
    }
}

/// Whether what was charged has come to the share of a budget at which an alert is raised. Nothing charged
/// reaches no share.
fn is_reached(budget: &Budget, settled: Nanos) -> bool {
    let Some(percent) = budget.alert_at_percent else { return false };
    let whole = |amount: Nanos, times: i64| i128::from(amount.as_nanos()).saturating_mul(times.into());
    settled > Nanos::ZERO && whole(settled, 100) >= whole(budget.limit, percent.into())
}

/// The alerts that a call's charge raises: of budgets in whose windows the call counts.
pub(crate) fn of_charge(key: &KeyState, authorized_at: Timestamp, charged: Nanos) -> Vec<BudgetAlertRaised> {
    raised(key, &key.limits, authorized_at, charged)
}

/// The alerts that other limits raise, in the windows of now.
pub(crate) fn of_limits(key: &KeyState, limits: &KeyLimits, now: Timestamp) -> Vec<BudgetAlertRaised> {
    raised(key, limits, now, Nanos::ZERO)
}

fn raised(key: &KeyState, limits: &KeyLimits, at: Timestamp, charged: Nanos) -> Vec<BudgetAlertRaised> {
    let budgets = WindowKind::ALL.iter().filter_map(|k| limits.budgets.iter().find(|b| b.window == *k));
    let raise = |budget: &Budget| {
        let window = key.windows.at(budget.window, at);
        let settled = window.settled.checked_add(charged)?;
        let is_new = is_reached(budget, settled) && !key.alerts.has_raised(window.kind, window.start);
        is_new.then_some(BudgetAlertRaised {
            window: window.kind,
            window_start: window.start,
            limit: budget.limit,
            percent: budget.alert_at_percent?,
            settled,
        })
    };
    budgets.filter_map(raise).collect()
}

/// Refusals as they are written down, with those of their reasons that are news.
#[must_use]
pub fn calls_refused(
    key: &KeyState,
    since: Timestamp,
    refusals: Vec<RefusalCount>,
    now: Timestamp,
) -> CallsRefused {
    let met: BTreeSet<&str> = refusals.iter().map(|refusal| refusal.code.as_str()).collect();
    let news = met.into_iter().filter(|code| ALERTING.contains(code) && key.alerts.is_news(code, now));
    let alerts = news.map(str::to_owned).collect();
    CallsRefused { since, refusals, alerts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limit: i64, percent: Option<u8>) -> Budget {
        Budget { window: WindowKind::Day, limit: Nanos::from_nanos(limit), alert_at_percent: percent }
    }

    #[test]
    fn a_share_is_reached_at_its_very_edge() {
        let reached = |budget: &Budget, spent| is_reached(budget, Nanos::from_nanos(spent));
        assert!(!reached(&budget(1_000, Some(80)), 799) && reached(&budget(1_000, Some(80)), 800));
        // 80 % of 1,001 is 800.8.
        assert!(!reached(&budget(1_001, Some(80)), 800) && reached(&budget(1_001, Some(80)), 801));
        assert!(!reached(&budget(1_000, Some(100)), 999) && reached(&budget(1_000, Some(100)), 1_000));
        assert!(!reached(&budget(1_000, None), i64::MAX), "no share, no alert");
        assert!(!reached(&budget(0, Some(80)), 0) && reached(&budget(0, Some(80)), 1));
        assert!(reached(&budget(i64::MAX, Some(100)), i64::MAX), "without an overflow");
    }
}
