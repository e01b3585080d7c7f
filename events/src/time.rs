//! Moments in UTC microseconds, and days. This crate never asks a clock.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::InvalidId;

/// UTC microseconds since 1970. Written as RFC 3339 with six decimals and `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Microseconds in a second.
pub const MICROS_PER_SEC: i64 = 1_000_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The last microsecond of year 9999, beyond which RFC 3339 has no text.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// A moment, held within years 1970 to 9999.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < 0 {
            Self::EPOCH
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The moment as chrono's type.
    #[must_use]
    pub fn to_datetime(self) -> DateTime<Utc> {
        // Within years 1970 to 9999 chrono always has the moment.
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// This moment plus some seconds, held within range.
    #[must_use]
    pub const fn plus_secs(self, secs: i64) -> Self {
        Self::from_micros(self.0.saturating_add(secs.saturating_mul(MICROS_PER_SEC)))
    }

    /// Microseconds from `earlier` to this moment; negative if it is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self::from_micros(moment.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidId { what: "RFC 3339 time" })?;
        let micros = moment.timestamp_micros();
        if !(0..=Self::MAX.0).contains(&micros) {
            return Err(InvalidId { what: "time between 1970 and 9999" });
        }
        Ok(Self(micros))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

/// A calendar day in UTC. Written as `2026-11-22`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SEC;

impl Day {
    /// 1970-01-01.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31.
    pub const MAX: Self = Self(2_932_896);

    /// The day that a moment falls in.
    #[must_use]
    pub const fn of(moment: Timestamp) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "moments end with year 9999")]
        Self(moment.as_micros().div_euclid(MICROS_PER_DAY) as i32)
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.0).saturating_mul(MICROS_PER_DAY))
    }

    /// So many days later, or earlier if negative; held within years 1970 to 9999.
    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days).clamp(Self::EPOCH.0, Self::MAX.0))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.start().to_datetime().date_naive(), f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Day {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { what: "day between 1970 and 9999, such as 2026-11-22" };
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| invalid())?;
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        let day = i32::try_from(days).map(Self).map_err(|_| invalid())?;
        // One text for one day.
        if (Self::EPOCH..=Self::MAX).contains(&day) && day.to_string() == text {
            Ok(day)
        } else {
            Err(invalid())
        }
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_six_decimals_and_survives() {
        let moment = Timestamp::from_micros(1_793_344_800_000_001);
        assert_eq!(moment.to_string(), "2026-10-30T07:20:00.000001Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }

    #[test]
    fn a_day_ends_at_utc_midnight_and_has_one_text() {
        let day = |text: &str| text.parse::<Timestamp>().map(Day::of);
        let leap = day("2028-02-29T23:59:59.999999Z");
        assert_eq!(leap.as_ref().map(ToString::to_string), Ok("2028-02-29".to_owned()));
        assert_eq!(leap.map(|leap| leap.plus(1)), day("2028-03-01T00:00:00Z"));
        assert_eq!("2028-03-01".parse::<Day>().map(Day::start), "2028-03-01T00:00:00Z".parse());
        assert_eq!((day("1970-01-01T00:00:00Z"), Day::of(Timestamp::MAX)), (Ok(Day::EPOCH), Day::MAX));
        for text in ["2028-2-29", "2027-02-29", "1969-12-31", "+2028-02-29", "10000-01-01", "2028-02-29 "] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
