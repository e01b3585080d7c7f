//! What is added up of calls: counts, cost and units by kind, as one array of integers, so that adding,
//! storing and reading cannot forget a column.

use nemo_events::{Nanos, Usage};
use serde::Serialize;

use crate::error::EventError;

/// Columns of units in a table of calls or sums, in the order of [`units`].
pub(crate) const UNITS: [&str; 14] = [
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "cache_read_audio",
    "input_image",
    "output",
    "output_audio",
    "output_image",
    "reasoning",
    "web_searches",
    "file_searches",
    "requests",
];

/// Columns of sums, before those of units.
pub(crate) const COUNTS: [&str; 5] = ["calls", "voided", "estimated", "unconfirmed", "cost"];

/// All columns of sums.
pub(crate) fn sum_columns() -> impl Iterator<Item = &'static str> + Clone {
    COUNTS.into_iter().chain(UNITS)
}

/// The most units of one kind that one call adds. No real call comes near a trillion; a provider that
/// reports more must not be able to break the sums. Cost is never bounded.
pub(crate) const UNITS_MAX: u64 = 1_000_000_000_000;

/// What ended calls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SpendSums {
    /// Calls that ended, voided ones included.
    pub calls: u64,
    /// Calls among them that cost nothing.
    pub voided: u64,
    /// Calls that settled on an estimate which nobody has corrected.
    pub estimated: u64,
    /// Calls that were forfeited and not corrected since.
    pub unconfirmed: u64,
    /// What they are charged.
    pub cost: Nanos,
    /// Units by kind; at most a trillion of each kind for one call.
    pub usage: Usage,
}

/// Sums, or changes of sums, as the columns hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) counts: [i64; COUNTS.len()],
    pub(crate) units: [i64; UNITS.len()],
}

impl Sums {
    /// Adds other sums.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), EventError> {
        self.combine(other, i64::checked_add)
    }

    /// Takes other sums away.
    pub(crate) fn sub(&mut self, other: &Self) -> Result<(), EventError> {
        self.combine(other, i64::checked_sub)
    }

    /// All columns in their order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = i64> {
        self.counts.into_iter().chain(self.units)
    }

    fn combine(&mut self, other: &Self, with: fn(i64, i64) -> Option<i64>) -> Result<(), EventError> {
        let mine = self.counts.iter_mut().chain(&mut self.units);
        for (mine, theirs) in mine.zip(other.columns()) {
            *mine = with(*mine, theirs).ok_or(EventError::OutOfRange)?;
        }
        Ok(())
    }
}

/// Units by kind as the columns hold them.
pub(crate) fn units(usage: &Usage) -> [i64; UNITS.len()] {
    let Usage {
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        input_audio,
        cache_read_audio,
        input_image,
        output,
        output_audio,
        output_image,
        reasoning,
        web_searches,
        file_searches,
        requests,
    } = *usage;
    [
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        input_audio,
        cache_read_audio,
        input_image,
        output,
        output_audio,
        output_image,
        reasoning,
        web_searches,
        file_searches,
        requests,
    ]
    .map(|units| units.min(UNITS_MAX).cast_signed())
}

/// The reverse of [`units`].
pub(crate) fn usage(units: [i64; UNITS.len()]) -> Usage {
    let [
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        input_audio,
        cache_read_audio,
        input_image,
        output,
        output_audio,
        output_image,
        reasoning,
        web_searches,
        file_searches,
        requests,
    ] = units.map(|units| u64::try_from(units).unwrap_or_default());
    Usage {
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        input_audio,
        cache_read_audio,
        input_image,
        output,
        output_audio,
        output_image,
        reasoning,
        web_searches,
        file_searches,
        requests,
    }
}

impl From<Sums> for SpendSums {
    fn from(sums: Sums) -> Self {
        let [calls, voided, estimated, unconfirmed, cost] = sums.counts;
        let count = |n: i64| u64::try_from(n).unwrap_or_default();
        Self {
            calls: count(calls),
            voided: count(voided),
            estimated: count(estimated),
            unconfirmed: count(unconfirmed),
            cost: Nanos::from_nanos(cost),
            usage: usage(sums.units),
        }
    }
}
