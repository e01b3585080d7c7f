//! When work happens: the hours of a day by weight, and moments drawn from them.

use chrono::{Datelike, NaiveDate, NaiveTime, Weekday};
use nemo_events::Timestamp;
use nemo_events::time::MICROS_PER_SEC;
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

const HOUR_MICROS: i64 = 3_600 * MICROS_PER_SEC;

/// How a day's work is spread over it (UTC).
#[derive(Debug, Clone, Copy)]
pub(super) enum Rhythm {
    /// From eight to six, with a lunch.
    Office,
    /// From early morning to late evening, most of it after work.
    Shop,
    /// From two to four at night.
    Night,
    /// Within minutes, at five in the afternoon.
    AtFive,
    /// At any hour alike.
    Always,
}

impl Rhythm {
    const fn hours(self) -> [u8; 24] {
        match self {
            Self::Office => [0, 0, 0, 0, 0, 0, 0, 1, 5, 9, 9, 8, 4, 7, 8, 8, 6, 3, 1, 0, 0, 0, 0, 0],
            Self::Shop => [1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 5, 6, 5, 4, 4, 5, 7, 9, 10, 9, 7, 4, 2],
            Self::Night => [0, 0, 5, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            Self::AtFive => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            Self::Always => [1; 24],
        }
    }

    /// A moment of a day on which this work is done.
    pub(super) fn moment(self, day: NaiveDate, dice: &mut Xoshiro256PlusPlus) -> Timestamp {
        let hours = self.hours();
        let mut at = dice.random_range(0..hours.iter().map(|weight| i64::from(*weight)).sum::<i64>());
        let mut hour = 0;
        for weight in hours {
            at = at.saturating_sub(i64::from(weight));
            if at < 0 {
                break;
            }
            hour += 1;
        }
        let within = if matches!(self, Self::AtFive) { HOUR_MICROS / 20 } else { HOUR_MICROS };
        let micros = dice.random_range(0..within).saturating_add(HOUR_MICROS.saturating_mul(hour));
        Timestamp::from_micros(midnight(day).as_micros().saturating_add(micros))
    }
}

/// A day's first moment.
pub(super) fn midnight(day: NaiveDate) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc().into()
}

/// Whether offices are closed.
pub(super) fn is_weekend(day: NaiveDate) -> bool {
    matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
}
