//! What of an org's budgets is out: with its keys in slices, and spent before its budgets were in force.
//!
//! - Whatever is granted and not reclaimed counts as spent, on its way included. So nothing that keys do can bring
//!   an org above a budget; only a lowered limit can, and a provider that reports more than a hold.
//! - All four kinds of window are kept whether or not a budget exists, as for keys.
//! - The slices of a day are kept until the day was closed and corrections do not come any more: as long as keys
//!   remember theirs. A closed day forgets the slices of which nothing is out.

use std::collections::BTreeMap;

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::org::{AllotmentReclaimed, BudgetAllotted, SpendCounted, WindowSpent};
use nemo_events::{Day, KeyId, Nanos, Revision, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CorruptLog;
use crate::budget::{window_end, window_start};
use crate::key::SLICES_KEPT_DAYS;

/// What a key was given of one day, and what came back. Totals since the slice began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Granted {
    /// All that it was ever given.
    pub granted: Nanos,
    /// All that came back.
    pub reclaimed: Nanos,
}

impl Granted {
    /// What is out.
    #[must_use]
    pub fn out(&self) -> Nanos {
        self.granted.minus_or_zero(self.reclaimed)
    }
}

/// What is out of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfWindow {
    /// Its kind.
    pub kind: WindowKind,
    /// Its first day.
    pub start: Day,
    /// Granted and not reclaimed, over all keys and days of the window.
    pub out: Nanos,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct OfDay {
    closed: bool,
    keys: BTreeMap<KeyId, Granted>,
}

/// What is out of an org's budgets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allotted {
    since: Option<Revision>,
    counted: Option<Revision>,
    before: Vec<WindowSpent>,
    days: BTreeMap<Day, OfDay>,
    out: Vec<OutOfWindow>,
}

impl Allotted {
    /// Revision of the event that put budgets in force, if there are any.
    #[must_use]
    pub const fn since(&self) -> Option<Revision> {
        self.since
    }

