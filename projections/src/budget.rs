//! Spend by window: what settled and what is held, for all four kinds whether or not a budget exists.
//!
//! Windows are pure functions of time (UTC); nothing is ever reset. A call counts in the windows of
//! its authorisation, whenever it ends.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CorruptLog;

/// First moment of the window of a kind that `at` falls in.
#[must_use]
pub fn window_start(kind: WindowKind, at: Timestamp) -> Timestamp {
    let date = at.to_datetime().date_naive();
    let first = match kind {
        WindowKind::Total => return Timestamp::EPOCH,
        WindowKind::Day => Some(date),
        WindowKind::Week => {
            date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_monday())))
        }
        WindowKind::Month => date.with_day(1),
    };
    // Years 1970 to 9999 lie well within chrono's range.
    first.map_or(Timestamp::EPOCH, midnight)
}

/// First moment behind the window that starts at `start`; `None` for the total, which has no end.
#[must_use]
pub fn window_end(kind: WindowKind, start: Timestamp) -> Option<Timestamp> {
    let date = start.to_datetime().date_naive();
    let next = match kind {
        WindowKind::Total => None,
        WindowKind::Day => date.checked_add_days(Days::new(1)),
        WindowKind::Week => date.checked_add_days(Days::new(7)),
        WindowKind::Month => date.checked_add_months(Months::new(1)),
    };
    next.map(midnight)
}

fn midnight(date: NaiveDate) -> Timestamp {
    DateTime::<Utc>::from_naive_utc_and_offset(date.and_time(NaiveTime::MIN), Utc).into()
}

/// What one window counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSpend {
    /// Its kind.
    pub kind: WindowKind,
    /// Its first moment.
    pub start: Timestamp,
    /// Charged calls.
    pub settled: Nanos,
    /// Holds of open calls.
    pub held: Nanos,
    /// How many calls are open.
    pub open: u64,
}

/// The windows that still matter: current, previous, and any with an open call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Windows(Vec<WindowSpend>);

impl Windows {
    /// What the window of a kind that `at` falls in counts so far.
    #[must_use]
    pub fn at(&self, kind: WindowKind, at: Timestamp) -> WindowSpend {
        self.find(kind, window_start(kind, at))
    }

    fn find(&self, kind: WindowKind, start: Timestamp) -> WindowSpend {
        let empty = WindowSpend { kind, start, settled: Nanos::ZERO, held: Nanos::ZERO, open: 0 };
        self.0.iter().find(|w| w.kind == kind && w.start == start).copied().unwrap_or(empty)
    }

    /// Every window that is kept.
    #[must_use]
    pub fn all(&self) -> &[WindowSpend] {
        &self.0
    }

    /// Whether every window that `at` falls in can count `amount` more without an overflow.
    #[must_use]
    pub fn has_room(&self, at: Timestamp, amount: Nanos) -> bool {
        WindowKind::ALL.iter().all(|kind| {
            let window = self.at(*kind, at);
            window.settled.checked_add(window.held).and_then(|used| used.checked_add(amount)).is_some()
        })
    }

    /// A call was authorised.
    ///
    /// # Errors
    /// An amount that does not fit: the log is corrupt.
    pub fn hold(&mut self, at: Timestamp, amount: Nanos) -> Result<(), CorruptLog> {
        if amount.is_negative() {
            return Err(OVERFLOW);
        }
        self.prune(at);
        for kind in WindowKind::ALL {
            let start = window_start(kind, at);
            let mut window = self.find(kind, start);
            window.held = window.held.checked_add(amount).ok_or(OVERFLOW)?;
            window.open = window.open.saturating_add(1);
            self.put(window);
        }
        Ok(())
    }

    /// A call that was authorised at `authorized_at` ended.
    ///
    /// # Errors
    /// An amount that does not fit: the log is corrupt.
    pub fn end(&mut self, authorized_at: Timestamp, held: Nanos, charged: Nanos) -> Result<(), CorruptLog> {
        if charged.is_negative() {
            return Err(OVERFLOW);
        }
        for kind in WindowKind::ALL {
            let mut window = self.find(kind, window_start(kind, authorized_at));
            window.held = window.held.checked_sub(held).filter(|n| !n.is_negative()).ok_or(OVERFLOW)?;
            window.settled = window.settled.checked_add(charged).ok_or(OVERFLOW)?;
            window.open = window.open.checked_sub(1).ok_or(OVERFLOW)?;
            self.put(window);
        }
        Ok(())
    }

