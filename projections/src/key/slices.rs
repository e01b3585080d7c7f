//! What a key may draw of its org's budgets: a slice for each day, and what it spent outside of them.
//!
//! - A slice has `received = returned + settled + held + idle`. A call draws on what is idle; only what is idle is
//!   returned. A provider that reports more than the hold leaves less than nothing idle.
//! - Slices of past days are kept for [`SLICES_KEPT_DAYS`], and longer while a call is open or anything is idle, so
//!   that corrections of a window that still counts flow back. An older one is never begun anew.
//! - Calls that draw on no slice are summed apart by window: that is what an org counts when it gets budgets.

use std::collections::BTreeMap;

use nemo_events::{CallId, Day, KeyEvent, Nanos, Revision, Timestamp};
use serde::{Deserialize, Serialize};

use super::KeyState;
use crate::CorruptLog;
use crate::budget::Windows;

/// So many days slices are remembered after their own: longer than any month.
pub const SLICES_KEPT_DAYS: i32 = 35;

/// A key's slice of one day. All are totals since the slice began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The day that it may be spent on.
    pub day: Day,
    /// What the key took up.
    pub received: Nanos,
    /// What it let go of.
    pub returned: Nanos,
    /// Charged calls.
    pub settled: Nanos,
    /// Holds of open calls.
    pub held: Nanos,
    /// How many calls are open.
    pub open: u64,
}

impl Slice {
    /// A slice of which nothing was received.
    #[must_use]
    pub const fn empty(day: Day) -> Self {
        let none = Nanos::ZERO;
        Self { day, received: none, returned: none, settled: none, held: none, open: 0 }
    }

    /// What may be drawn or returned; below zero after an overrun.
    #[must_use]
    pub fn idle(&self) -> Nanos {
        let has = self.received.as_nanos().saturating_sub(self.returned.as_nanos());
        let idle = has.saturating_sub(self.settled.as_nanos()).saturating_sub(self.held.as_nanos());
        Nanos::from_nanos(idle)
    }

    /// What it took to pay for everything that was charged and is held, and for what was returned.
    #[must_use]
    pub fn used_and_returned(&self) -> Option<Nanos> {
        self.returned.checked_add(self.settled)?.checked_add(self.held)
    }
}

/// A key's slices, and whether it needs any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slices {
    /// Revision of the event in the org's stream that put its budgets in force, as the key was last told.
    required_since: Option<Revision>,
    slices: BTreeMap<Day, Slice>,
    /// Calls that draw on no slice.
    outside: Windows,
}

impl Slices {
    /// Revision of the event in the org's stream that put its budgets in force, as the key was last told.
    #[must_use]
    pub const fn required_since(&self) -> Option<Revision> {
        self.required_since
    }

    /// The slice of a day.
    #[must_use]
    pub fn of(&self, day: Day) -> Slice {
        self.slices.get(&day).copied().unwrap_or(Slice::empty(day))
    }

    /// All that are kept, by day.
    pub fn all(&self) -> impl Iterator<Item = &Slice> {
        self.slices.values()
    }

    /// What calls that draw on no slice came to.
    #[must_use]
    pub const fn outside(&self) -> &Windows {
        &self.outside
    }

    /// Whether what is received of a day now could still be told from what was received of it before.
    #[must_use]
    pub fn remembers(&self, day: Day, now: Timestamp) -> bool {
        day >= oldest_kept(now) || self.slices.contains_key(&day)
    }

    fn required(&mut self, since: Revision) -> Result<(), CorruptLog> {
        if self.required_since.is_some_and(|before| since <= before) {
            return Err(CorruptLog("a key was told of its org's budgets out of order"));
        }
        self.required_since = Some(since);
        Ok(())
    }

    /// Totals only grow: one that comes late or again changes nothing.
    fn received(&mut self, day: Day, total: Nanos, now: Timestamp) -> Result<(), CorruptLog> {
        let slice = self.slice_mut(day);
        slice.received = slice.received.max(total);
        // Not before: a slice that is remembered until now must not be begun anew.
        self.prune(now);
        Ok(())
    }

    fn returned(&mut self, day: Day, total: Nanos) -> Result<(), CorruptLog> {
        let slice = self.slice_mut(day);
        let more = total.minus_or_zero(slice.returned);
        if more > slice.idle() && more > Nanos::ZERO {
            return Err(CorruptLog("a key returned what was not idle"));
        }
        slice.returned = slice.returned.max(total);
        Ok(())
    }

