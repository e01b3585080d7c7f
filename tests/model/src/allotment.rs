//! How an org's budget reaches its keys, with streams alone.
//!
//! The org grants a key a slice of a day (`BudgetAllotted`, org's stream), the key takes it
//! (`AllotmentReceived`, key's stream), calls draw on it, what is idle goes back (`AllotmentReturned`, key's
//! stream) and is granted anew once the org has it again (`AllotmentReclaimed`, org's stream). Each is one
//! append at an exact revision, so each is one step here; what is *carried* between the streams may come late,
//! twice, or out of order, from any node, before or after any crash. All four carry the total of their key
//! and day so far, and whoever applies one takes the maximum.
//!
//! Amounts are small whole numbers. The org has a budget for the day and one for all time.

use std::fmt::Debug;

use crate::search::System;

const KEYS: usize = 2;
const DAYS: usize = 2;

/// How large the world is, and what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub struct Allotment {
    /// Keys that ask, at most 2.
    pub keys: usize,
    /// Days that pass, at most 2.
    pub days: usize,
    /// The org's budget for a day.
    pub day_limit: u8,
    /// The org's budget for all time.
    pub total_limit: u8,
    /// What both may be lowered to, once.
    pub lowered_to: Option<u8>,
    /// The most that one slice is granted in its life, which ends the search.
    pub granted_at_most: u8,
    /// A provider may, once, report one more than the hold.
    pub overrun: bool,
    /// A settled call may, once, be corrected downwards.
    pub correction: bool,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

/// Ways to get it wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Events carry what was granted this time, and a key adds it up.
    ReceiptAdds,
    /// A key takes what came last, though it may be older than what it has.
    ReceiptTakesTheLast,
    /// Events carry what was returned this time, and the org adds it up.
    ReclaimAdds,
    /// The org counts only what keys have received.
    TransitIsFree,
    /// A key returns what is held by calls that run.
    HeldIsReturned,
    /// The org takes what it sees idle, without the key having said that it lets go.
    ReclaimedUnasked,
    /// A slice pays for calls of a later day.
    SlicesOutliveTheirDay,
    /// A call that began the day before gives what it did not use to the new day's slice.
    EndsMoveToTheNewDay,
    /// Expired slices are kept.
    ExpiredIsKept,
    /// The org grants against its limit for the day alone.
    TotalIsForgotten,
}

/// One key's slice of one day: running totals, each in one of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Slice {
    granted: u8,
    received: u8,
    returned: u8,
    reclaimed: u8,
    settled: u8,
}

/// A call that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    slice: u8,
    /// The day in which it was authorised, whose budgets it counts in.
    day: u8,
    hold: u8,
}

/// Everything durable, and the day.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    day: u8,
    limits: Limits,
    /// What the org may have out: its limits, or what was out when they were lowered and is not back yet.
    ceilings: Limits,
    lowered: bool,
    overrun: bool,
    corrected: bool,
    slices: [[Slice; DAYS]; KEYS],
    calls: [[Option<Call>; 2]; KEYS],
    /// Settled and held of all keys, by the day of authorisation: the truth that budgets are about.
    spent: [u8; DAYS],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Limits {
    day: [u8; DAYS],
    total: u8,
}

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they append or do")]
pub enum Step {
    Grant { key: usize, amount: u8 },
    Receive { key: usize, day: usize, total: u8 },
    Authorize { key: usize, slice: usize, hold: u8 },
    End { key: usize, call: usize, cost: u8 },
    Correct { key: usize, day: usize },
    Return { key: usize, day: usize, amount: u8 },
    Reclaim { key: usize, day: usize, total: u8 },
    Midnight,
    LowerLimits,
}

