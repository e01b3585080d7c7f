//! Rates per minute, folded from the stream: GCRA in its leaky-bucket form, in exact integers.
//!
//! A bucket holds at most `limit` units and drains evenly by `limit` units in 60 s. Levels are kept
//! in 60-millionths of a unit, so that draining for whole microseconds is exact.

use nemo_events::Timestamp;
use serde::{Deserialize, Serialize};

/// Parts of a unit: microseconds in the 60 s over which a full bucket drains.
const PARTS: u64 = 60_000_000;

/// How full a bucket is, as of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    level: u64,
    at: Timestamp,
    /// All parts ever added less those given back; wraps, only differences are used.
    added: u64,
}

/// Where in a bucket the units of one call end. Units drain in the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(u64);

impl Default for Bucket {
    fn default() -> Self {
        Self { level: 0, at: Timestamp::EPOCH, added: 0 }
    }
}

impl Bucket {
    /// The bucket after draining until `now` under `limit` units per minute. Without a limit nothing
    /// is counted.
    #[must_use]
    pub fn drained(self, limit: Option<u64>, now: Timestamp) -> Self {
        let Some(limit) = limit else { return Self { level: 0, at: now, ..self } };
        let elapsed = u64::try_from(now.micros_since(self.at)).unwrap_or_default();
        Self { level: self.level.saturating_sub(elapsed.saturating_mul(limit)), at: now, ..self }
    }

    /// Whether `units` more fit now; if not, after how many microseconds they will.
    ///
    /// # Errors
    /// The wait in microseconds; `u64::MAX` where they never fit because they exceed the limit.
    pub fn admits(self, limit: u64, units: u64, now: Timestamp) -> Result<(), u64> {
        if units > limit {
            return Err(u64::MAX);
        }
        let level = self.drained(Some(limit), now).level;
        let over = level.saturating_add(parts(units)).saturating_sub(parts(limit));
        if over == 0 { Ok(()) } else { Err(over.checked_div_ceil(limit).unwrap_or(u64::MAX)) }
    }

    /// Adds units at a moment.
    #[must_use]
    pub fn plus(self, limit: Option<u64>, units: u64, now: Timestamp) -> Self {
        let drained = self.drained(limit, now);
        if limit.is_none() {
            return drained;
        }
        Self {
            level: drained.level.saturating_add(parts(units)),
            added: drained.added.wrapping_add(parts(units)),
            ..drained
        }
    }

    /// The place right behind everything that was added so far.
    #[must_use]
    pub const fn place(self) -> Place {
        Place(self.added)
    }

    /// Replaces units that a call added by bound, at `place`, with those that it used. What drained
    /// meanwhile or was never counted is not given back, lest long calls lend later ones their room;
    /// the `others` behind it move up. Use beyond the bound fills the bucket at most once over.
    #[must_use]
    pub fn corrected<'a>(
        self,
        limit: Option<u64>,
        place: Place,
        (bound, used): (u64, u64),
        now: Timestamp,
        others: impl Iterator<Item = &'a mut Place>,
    ) -> Self {
        let mut bucket = self.plus(limit, used.saturating_sub(bound).min(limit.unwrap_or_default()), now);
        let behind = bucket.behind(place);
        let left = bucket.level.saturating_sub(behind);
        let back = left.min(parts(bound)).min(parts(bound.saturating_sub(used)));
        if back > 0 {
            for other in others.filter(|other| bucket.behind(**other) < behind) {
                other.0 = other.0.wrapping_sub(back);
            }
            bucket.level = bucket.level.saturating_sub(back);
            bucket.added = bucket.added.wrapping_sub(back);
        }
        bucket
    }

    /// How many parts were added behind a place.
    const fn behind(self, place: Place) -> u64 {
        self.added.wrapping_sub(place.0)
    }

    /// Whole units that fit now.
    #[must_use]
    pub fn remaining(self, limit: u64, now: Timestamp) -> u64 {
        parts(limit)
            .saturating_sub(self.drained(Some(limit), now).level)
            .checked_div(PARTS)
            .unwrap_or_default()
    }
}

const fn parts(units: u64) -> u64 {
    units.saturating_mul(PARTS)
}

trait DivCeil {
    fn checked_div_ceil(self, divisor: u64) -> Option<u64>;
}

impl DivCeil for u64 {
    fn checked_div_ceil(self, divisor: u64) -> Option<u64> {
        if divisor == 0 { None } else { Some(self.div_ceil(divisor)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000_i64.saturating_add(micros))
    }

    #[test]
    fn a_full_bucket_admits_again_exactly_when_one_unit_drained() {
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.admits(3, 1, at(0)), Ok(()));
            bucket = bucket.plus(Some(3), 1, at(0));
        }
        assert_eq!(bucket.admits(3, 1, at(0)), Err(20_000_000), "3 a minute refill one in 20 s");
        assert_eq!(bucket.admits(3, 1, at(19_999_999)), Err(1));
        assert_eq!(bucket.admits(3, 1, at(20_000_000)), Ok(()));
        assert_eq!(bucket.remaining(3, at(20_000_000)), 1);
    }

    #[test]
    fn what_was_bounded_but_not_used_is_given_back() {
        let bucket = Bucket::default().plus(Some(100), 100, at(0));
        assert!(bucket.admits(100, 1, at(0)).is_err());
        let bucket = bucket.corrected(Some(100), bucket.place(), (100, 10), at(0), [].iter_mut());
        assert_eq!(bucket.remaining(100, at(0)), 90);
    }

    #[test]
    fn what_drained_meanwhile_is_not_given_back_to_later_calls() {
        let long = Bucket::default().plus(Some(100), 100, at(0));
        let full_again = long.plus(Some(100), 100, at(60_000_000));
        let ended = full_again.corrected(Some(100), long.place(), (100, 10), at(60_000_000), [].iter_mut());
        assert_eq!(ended.remaining(100, at(60_000_000)), 0);
    }

    #[test]
    fn more_than_the_limit_never_fits() {
        assert_eq!(Bucket::default().admits(5, 6, at(0)), Err(u64::MAX));
    }
}
