//! What may be asked of an org's budgets: set them, allot of them, take back. Everything but setting is idempotent:
//! totals are carried, never what they grow by.

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::org::{
    AllotmentReclaimed, AllotmentsClosed, BudgetAllotted, OrgBudgetsSet, SpendCounted, WindowSpent,
};
use nemo_events::{Day, KeyId, Nanos, OrgEvent, Revision, Timestamp};

use super::OrgCommand;
use super::manage::validate_budgets;
use super::org::{existing, living, unless};
use crate::budget::window_end;
use crate::org::{Standing, first_day};
use crate::refusal::{AllotmentNeeded, BudgetOwner, BudgetShort};
use crate::{OrgState, Refusal};

/// Nobody is given more than this part of what is free, unless one call needs it.
const FAIR_SHARE: i64 = 16;

/// Replaces the org's own budgets.
#[derive(Debug, Clone)]
pub struct SetOrgBudgets {
    /// All of them; none removes them.
    pub budgets: Vec<Budget>,
}

/// Notes what the org's keys had spent before its budgets were in force.
#[derive(Debug, Clone)]
pub struct CountSpend {
    /// Revision of the event that put budgets in force.
    pub since: Revision,
    /// The sums over all keys.
    pub spent: Vec<WindowSpent>,
}

/// Gives a key a slice of a day, or a larger one.
#[derive(Debug, Clone, Copy)]
pub struct Allot {
    /// The key.
    pub key: KeyId,
    /// The day that it is to be spent on.
    pub day: Day,
    /// What the key has received of it: whatever was allotted beyond that is on its way, and counts.
    pub received: Nanos,
    /// What a call needs beyond what was received.
    pub need: Nanos,
    /// What would save further asking, if it is free.
    pub wish: Nanos,
}

/// Counts what a key has spent beyond its slice, because a provider reported more than a hold. It is spent, whether
/// or not there is room for it.
#[derive(Debug, Clone, Copy)]
pub struct CoverOverrun {
    /// The key.
    pub key: KeyId,
    /// The day of the slice.
    pub day: Day,
    /// What the key was charged, holds and has returned: what the slice must have been to pay for it.
    pub total: Nanos,
}

/// Takes back what a key has returned.
#[derive(Debug, Clone, Copy)]
pub struct Reclaim {
    /// The key.
    pub key: KeyId,
    /// The day of the slice.
    pub day: Day,
    /// All that the key ever returned of it.
    pub total: Nanos,
}

/// Notes that nothing of a past day is idle, held or on its way.
#[derive(Debug, Clone, Copy)]
pub struct CloseDay {
    /// The day.
    pub day: Day,
}

impl OrgCommand for SetOrgBudgets {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = living(state)?;
        validate_budgets(&self.budgets)?;
        if self.budgets.iter().any(|budget| budget.alert_at_percent.is_some()) {
            // What is out is not spent: an alert of it would cry wolf.
            let why = "budgets: alert_at_percent is for budgets of keys; those of an org raise no alerts";
            return Err(Refusal::Invalid(why.to_owned()));
        }
        Ok(unless(org.budgets == self.budgets, OrgBudgetsSet { budgets: self.budgets.clone() }))
    }
}

impl OrgCommand for CountSpend {
    fn decide(&self, state: Option<&OrgState>, now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = living(state)?;
        if org.allotted.since() != Some(self.since) {
            return Ok(Vec::new());
        }
        let today = Day::of(now);
        let matters = |spent: &&WindowSpent| {
            let ended = window_end(spent.window, spent.start.start()).is_some_and(|end| end <= today.start());
            !ended && spent.amount != Nanos::ZERO
        };
        let spent: Vec<_> = self.spent.iter().filter(matters).copied().collect();
        let known = |spent: &WindowSpent| org.allotted.before(spent.window, spent.start) == spent.amount;
        let as_before = WindowKind::ALL.iter().all(|kind| {
            let counted = spent.iter().any(|s| s.window == *kind && s.start == first_day(*kind, today));
            counted || org.allotted.before(*kind, today) == Nanos::ZERO
        });
        let so_already = org.allotted.is_counted() && as_before && spent.iter().all(known);
        Ok(unless(so_already, SpendCounted { since: self.since, spent }))
    }
}