impl Allotment {
    /// A small world without flaws.
    #[must_use]
    pub const fn sound() -> Self {
        Self {
            keys: 2,
            days: 2,
            day_limit: 2,
            total_limit: 3,
            lowered_to: Some(1),
            granted_at_most: 2,
            overrun: true,
            correction: true,
            flaw: None,
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// What the org takes to be out of the day's budget.
    fn org_counts(&self, world: &World, day: usize) -> u8 {
        let counted = |slice: &Slice| match self.has(Flaw::TransitIsFree) {
            true => slice.received.saturating_sub(slice.reclaimed),
            false => slice.granted.saturating_sub(slice.reclaimed),
        };
        world.slices.iter().filter_map(|slices| slices.get(day)).map(counted).sum()
    }

    fn org_may_grant(&self, world: &World, amount: u8) -> bool {
        let day = usize::from(world.day);
        let total: u8 = (0..self.days).map(|day| self.org_counts(world, day)).sum();
        let fits_day = self.org_counts(world, day) + amount <= world.limits.day[day];
        let fits_total = total + amount <= world.limits.total || self.has(Flaw::TotalIsForgotten);
        fits_day && fits_total
    }
}

impl World {
    fn held(&self, key: usize, day: usize) -> u8 {
        let draws = self.calls[key].iter().flatten().filter(|call| usize::from(call.slice) == day);
        draws.map(|call| call.hold).sum()
    }

    /// What the key may still draw or give back of a slice; below zero after an overrun.
    fn idle(&self, key: usize, day: usize) -> i16 {
        let slice = self.slices[key][day];
        i16::from(slice.received)
            - i16::from(slice.returned)
            - i16::from(slice.settled)
            - i16::from(self.held(key, day))
    }

    fn out(&self, day: usize) -> u8 {
        self.slices.iter().map(|slices| slices[day].granted.saturating_sub(slices[day].reclaimed)).sum()
    }

    /// Ceilings sink with what comes back, never below the limits.
    fn lower_ceilings(&mut self) {
        for day in 0..DAYS {
            self.ceilings.day[day] = self.limits.day[day].max(self.ceilings.day[day].min(self.out(day)));
        }
        let out = (0..DAYS).map(|day| self.out(day)).sum();
        self.ceilings.total = self.limits.total.max(self.ceilings.total.min(out));
    }
}

impl System for Allotment {
    type State = World;
    type Step = Step;

    fn initial(&self) -> World {
        let limits = Limits { day: [self.day_limit; DAYS], total: self.total_limit };
        World {
            day: 0,
            ceilings: limits.clone(),
            limits,
            lowered: false,
            overrun: false,
            corrected: false,
            slices: Default::default(),
            calls: Default::default(),
            spent: Default::default(),
        }
    }

    fn steps(&self, world: &World) -> Vec<(Step, World)> {
        let mut next = Vec::new();
        let mut add = |step: Step, change: &dyn Fn(&mut World)| {
            let mut after = world.clone();
            change(&mut after);
            after.calls.iter_mut().for_each(|calls| calls.sort_unstable());
            after.lower_ceilings();
            next.push((step, after));
        };
        for key in 0..self.keys {
            self.grant(world, key, &mut add);
            self.authorize(world, key, &mut add);
            self.end(world, key, &mut add);
            for day in 0..self.days {
                self.carry(world, key, day, &mut add);
                self.give_back(world, key, day, &mut add);
            }
        }
        self.pass_time(world, &mut add);
        next
    }

    fn broken(&self, world: &World) -> Option<&'static str> {
        let overrun = u8::from(world.overrun);
        for key in 0..self.keys {
            for day in 0..self.days {
                let Slice { granted, received, returned, reclaimed, .. } = world.slices[key][day];
                if received > granted || returned > received || reclaimed > returned {
                    return Some("reclaimed ≤ returned ≤ received ≤ granted");
                }
                if world.idle(key, day) < -i16::from(overrun) {
                    return Some("a key draws on no more than it has");
                }
            }
        }
        for day in 0..self.days {
            if world.spent[day] > world.ceilings.day[day] + overrun {
                return Some("no day is spent above its budget");
            }
            if world.out(day) > world.ceilings.day[day] {
                return Some("no more is out than the day's budget");
            }
        }
        if world.spent.iter().sum::<u8>() > world.ceilings.total + overrun {
            return Some("no more is ever spent than the budget for all time");
        }
        if (0..self.days).map(|day| world.out(day)).sum::<u8>() > world.ceilings.total {
            return Some("no more is out than the budget for all time");
        }
        self.idle_money_comes_back(world)
    }
}

type Add<'add> = dyn FnMut(Step, &dyn Fn(&mut World)) + 'add;

impl Allotment {
    fn grant(&self, world: &World, key: usize, add: &mut Add<'_>) {
        let day = usize::from(world.day);
        for amount in 1..=2 {
            let within_search = world.slices[key][day].granted + amount <= self.granted_at_most;
            if within_search && self.org_may_grant(world, amount) {
                add(Step::Grant { key, amount }, &|after| after.slices[key][day].granted += amount);
            }
        }
    }