    /// Whether what was spent before the budgets were in force is known. Nothing is allotted until it is.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.since.is_none_or(|since| self.counted == Some(since))
    }

    /// What a key was given of a day.
    #[must_use]
    pub fn of(&self, key: KeyId, day: Day) -> Granted {
        self.days.get(&day).and_then(|of| of.keys.get(&key)).copied().unwrap_or_default()
    }

    /// The keys that have slices of a day.
    pub fn keys(&self, day: Day) -> impl Iterator<Item = (KeyId, Granted)> + '_ {
        self.days.get(&day).into_iter().flat_map(|of| of.keys.iter().map(|(key, granted)| (*key, *granted)))
    }

    /// The days of which there are slices, each with whether it was closed.
    pub fn days(&self) -> impl Iterator<Item = (Day, bool)> + '_ {
        self.days.iter().map(|(day, of)| (*day, of.closed))
    }

    /// Whether a day was closed: nothing is allotted of it any more.
    #[must_use]
    pub fn is_closed(&self, day: Day) -> bool {
        self.days.get(&day).is_some_and(|of| of.closed)
    }

    /// How many slices are kept.
    #[must_use]
    pub fn slices(&self) -> usize {
        self.days.values().map(|of| of.keys.len()).fold(0, usize::saturating_add)
    }

    /// What is out of the window of a kind that a day falls in.
    #[must_use]
    pub fn out(&self, kind: WindowKind, day: Day) -> Nanos {
        let start = first_day(kind, day);
        let found = self.out.iter().find(|window| (window.kind, window.start) == (kind, start));
        found.map_or(Nanos::ZERO, |window| window.out)
    }

    /// What was spent outside of slices in the window of a kind that a day falls in.
    #[must_use]
    pub fn before(&self, kind: WindowKind, day: Day) -> Nanos {
        let start = first_day(kind, day);
        let found = self.before.iter().find(|spent| (spent.window, spent.start) == (kind, start));
        found.map_or(Nanos::ZERO, |spent| spent.amount)
    }

    /// What counts against a budget on a day: what is out, and what was spent outside of slices.
    #[must_use]
    pub fn used(&self, kind: WindowKind, day: Day) -> Nanos {
        self.out(kind, day).checked_add(self.before(kind, day)).unwrap_or(Nanos::MAX)
    }

    /// What a budget could allot on a day; below zero where it was lowered or a provider reported too much.
    #[must_use]
    pub fn free(&self, budget: &Budget, day: Day) -> Nanos {
        let used = self.used(budget.window, day);
        budget.limit.checked_sub(used).unwrap_or(Nanos::from_nanos(i64::MIN))
    }

    /// The budget that could allot the least on a day, and what that is.
    #[must_use]
    pub fn tightest<'b>(&self, budgets: &'b [Budget], day: Day) -> Option<(&'b Budget, Nanos)> {
        let free = budgets.iter().map(|budget| (budget, self.free(budget, day)));
        free.min_by_key(|(_, free)| *free)
    }

    pub(super) fn without_slices(&self) -> Self {
        let (before, out) = (self.before.clone(), self.out.clone());
        Self { since: self.since, counted: self.counted, before, days: BTreeMap::new(), out }
    }

    pub(super) fn budgets_set(&mut self, any: bool, at: Revision) {
        self.since = any.then(|| self.since.unwrap_or(at));
    }

    pub(super) fn spend_counted(&mut self, e: &SpendCounted) -> Result<(), CorruptLog> {
        if self.since != Some(e.since) {
            return Err(CorruptLog("spend was counted for budgets that are not in force"));
        }
        self.counted = Some(e.since);
        self.before.clone_from(&e.spent);
        Ok(())
    }

    /// Totals only grow: one that comes late or again changes nothing.
    pub(super) fn allotted(&mut self, e: &BudgetAllotted, now: Timestamp) -> Result<(), CorruptLog> {
        self.prune(now);
        if self.is_closed(e.day) {
            return Err(CorruptLog("a slice was allotted of a day that was closed"));
        }
        let granted = self.days.entry(e.day).or_default().keys.entry(e.key).or_default();
        let more = e.total.minus_or_zero(granted.granted);
        granted.granted = granted.granted.max(e.total);
        self.move_windows(e.day, more)
    }

    /// What comes back of a slice that is no longer kept moves nothing any more.
    pub(super) fn reclaimed(&mut self, e: &AllotmentReclaimed) -> Result<(), CorruptLog> {
        let Some(of) = self.days.get_mut(&e.day) else { return Ok(()) };
        let Some(granted) = of.keys.get_mut(&e.key) else { return Ok(()) };
        if e.total > granted.granted {
            return Err(CorruptLog("more came back of a slice than was allotted"));
        }
        let more = e.total.minus_or_zero(granted.reclaimed);
        granted.reclaimed = granted.reclaimed.max(e.total);
        if of.closed && granted.out() == Nanos::ZERO {
            of.keys.remove(&e.key);
        }
        let back = Nanos::ZERO.checked_sub(more).ok_or(OVERFLOW)?;
        self.move_windows(e.day, back)
    }

    pub(super) fn closed(&mut self, day: Day) -> Result<(), CorruptLog> {
        let of = self.days.get_mut(&day).ok_or(CorruptLog("a day was closed that had no slices"))?;
        of.closed = true;
        of.keys.retain(|_, granted| granted.out() != Nanos::ZERO);
        Ok(())
    }

    fn move_windows(&mut self, day: Day, change: Nanos) -> Result<(), CorruptLog> {
        for kind in WindowKind::ALL {
            let start = first_day(kind, day);
            let found = self.out.iter_mut().find(|window| (window.kind, window.start) == (kind, start));
            match found {
                Some(window) => window.out = window.out.checked_add(change).ok_or(OVERFLOW)?,
                None => self.out.push(OutOfWindow { kind, start, out: change }),
            }
        }
        Ok(())
    }

    /// Windows are kept as long as any slice of theirs is; so none is found missing that something comes back to.
    fn prune(&mut self, now: Timestamp) {
        let oldest = Day::of(now).plus(SLICES_KEPT_DAYS.wrapping_neg());
        self.days.retain(|day, of| *day >= oldest || !of.closed);
        let first = self.days.keys().next().copied().unwrap_or(oldest).min(oldest);
        let ended =
            |kind, start: Day| window_end(kind, start.start()).is_some_and(|end| end <= first.start());
        self.out.retain(|window| !ended(window.kind, window.start));
        let today = Day::of(now);
        self.before.retain(|spent| {
            window_end(spent.window, spent.start.start()).is_none_or(|end| end > today.start())
        });
    }
}

/// First day of the window of a kind that a day falls in.
#[must_use]
pub fn first_day(kind: WindowKind, day: Day) -> Day {
    Day::of(window_start(kind, day.start()))
}

const OVERFLOW: CorruptLog = CorruptLog("what an org has out does not add up");
