//! What this node knows of money that keys of an org hold or have idle: where to look first when the org runs short,
//! and what to say when that does not help. Never decides anything: that is done on the streams.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::{Day, KeyId, Nanos, OrgId};
use nemo_projections::budget::window_end;
use nemo_projections::key::Slices;
use nemo_projections::org::{Granted, first_day};
use nemo_projections::refusal::{BudgetOwner, BudgetShort, SliceShort};
use nemo_projections::{KeyState, OrgState};

use super::WhyShort;

/// What is known, by org.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Slack {
    orgs: Mutex<HashMap<OrgId, OfOrg>>,
}

#[derive(Debug, Default)]
struct OfOrg {
    /// Every key that was looked at since this node started, with what it has idle or holds.
    keys: HashMap<KeyId, Vec<OfDay>>,
    /// Those with anything idle.
    by_idle: BTreeSet<(Nanos, KeyId)>,
    /// Keys of which nothing of a past day is idle, held or on its way any more.
    settled: HashSet<(Day, KeyId)>,
    /// When spend outside of slices was last counted since this node started, none of it was held by open calls.
    is_counted: bool,
}

/// What a key has of one day.
#[derive(Debug, Clone, Copy)]
struct OfDay {
    day: Day,
    received: Nanos,
    returned: Nanos,
    idle: Nanos,
    held: Nanos,
}

/// Sums over keys.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) idle: i64,
    pub(super) held: i64,
}

impl Slack {
    /// A key was folded: notes what it has.
    pub(in crate::ledger) fn note(&self, id: KeyId, key: &KeyState) {
        if key.slices.required_since().is_none() {
            return;
        }
        let mut orgs = self.lock();
        let of = orgs.entry(key.org).or_default();
        let before = of.keys.insert(id, of_days(&key.slices)).unwrap_or_default();
        of.by_idle.remove(&(idle(&before), id));
        let now = of.keys.get(&id).map_or(Nanos::ZERO, |days| idle(days));
        if now > Nanos::ZERO {
            of.by_idle.insert((now, id));
        }
    }

    /// Keys with the most idle, most first, but for one.
    pub(super) fn largest(&self, org: OrgId, except: KeyId, most: usize) -> Vec<(KeyId, Nanos)> {
        let orgs = self.lock();
        let Some(of) = orgs.get(&org) else { return Vec::new() };
        let largest = of.by_idle.iter().rev().filter(|(_, key)| *key != except);
        largest.take(most).map(|(idle, key)| (*key, *idle)).collect()
    }

    /// Keys of which more may be had than is known to be idle, but for one: they were not looked at yet, or something
    /// is under way between their streams and the org's.
    pub(super) fn unknown(
        &self,
        org: OrgId,
        state: &OrgState,
        except: Option<KeyId>,
        most: usize,
    ) -> Vec<KeyId> {
        let orgs = self.lock();
        let keys = orgs.get(&org).map(|of| &of.keys);
        let open = state.allotted.days().filter(|(_, closed)| !closed);
        let days: Vec<Day> = open.map(|(day, _)| day).collect();
        let Some(newest) = days.iter().copied().max() else { return Vec::new() };
        let is_unknown = |day: Day, key: KeyId, granted: Granted| {
            let Some(known) = keys.and_then(|keys| keys.get(&key)) else { return true };
            match known.iter().find(|of| of.day == day) {
                Some(of) => granted.granted > of.received || of.returned > granted.reclaimed,
                // Of earlier days only what is idle or held is noted.
                None => day >= newest.plus(-1),
            }
        };
        let all = days
            .into_iter()
            .flat_map(|day| state.allotted.keys(day).map(move |(key, granted)| (day, key, granted)));
        let out = all.filter(|(_, key, granted)| granted.out() > Nanos::ZERO && Some(*key) != except);
        let unknown = out.filter(|(day, key, granted)| is_unknown(*day, *key, *granted));
        let mut found = BTreeSet::new();
        for (_, key, _) in unknown {
            if found.len() >= most {
                break;
            }
            found.insert(key);
        }
        found.into_iter().collect()
    }

