//! Moments in UTC microseconds. This crate never asks a clock.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_six_decimals_and_survives() {
        let moment = Timestamp::from_micros(1_793_344_800_000_001);
        assert_eq!(moment.to_string(), "2026-10-30T07:20:00.000001Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }
}
