//! Sums by UTC day and job over all keys, so that an overview reads as many rows as there are jobs, not keys.
//!
//! A call counts under the job of the labels that it was authorised under. Dollars and nano-dollars are added
//! up apart: what all keys spend together may be more than 64 bits of nano-dollars hold, and must not stop
//! anything that is about one key.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, params};

use super::open_call::OpenCall;
use crate::bucket::Size;
use crate::error::{EventError, ReadModelError};
use crate::sums::Sums;

const NANOS_PER_DOLLAR: i64 = 1_000_000_000;

/// What a batch adds: by day, key and revision of its labels.
#[derive(Debug, Default)]
pub(super) struct JobDays(HashMap<(i64, i64, i64), JobSums>);

#[derive(Debug, Default, Clone, Copy)]
struct JobSums {
    calls: i64,
    voided: i64,
    dollars: i64,
    nanos: i64,
}

impl JobDays {
    /// Adds to the day that the call was authorised in.
    pub(super) fn add(&mut self, call: &OpenCall, sums: &Sums) -> Result<(), EventError> {
        let [calls, voided, _estimated, _unconfirmed, cost] = sums.counts;
        let day = Size::Day.start_of(call.authorized_at);
        // Split before it is added up, so that it does not matter how events are batched.
        let (dollars, nanos) = (cost.div_euclid(NANOS_PER_DOLLAR), cost.rem_euclid(NANOS_PER_DOLLAR));
        let more = JobSums { calls, voided, dollars, nanos };
        self.0.entry((day, call.key_no, call.labels_revision)).or_default().add(more)
    }

    pub(super) fn flush(self, db: &Connection) -> Result<(), ReadModelError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut job =
            db.prepare_cached("SELECT job FROM label_revisions WHERE key_no = ? AND revision = ?")?;
        let mut days: BTreeMap<(i64, String), JobSums> = BTreeMap::new();
        for ((day, key_no, labels_revision), sums) in self.0 {
            let job: Option<String> = job.query_row([key_no, labels_revision], |row| row.get(0))?;
            let too_large = |_| ReadModelError::Damaged("the sums of a job are out of range");
            days.entry((day, job.unwrap_or_default())).or_default().add(sums).map_err(too_large)?;
        }
        let mut add = db.prepare_cached(
            "INSERT INTO job_days (start, job, calls, voided, dollars, nanos) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, voided = voided + excluded.voided,
             dollars = dollars + excluded.dollars, nanos = nanos + excluded.nanos",
        )?;
        for ((day, job), JobSums { calls, voided, dollars, nanos }) in days {
            add.execute(params![day, job, calls, voided, dollars, nanos])?;
        }
        Ok(())
    }
}

impl JobSums {
    fn add(&mut self, more: Self) -> Result<(), EventError> {
        let sum = |a: i64, b: i64| a.checked_add(b).ok_or(EventError::OutOfRange);
        *self = Self {
            calls: sum(self.calls, more.calls)?,
            voided: sum(self.voided, more.voided)?,
            dollars: sum(self.dollars, more.dollars)?,
            nanos: sum(self.nanos, more.nanos)?,
        };
        Ok(())
    }
}