    /// What keys have idle and hold in the window of a kind that a day falls in.
    pub(super) fn sums(&self, org: OrgId, kind: WindowKind, day: Day, except: Option<KeyId>) -> Sums {
        let orgs = self.lock();
        let Some(of) = orgs.get(&org) else { return Sums::default() };
        let start = first_day(kind, day);
        let mut sums = Sums::default();
        for (key, days) in &of.keys {
            for of in days.iter().filter(|of| first_day(kind, of.day) == start) {
                let idle = if Some(*key) == except { 0 } else { of.idle.as_nanos() };
                sums.idle = sums.idle.saturating_add(idle);
                sums.held = sums.held.saturating_add(of.held.as_nanos());
            }
        }
        sums
    }

    /// Why an org has too little for a call of a key; `None` if it has enough.
    pub(super) fn why_short(
        &self,
        org: OrgId,
        state: &OrgState,
        key: KeyId,
        short: SliceShort,
    ) -> Option<WhyShort> {
        let granted = state.allotted.of(key, short.day).granted;
        let on_its_way = granted.minus_or_zero(short.received).as_nanos();
        let need = short.hold.as_nanos().saturating_sub(short.idle.as_nanos()).saturating_sub(on_its_way);
        let lacks = |budget: &&Budget| state.allotted.free(budget, short.day).as_nanos() < need;
        let mut why = None;
        for kind in WindowKind::ALL {
            let Some(budget) = state.budgets.iter().find(|budget| budget.window == kind).filter(lacks) else {
                continue;
            };
            let sums = self.sums(org, kind, short.day, Some(key));
            let told = told(state, budget, short, sums);
            let free = state.allotted.free(budget, short.day).as_nanos();
            let with_idle = free.saturating_add(sums.idle);
            if need <= with_idle || !self.unknown(org, state, Some(key), 1).is_empty() {
                why.get_or_insert(WhyShort::IdleElsewhere(told));
            } else if need <= with_idle.saturating_add(sums.held) {
                why.get_or_insert(WhyShort::Held(told));
            } else {
                return Some(WhyShort::Spent(told));
            }
        }
        why
    }

    /// Notes that nothing of a key's slice of a past day moves any more.
    pub(super) fn settle(&self, org: OrgId, day: Day, key: KeyId) {
        self.lock().entry(org).or_default().settled.insert((day, key));
    }

    pub(super) fn is_settled(&self, org: OrgId, day: Day, key: KeyId) -> bool {
        self.lock().get(&org).is_some_and(|of| of.settled.contains(&(day, key)))
    }

    /// Notes that spend outside of slices was counted; again where some of it is held and may come to less.
    pub(super) fn counted(&self, org: OrgId, some_is_held: bool) {
        self.lock().entry(org).or_default().is_counted = !some_is_held;
    }

    /// Whether spend outside of slices was counted to the end since this node started.
    pub(super) fn is_counted(&self, org: OrgId) -> bool {
        self.lock().get(&org).is_some_and(|of| of.is_counted)
    }

    /// Forgets who was settled of a day that was closed.
    pub(super) fn closed(&self, org: OrgId, day: Day) {
        if let Some(of) = self.lock().get_mut(&org) {
            of.settled.retain(|(settled, _)| *settled != day);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrgId, OfOrg>> {
        self.orgs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_days(slices: &Slices) -> Vec<OfDay> {
    let newest = slices.all().map(|slice| slice.day).max().unwrap_or(Day::EPOCH);
    let days = slices.all().map(|slice| OfDay {
        day: slice.day,
        received: slice.received,
        returned: slice.returned,
        idle: slice.idle().max(Nanos::ZERO),
        held: slice.held,
    });
    days.filter(|of| of.idle > Nanos::ZERO || of.held > Nanos::ZERO || of.day >= newest.plus(-1)).collect()
}

fn idle(days: &[OfDay]) -> Nanos {
    Nanos::from_nanos(days.iter().map(|of| of.idle.as_nanos()).fold(0, i64::saturating_add))
}

/// What a caller is told of a budget that is too small.
fn told(state: &OrgState, budget: &Budget, short: SliceShort, sums: Sums) -> BudgetShort {
    let used = state.allotted.used(budget.window, short.day);
    let comes_back = Nanos::from_nanos(sums.idle.saturating_add(sums.held));
    BudgetShort {
        of: BudgetOwner::Org,
        window: budget.window,
        limit: budget.limit,
        settled: used.minus_or_zero(comes_back),
        held: comes_back.min(used.max(Nanos::ZERO)),
        needed: short.hold,
        resets_at: window_end(budget.window, first_day(budget.window, short.day).start()),
        output_limit_that_fits: None,
    }
}
