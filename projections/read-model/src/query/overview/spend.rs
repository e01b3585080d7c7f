//! Calls by day and job, over all keys.

use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, Timestamp};
use nemo_projections::budget::window_start;
use rusqlite::Connection;
use serde::Serialize;

use super::{all, first};
use crate::bucket::{DAY_SECS, from_secs, to_secs};
use crate::columns::Columns;
use crate::error::ReadModelError;

/// What calls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct JobSums {
    /// Calls that ended, voided ones included.
    pub calls: u64,
    /// Calls among them that cost nothing.
    pub voided: u64,
    /// What they are charged.
    pub cost: Nanos,
}

/// Calls of one job that were authorised on one UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobDay {
    /// The day's first moment.
    pub day: Timestamp,
    /// The job that their keys were labelled with; `None` for keys without one.
    pub job: Option<String>,
    /// What they come to.
    pub sums: JobSums,
}

/// Days of this month that are over, and as many of last month. Where last month was shorter, those days that
/// both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DaysCompared {
    /// How many days, from the first of the month on.
    pub days: u32,
    /// First moment of last month.
    pub last_month: Timestamp,
    /// This month's.
    pub this: JobSums,
    /// Last month's.
    pub last: JobSums,
}

const TOO_LARGE: ReadModelError = ReadModelError::InvalidQuery("what was spent is beyond 64 bits");

/// All calls of the days between two moments.
pub(super) fn sums(db: &Connection, from: i64, to: i64) -> Result<JobSums, ReadModelError> {
    const SQL: &str = "SELECT coalesce(sum(calls), 0), coalesce(sum(voided), 0), coalesce(sum(dollars), 0),
         coalesce(sum(nanos), 0) FROM job_days WHERE start >= ? AND start < ?";
    Ok(first(db, SQL, [from, to], read)?.unwrap_or_default())
}

pub(super) fn by_job(db: &Connection, from: i64) -> Result<Vec<JobDay>, ReadModelError> {
    const SQL: &str = "SELECT start, job, calls, voided, dollars, nanos FROM job_days WHERE start >= ?
         ORDER BY start, job";
    all(db, SQL, [from], |row| {
        let (day, job) = (from_secs(row.int()?), row.text()?);
        Ok(JobDay { day, job: Some(job).filter(|job| !job.is_empty()), sums: read(row)? })
    })
}

pub(super) fn compared(db: &Connection, now: Timestamp) -> Result<Option<DaysCompared>, ReadModelError> {
    let month = to_secs(window_start(WindowKind::Month, now));
    let last_month = window_start(WindowKind::Month, from_secs(month.saturating_sub(1)));
    let from = to_secs(last_month);
    let over = to_secs(window_start(WindowKind::Day, now)).saturating_sub(month);
    let length = over.min(month.saturating_sub(from));
    let days = u32::try_from(length / DAY_SECS).unwrap_or_default();
    if days == 0 {
        return Ok(None);
    }
    let this = sums(db, month, month.saturating_add(length))?;
    let last = sums(db, from, from.saturating_add(length))?;
    Ok(Some(DaysCompared { days, last_month, this, last }))
}

fn read(row: &mut Columns<'_>) -> Result<JobSums, ReadModelError> {
    let (calls, voided) = (row.count()?, row.count()?);
    let (dollars, nanos) = (row.int()?, row.int()?);
    let cost =
        dollars.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(nanos)).ok_or(TOO_LARGE)?;
    Ok(JobSums { calls, voided, cost: Nanos::from_nanos(cost) })
}