impl OrgCommand for Allot {
    fn decide(&self, state: Option<&OrgState>, now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = existing(state)?;
        match org.standing {
            Standing::Active => {}
            Standing::Suspended => return Err(Refusal::OrgSuspended),
            Standing::Archived => return Err(Refusal::OrgArchived),
        }
        let Self { key, day, received, need, wish } = *self;
        let since = org.allotted.since().ok_or(Refusal::Allotment(AllotmentNeeded::LaterView))?;
        if !org.allotted.is_counted() {
            return Err(Refusal::Allotment(AllotmentNeeded::Count(since)));
        }
        // The key's stream may be a few seconds ahead of the org's, or behind it.
        let today = Day::of(now);
        if !(today.plus(-1)..=today.plus(1)).contains(&day) || org.allotted.is_closed(day) {
            return Err(Refusal::Allotment(AllotmentNeeded::AnotherDay(today)));
        }
        let granted = org.allotted.of(key, day).granted;
        let on_its_way = granted.minus_or_zero(received);
        if need <= on_its_way {
            return Ok(Vec::new());
        }
        let missing = need.minus_or_zero(on_its_way);
        guard_budgets(org, day, missing)?;
        let more = org.allotted.tightest(&org.budgets, day).map_or(missing, |(_, free)| {
            let share = Nanos::from_nanos(free.as_nanos().checked_div(FAIR_SHARE).unwrap_or_default());
            wish.minus_or_zero(on_its_way).min(share).max(missing)
        });
        let total = granted.checked_add(more).ok_or_else(out_of_range)?;
        Ok(vec![BudgetAllotted { key, day, total }.into()])
    }
}

/// Every budget must have the amount free, in the order of [`WindowKind::ALL`].
fn guard_budgets(org: &OrgState, day: Day, amount: Nanos) -> Result<(), Refusal> {
    let short = |budget: &&Budget| org.allotted.free(budget, day) < amount;
    let in_order = WindowKind::ALL.iter().filter_map(|kind| org.budgets.iter().find(|b| b.window == *kind));
    let Some(budget) = in_order.into_iter().find(short) else { return Ok(()) };
    Err(Refusal::BudgetExceeded(BudgetShort {
        of: BudgetOwner::Org,
        window: budget.window,
        limit: budget.limit,
        // What of it is held, or idle with other keys, their streams know.
        settled: org.allotted.used(budget.window, day),
        held: Nanos::ZERO,
        needed: amount,
        resets_at: window_end(budget.window, first_day(budget.window, day).start()),
        output_limit_that_fits: None,
    }))
}

impl OrgCommand for CoverOverrun {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = existing(state)?;
        let Self { key, day, total } = *self;
        let covered = org.allotted.of(key, day).granted >= total || org.allotted.is_closed(day);
        Ok(unless(covered, BudgetAllotted { key, day, total }))
    }
}

impl OrgCommand for Reclaim {
    fn decide(&self, state: Option<&OrgState>, _now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let Self { key, day, total } = *self;
        let granted = existing(state)?.allotted.of(key, day);
        // Of a slice that is forgotten nothing was ever granted, as it seems: it can give nothing back.
        let so_already = total <= granted.reclaimed || total > granted.granted;
        Ok(unless(so_already, AllotmentReclaimed { key, day, total }))
    }
}

impl OrgCommand for CloseDay {
    fn decide(&self, state: Option<&OrgState>, now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        let org = existing(state)?;
        let open = org.allotted.days().any(|(day, closed)| day == self.day && !closed);
        let over = self.day < Day::of(now);
        Ok(unless(!(open && over), AllotmentsClosed { day: self.day }))
    }
}

fn out_of_range() -> Refusal {
    Refusal::Invalid("the budgets' amounts are out of range".to_owned())
}