    /// An ended call's charge changed; windows that are no longer kept bind nothing any more.
    ///
    /// # Errors
    /// An amount that does not fit: the log is corrupt.
    pub fn correct(
        &mut self,
        authorized_at: Timestamp,
        before: Nanos,
        after: Nanos,
    ) -> Result<(), CorruptLog> {
        let change = after.checked_sub(before).ok_or(OVERFLOW)?;
        for kind in WindowKind::ALL {
            let start = window_start(kind, authorized_at);
            if let Some(window) = self.0.iter_mut().find(|w| w.kind == kind && w.start == start) {
                window.settled = window.settled.checked_add(change).ok_or(OVERFLOW)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, window: WindowSpend) {
        match self.0.iter_mut().find(|w| w.kind == window.kind && w.start == window.start) {
            Some(kept) => *kept = window,
            None => self.0.push(window),
        }
    }

    fn prune(&mut self, now: Timestamp) {
        self.0.retain(|w| {
            let end = window_end(w.kind, w.start);
            let previous_or_current = end.and_then(|end| window_end(w.kind, end)).is_none_or(|end| end > now);
            previous_or_current || w.open > 0
        });
    }
}

const OVERFLOW: CorruptLog = CorruptLog("a window's amount does not add up");

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|e| unreachable!("{e}"))
    }

    #[test]
    fn windows_start_at_utc_midnight_monday_and_the_first() {
        let at = time("2028-02-29T23:59:59.999999Z"); // a Tuesday in a leap year
        assert_eq!(window_start(WindowKind::Day, at), time("2028-02-29T00:00:00Z"));
        assert_eq!(window_start(WindowKind::Week, at), time("2028-02-28T00:00:00Z"));
        assert_eq!(window_start(WindowKind::Month, at), time("2028-02-01T00:00:00Z"));
        assert_eq!(window_start(WindowKind::Total, at), Timestamp::EPOCH);
        assert_eq!(
            window_end(WindowKind::Month, time("2028-02-01T00:00:00Z")),
            Some(time("2028-03-01T00:00:00Z"))
        );
        assert_eq!(
            window_end(WindowKind::Month, time("2027-12-01T00:00:00Z")),
            Some(time("2028-01-01T00:00:00Z"))
        );
    }

    #[test]
    fn a_call_open_across_midnight_ends_in_the_day_it_was_authorised() {
        let (before, after) = (time("2026-12-31T23:59:59Z"), time("2027-01-01T00:00:01Z"));
        let (hold, cost) = (Nanos::from_nanos(10), Nanos::from_nanos(3));
        let mut windows = Windows::default();
        assert_eq!(windows.hold(before, hold), Ok(()));
        assert_eq!(windows.hold(after, hold), Ok(()));
        assert_eq!(windows.end(before, hold, cost), Ok(()));
        assert_eq!(windows.at(WindowKind::Day, before).settled, cost);
        assert_eq!(windows.at(WindowKind::Day, after).settled, Nanos::ZERO);
        assert_eq!(windows.at(WindowKind::Day, after).held, hold);
        assert_eq!(windows.at(WindowKind::Total, after).settled, cost);
    }

    #[test]
    fn old_windows_are_forgotten_unless_a_call_is_open_in_them() {
        let mut windows = Windows::default();
        let hold = Nanos::from_nanos(1);
        assert_eq!(windows.hold(time("2026-01-01T00:00:00Z"), hold), Ok(()));
        assert_eq!(windows.hold(time("2026-01-02T00:00:00Z"), hold), Ok(()));
        assert_eq!(windows.end(time("2026-01-01T00:00:00Z"), hold, hold), Ok(()));
        assert_eq!(windows.hold(time("2026-06-01T00:00:00Z"), hold), Ok(()));
        assert_eq!(windows.at(WindowKind::Day, time("2026-01-01T00:00:00Z")).settled, Nanos::ZERO);
        assert_eq!(windows.at(WindowKind::Day, time("2026-01-02T00:00:00Z")).held, hold);
    }
}
