//! How the gateway is doing, on one page and from one state of the tables. Nothing here goes through calls or
//! rollups of keys: sums are read by day and job, caps by their indexes; only counting keys goes through the
//! directory.

mod caps;
mod deeds;
mod spend;

use nemo_events::Timestamp;
use nemo_events::limits::WindowKind;
use nemo_projections::budget::window_start;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde::Serialize;

pub use caps::{CapAlert, CapAlerts, ClosestCap, OverCause};
pub use deeds::Deed;
pub use spend::{DaysCompared, JobDay, JobSums};

use super::{Answer, Reader, all, first};
use crate::bucket::{DAY_SECS, Size, from_secs, to_secs};
use crate::error::ReadModelError;

/// How much of an overview is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverviewQuery {
    /// The moment that months, windows and ages are counted from.
    pub now: Timestamp,
    /// Days by job, today included.
    pub days: u32,
    /// The most keys that are listed as close to a cap, and of each kind of alert.
    pub keys: usize,
    /// The most deeds that are listed.
    pub deeds: usize,
}

/// How the gateway is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Keys by what may be done with them.
    pub keys: KeyCounts,
    /// Calls of this month.
    pub month: JobSums,
    /// This month's days that are over, beside the same days of last month; `None` on the first day.
    pub compared: Option<DaysCompared>,
    /// Calls by day and job, in that order; days and jobs without calls are left out.
    pub days: Vec<JobDay>,
    /// First moment of the first of those days.
    pub days_from: Timestamp,
    /// This month's refusals by code, the most frequent first.
    pub refusals: Vec<(String, u64)>,
    /// Keys with caps that need a look.
    pub alerts: CapAlerts,
    /// The keys with the least room in proportion, each by its tightest cap.
    pub closest: Vec<ClosestCap>,
    /// What people and the master key did last, the latest first.
    pub deeds: Vec<Deed>,
}

/// Keys by what may be done with them. Each is counted once in the first four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct KeyCounts {
    /// May be used.
    pub active: u64,
    /// Refused until unblocked.
    pub blocked: u64,
    /// Neither blocked nor revoked, and past their end.
    pub expired: u64,
    /// Refused for good.
    pub revoked: u64,
    /// Active ones that are older than 30 days and made no call for as long.
    pub idle: u64,
}

/// Keys that made no call for so long are idle.
const IDLE_SECS: i64 = 30 * DAY_SECS;

impl Reader {
    /// Tells how the gateway is doing.
    ///
    /// # Errors
    /// A sum beyond 64 bits; a failing database.
    pub fn overview(&self, query: &OverviewQuery) -> Result<Answer<Overview>, ReadModelError> {
        let OverviewQuery { now, days, keys, deeds } = *query;
        let today = Size::Day.start_of(now);
        let month = Size::Month.start_of(now);
        let first_day = today.saturating_sub(i64::from(days.max(1) - 1) * DAY_SECS);
        self.answer(|db| {
            Ok(Overview {
                keys: key_counts(db, now)?,
                month: spend::sums(db, month, today.saturating_add(DAY_SECS))?,
                compared: spend::compared(db, now)?,
                days: spend::by_job(db, first_day)?,
                days_from: from_secs(first_day),
                refusals: refusals(db, month)?,
                alerts: caps::alerts(db, now, keys)?,
                closest: caps::closest(db, now, keys)?,
                deeds: deeds::latest(db, deeds)?,
            })
        })
    }
}

/// The caps in force at a moment whose level raises an alert, as a query of `key_no`, `kind`, `level`.
pub(super) fn alerting(now: Timestamp) -> (String, Vec<Value>) {
    let each = WindowKind::ALL.map(|kind| {
        let code = crate::caps::kind_code(kind);
        format!("SELECT key_no, kind, level FROM caps WHERE kind = {code} AND start = ? AND level > 0")
    });
    let starts = WindowKind::ALL.map(|kind| Value::from(to_secs(window_start(kind, now))));
    (each.join(" UNION ALL "), starts.to_vec())
}

fn key_counts(db: &Connection, now: Timestamp) -> Result<KeyCounts, ReadModelError> {
    const SQL: &str = "SELECT
        count(*) FILTER (WHERE status = 'active' AND NOT past),
        count(*) FILTER (WHERE status = 'blocked'),
        count(*) FILTER (WHERE status = 'active' AND past),
        count(*) FILTER (WHERE status = 'revoked'),
        count(*) FILTER (WHERE status = 'active' AND NOT past AND max(created_at, used) < ?2)
        FROM (SELECT k.status, k.created_at, coalesce(t.last_used_at, 0) used,
                  coalesce(k.expires_at <= ?1, 0) past
              FROM keys k JOIN key_totals t USING (key_no))";
    let idle_since = now.plus_secs(-IDLE_SECS);
    let counts = first(db, SQL, [now.as_micros(), idle_since.as_micros()], |row| {
        Ok(KeyCounts {
            active: row.count()?,
            blocked: row.count()?,
            expired: row.count()?,
            revoked: row.count()?,
            idle: row.count()?,
        })
    })?;
    Ok(counts.unwrap_or_default())
}

fn refusals(db: &Connection, from: i64) -> Result<Vec<(String, u64)>, ReadModelError> {
    const SQL: &str = "SELECT code, sum(count) FROM refusal_days WHERE start >= ? GROUP BY code
         ORDER BY 2 DESC, 1";
    all(db, SQL, [from], |row| Ok((row.text()?, row.count()?)))
}
