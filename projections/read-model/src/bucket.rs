//! The stretches of time that spend and refusals are added up in: pure functions of time, in UTC.
//!
//! A bucket is named by its first moment in whole seconds since 1970.

use nemo_events::Timestamp;
use nemo_events::limits::WindowKind;
use nemo_events::time::MICROS_PER_SEC;
use nemo_projections::budget::window_start;

pub(crate) const MINUTE_SECS: i64 = 60;
pub(crate) const QUARTER_SECS: i64 = 900;
pub(crate) const HOUR_SECS: i64 = 3600;
pub(crate) const DAY_SECS: i64 = 86_400;

/// How long a bucket is. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Size {
    Minute = 0,
    QuarterHour = 1,
    Day = 2,
    Month = 3,
}

impl Size {
    pub(crate) const fn code(self) -> i64 {
        self as i64
    }

    /// First second of the bucket that a second falls in.
    pub(crate) fn start_of_secs(self, secs: i64) -> i64 {
        match self {
            Self::Minute => floor(secs, MINUTE_SECS),
            Self::QuarterHour => floor(secs, QUARTER_SECS),
            Self::Day => floor(secs, DAY_SECS),
            Self::Month => to_secs(window_start(WindowKind::Month, from_secs(secs))),
        }
    }

    /// First second of the bucket that a moment falls in.
    pub(crate) fn start_of(self, at: Timestamp) -> i64 {
        self.start_of_secs(to_secs(at))
    }
}

pub(crate) const fn to_secs(at: Timestamp) -> i64 {
    at.as_micros() / MICROS_PER_SEC
}

pub(crate) const fn from_secs(secs: i64) -> Timestamp {
    Timestamp::EPOCH.plus_secs(secs)
}

const fn floor(secs: i64, length: i64) -> i64 {
    secs - secs.rem_euclid(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_start_at_round_utc_moments() {
        let at: Timestamp = "2028-02-29T23:59:59.999999Z".parse().unwrap_or(Timestamp::EPOCH);
        let start = |size: Size| from_secs(size.start_of(at)).to_string();
        assert_eq!(start(Size::Minute), "2028-02-29T23:59:00.000000Z");
        assert_eq!(start(Size::QuarterHour), "2028-02-29T23:45:00.000000Z");
        assert_eq!(start(Size::Day), "2028-02-29T00:00:00.000000Z");
        assert_eq!(start(Size::Month), "2028-02-01T00:00:00.000000Z");
    }
}
