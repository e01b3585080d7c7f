//! What an org's own budgets have left: limit = spent + held + idle + free.

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::{Day, Nanos, Timestamp};
use nemo_projections::OrgState;
use nemo_projections::budget::{window_end, window_start};
use nemo_read_model::OrgSpend;
use serde::Serialize;
use utoipa::ToSchema;

/// A budget of an org: limit = spent + held + idle + free, unless the limit was lowered or a provider overcharged.
///
/// Its keys draw on slices of it, one for each day. What is in a slice and not spent or held is idle: it is taken back
/// where another key needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OrgBudgetUse {
    /// Which windows it counts.
    pub(crate) window: WindowKind,
    /// The cap.
    pub(crate) limit: Nanos,
    /// What calls of its keys are charged; `null` while lists cannot be read.
    pub(crate) spent: Option<Nanos>,
    /// What open calls of its keys hold; `null` while lists cannot be read.
    pub(crate) held: Option<Nanos>,
    /// What keys have in slices and neither spent nor hold; `null` while lists cannot be read.
    pub(crate) idle: Option<Nanos>,
    /// What counts against it: spent, held and idle together.
    pub(crate) used: Nanos,
    /// What is left for slices; never below zero.
    pub(crate) free: Nanos,
    /// When the window ends; `null` for the total.
    pub(crate) resets_at: Option<Timestamp>,
}

impl OrgBudgetUse {
    /// Every budget of an org at a moment. The org's own account says what is out and what is free; what of that is
    /// spent and held its keys know, as lists tell it, which may be a moment behind.
    pub(crate) fn all(org: &OrgState, spend: Option<&OrgSpend>, now: Timestamp) -> Vec<Self> {
        org.budgets.iter().map(|budget| Self::of(org, budget, spend, now)).collect()
    }

    fn of(org: &OrgState, budget: &Budget, spend: Option<&OrgSpend>, now: Timestamp) -> Self {
        let Budget { window, limit, .. } = *budget;
        let spent = spend.map(|spend| spend.settled(window));
        let used = match spend.filter(|_| !org.allotted.is_counted()) {
            None => org.allotted.used(window, Day::of(now)),
            // Until the first call of a key what was spent before is not in the account.
            Some(spend) => spend.settled(window).checked_add(spend.held(window)).unwrap_or(Nanos::MAX),
        };
        // Never more than what counts, so that the parts add up while lists are ahead of the account.
        let spent = spent.map(|spent| spent.min(used));
        let held = spend.zip(spent).map(|(spend, spent)| spend.held(window).min(used.minus_or_zero(spent)));
        let idle = spent.zip(held).map(|(spent, held)| used.minus_or_zero(spent).minus_or_zero(held));
        let resets_at = window_end(window, window_start(window, now));
        Self { window, limit, spent, held, idle, used, free: limit.minus_or_zero(used), resets_at }
    }
}