    /// Totals cross between the streams: the latest or any earlier one, however often.
    fn carry(&self, world: &World, key: usize, day: usize, add: &mut Add<'_>) {
        let slice = world.slices[key][day];
        for total in 1..=slice.granted {
            let received = match self.flaw {
                Some(Flaw::ReceiptAdds) => (slice.received + total).min(9),
                Some(Flaw::ReceiptTakesTheLast) => total,
                _ => slice.received.max(total),
            };
            add(Step::Receive { key, day, total }, &|after| after.slices[key][day].received = received);
        }
        let visible = match self.has(Flaw::ReclaimedUnasked) {
            true => slice.returned.max(slice.received.saturating_sub(slice.settled + world.held(key, day))),
            false => slice.returned,
        };
        for total in 1..=visible {
            let reclaimed = match self.has(Flaw::ReclaimAdds) {
                true => (slice.reclaimed + total).min(slice.granted),
                false => slice.reclaimed.max(total),
            };
            add(Step::Reclaim { key, day, total }, &|after| after.slices[key][day].reclaimed = reclaimed);
        }
    }

    fn authorize(&self, world: &World, key: usize, add: &mut Add<'_>) {
        let today = usize::from(world.day);
        let Some(free) = world.calls[key].iter().position(Option::is_none) else { return };
        let earliest = if self.has(Flaw::SlicesOutliveTheirDay) { 0 } else { today };
        for slice in earliest..=today {
            for hold in 1..=2_u8 {
                if i16::from(hold) <= world.idle(key, slice) {
                    add(Step::Authorize { key, slice, hold }, &|after| {
                        after.calls[key][free] = Some(Call { slice: slice as u8, day: world.day, hold });
                        after.spent[today] += hold;
                    });
                }
            }
        }
    }

    fn end(&self, world: &World, key: usize, add: &mut Add<'_>) {
        for (index, open) in world.calls[key].iter().enumerate() {
            let Some(call) = *open else { continue };
            let (slice, day) = (usize::from(call.slice), usize::from(call.day));
            let highest = if self.overrun && !world.overrun { call.hold + 1 } else { call.hold };
            for cost in 0..=highest {
                add(Step::End { key, call: index, cost }, &|after| {
                    after.calls[key][index] = None;
                    after.spent[day] = after.spent[day] + cost - call.hold;
                    after.overrun |= cost > call.hold;
                    after.slices[key][slice].settled += cost;
                    let today = usize::from(after.day);
                    if self.has(Flaw::EndsMoveToTheNewDay) && today != slice && cost < call.hold {
                        // The rest is booked from one slice to the other: returned here, received there.
                        after.slices[key][slice].returned += call.hold - cost;
                        after.slices[key][today].received += call.hold - cost;
                    }
                });
            }
        }
    }

    fn give_back(&self, world: &World, key: usize, day: usize, add: &mut Add<'_>) {
        let held = if self.has(Flaw::HeldIsReturned) { world.held(key, day) } else { 0 };
        let idle = world.idle(key, day) + i16::from(held);
        let idle = if self.keeps(world, day) { 0 } else { u8::try_from(idle).unwrap_or(0) };
        for amount in 1..=idle {
            add(Step::Return { key, day, amount }, &|after| after.slices[key][day].returned += amount);
        }
        if self.correction && !world.corrected && world.slices[key][day].settled > 0 {
            // With slices that outlive their day the window is not known here: that flaw is found without.
            if world.spent[day] > 0 {
                add(Step::Correct { key, day }, &|after| {
                    after.slices[key][day].settled -= 1;
                    after.spent[day] -= 1;
                    after.corrected = true;
                });
            }
        }
    }

    fn keeps(&self, world: &World, day: usize) -> bool {
        self.has(Flaw::ExpiredIsKept) && day < usize::from(world.day)
    }

    fn pass_time(&self, world: &World, add: &mut Add<'_>) {
        if usize::from(world.day) + 1 < self.days {
            add(Step::Midnight, &|after| after.day += 1);
        }
        if let Some(lowered_to) = self.lowered_to.filter(|_| !world.lowered) {
            add(Step::LowerLimits, &|after| {
                after.limits = Limits { day: [lowered_to; DAYS], total: lowered_to };
                after.lowered = true;
            });
        }
    }

    /// From wherever it stands, carrying what is under way and letting go of what is idle leaves nothing out
    /// but what calls have spent or hold: no money is lost in transit, and none is out of reach for another key.
    fn idle_money_comes_back(&self, world: &World) -> Option<&'static str> {
        for key in 0..self.keys {
            for day in 0..self.days {
                let mut end = world.clone();
                let granted = end.slices[key][day].granted;
                end.slices[key][day].received = granted;
                let idle = if self.keeps(world, day) { 0 } else { end.idle(key, day).max(0) };
                let slice = &mut end.slices[key][day];
                slice.returned += u8::try_from(idle).unwrap_or(0);
                slice.reclaimed = slice.reclaimed.max(slice.returned);
                let used = slice.settled + world.held(key, day);
                if slice.granted.saturating_sub(slice.reclaimed) > used {
                    return Some("what is idle can be had back");
                }
            }
        }
        None
    }
}
