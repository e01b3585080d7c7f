//! Rates as queues: units join at the back, and the front drains evenly.

use std::collections::VecDeque;

/// A unit is this many parts, so that what drains in a microsecond is a whole number of them.
const PARTS: i128 = 60_000_000;

/// Units of calls, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    limit: Option<i128>,
    now: i64,
    waiting: VecDeque<(u128, i128)>,
}

impl Queue {
    /// Lets the front drain until a moment. Without a limit nothing is kept.
    pub(crate) fn drain(&mut self, now: i64) {
        let Some(limit) = self.limit else {
            self.waiting.clear();
            self.now = now;
            return;
        };
        let mut drained = i128::from(now - self.now) * limit;
        self.now = now;
        while let Some((_, parts)) = self.waiting.front_mut() {
            let taken = drained.min(*parts);
            *parts -= taken;
            drained -= taken;
            if *parts > 0 {
                break;
            }
            self.waiting.pop_front();
        }
    }

    pub(crate) fn set_limit(&mut self, limit: Option<u64>, now: i64) {
        self.drain(now);
        self.limit = limit.map(i128::from);
        self.drain(now);
    }

    pub(crate) fn join(&mut self, call: u128, units: u64, now: i64) {
        self.drain(now);
        if self.limit.is_some() {
            self.waiting.push_back((call, i128::from(units) * PARTS));
        }
    }

    /// A call that joined by its bound turns out to have used something else.
    pub(crate) fn correct(&mut self, call: u128, bound: u64, used: u64, now: i64) {
        self.drain(now);
        if used > bound {
            let limit = self.limit.unwrap_or_default();
            let extra = i128::from(used - bound).min(limit) * PARTS;
            if self.limit.is_some() {
                self.waiting.push_back((call, extra));
            }
            return;
        }
        let unused = i128::from(bound - used) * PARTS;
        if let Some((_, parts)) = self.waiting.iter_mut().find(|(waiting, _)| *waiting == call) {
            *parts -= unused.min(*parts);
        }
    }

    /// In how many microseconds so many more will fit; 0 means now.
    pub(crate) fn wait(&self, units: u64) -> i128 {
        let Some(limit) = self.limit else { return 0 };
        let waiting: i128 = self.waiting.iter().map(|(_, parts)| parts).sum();
        let over = waiting + (i128::from(units) - limit) * PARTS;
        if over <= 0 { 0 } else { (over + limit - 1) / limit }
    }

    /// Whole units that fit now.
    pub(crate) fn remaining(&self) -> i128 {
        let waiting: i128 = self.waiting.iter().map(|(_, parts)| parts).sum();
        ((self.limit.unwrap_or_default() * PARTS - waiting) / PARTS).max(0)
    }
}