    fn hold(&mut self, at: Timestamp, amount: Nanos) -> Result<(), CorruptLog> {
        self.prune(at);
        let slice = self.slice_mut(Day::of(at));
        if amount > slice.idle() {
            return Err(CorruptLog("a call draws more than its slice has"));
        }
        slice.held = slice.held.checked_add(amount).ok_or(OVERFLOW)?;
        slice.open = slice.open.saturating_add(1);
        Ok(())
    }

    fn end(&mut self, day: Day, held: Nanos, charged: Nanos) -> Result<(), CorruptLog> {
        let slice = self.slice_mut(day);
        slice.held = slice.held.checked_sub(held).filter(|held| !held.is_negative()).ok_or(OVERFLOW)?;
        slice.settled = slice.settled.checked_add(charged).ok_or(OVERFLOW)?;
        slice.open = slice.open.checked_sub(1).ok_or(OVERFLOW)?;
        Ok(())
    }

    /// A slice that is no longer kept binds nothing any more.
    fn correct(&mut self, day: Day, before: Nanos, after: Nanos) -> Result<(), CorruptLog> {
        let change = after.checked_sub(before).ok_or(OVERFLOW)?;
        if let Some(slice) = self.slices.get_mut(&day) {
            slice.settled = slice.settled.checked_add(change).ok_or(OVERFLOW)?;
        }
        Ok(())
    }

    fn slice_mut(&mut self, day: Day) -> &mut Slice {
        self.slices.entry(day).or_insert(Slice::empty(day))
    }

    fn prune(&mut self, now: Timestamp) {
        let oldest = oldest_kept(now);
        self.slices.retain(|day, slice| *day >= oldest || slice.open > 0 || slice.idle() != Nanos::ZERO);
    }
}

impl KeyState {
    /// What an event, which has not been folded yet, does to slices of this key.
    pub(crate) fn move_slices(
        &self,
        slices: &mut Slices,
        event: &KeyEvent,
        now: Timestamp,
    ) -> Result<(), CorruptLog> {
        match event {
            KeyEvent::AllotmentRequired(e) => slices.required(e.since),
            KeyEvent::AllotmentReceived(e) => slices.received(e.day, e.total, now),
            KeyEvent::AllotmentReturned(e) => slices.returned(e.day, e.total),
            KeyEvent::CallAuthorized(e) if e.allotted => slices.hold(now, e.hold.amount),
            KeyEvent::CallAuthorized(e) => slices.outside.hold(now, e.hold.amount),
            KeyEvent::CallSettled(e) => self.end_in(slices, e.call, e.cost),
            KeyEvent::CallVoided(e) => self.end_in(slices, e.call, Nanos::ZERO),
            KeyEvent::CallForfeited(e) => self.end_in(slices, e.call, e.charged),
            KeyEvent::CallCorrected(e) if e.allotted => {
                slices.correct(Day::of(e.authorized_at), e.charged_before, e.charged)
            }
            KeyEvent::CallCorrected(e) => {
                slices.outside.correct(e.authorized_at, e.charged_before, e.charged)
            }
            KeyEvent::KeyCreated(_)
            | KeyEvent::KeyRelabelled(_)
            | KeyEvent::KeyLimitsSet(_)
            | KeyEvent::KeyBlocked(_)
            | KeyEvent::KeyUnblocked(_)
            | KeyEvent::KeySecretRotated(_)
            | KeyEvent::KeySecretRetired(_)
            | KeyEvent::KeyDigestRenewed(_)
            | KeyEvent::KeyModelCleared(_)
            | KeyEvent::KeyRevoked(_)
            | KeyEvent::CallsRefused(_)
            | KeyEvent::BudgetAlertRaised(_) => Ok(()),
        }
    }

    fn end_in(&self, slices: &mut Slices, call: CallId, charged: Nanos) -> Result<(), CorruptLog> {
        let open = self.open_call(call)?;
        let (at, held) = (open.authorized_at, open.hold.amount);
        match open.allotted {
            true => slices.end(Day::of(at), held, charged),
            false => slices.outside.end(at, held, charged),
        }
    }
}

fn oldest_kept(now: Timestamp) -> Day {
    Day::of(now).plus(SLICES_KEPT_DAYS.wrapping_neg())
}

const OVERFLOW: CorruptLog = CorruptLog("a slice's amount does not add up");
