//! Moments for people: UTC, without the digits that nobody reads.

use chrono::SecondsFormat;
use nemo_events::Timestamp;

/// `2026-11-22 10:00Z`
#[must_use]
pub fn to_the_minute(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m-%d %H:%MZ").to_string()
}

/// `2026-11-22 10:00:00Z`
#[must_use]
pub fn to_the_second(at: Timestamp) -> String {
    spaced(at, SecondsFormat::Secs)
}

/// `2026-11-22 10:00:00.123Z`
#[must_use]
pub fn to_the_millisecond(at: Timestamp) -> String {
    spaced(at, SecondsFormat::Millis)
}

fn spaced(at: Timestamp, digits: SecondsFormat) -> String {
    at.to_datetime().to_rfc3339_opts(digits, true).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_utc() {
        let at = Timestamp::from_micros(1_793_344_800_123_456);
        assert_eq!(to_the_minute(at), "2026-10-30 07:20Z");
        assert_eq!(to_the_second(at), "2026-10-30 07:20:00Z");
        assert_eq!(to_the_millisecond(at), "2026-10-30 07:20:00.123Z");
    }
}
