//! From a time to a place in the log.

use nemo_events::time::MICROS_PER_SEC;
use nemo_events::{Position, Timestamp};
use rusqlite::Connection;
use serde::Serialize;

use super::{Answer, Reader, first};
use crate::bucket::MINUTE_SECS;
use crate::error::ReadModelError;

/// A stretch of the log in which the last event recorded at or before a time is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimeWindow {
    /// The last event recorded in any minute before the time's own; `None` where there is none.
    pub after: Option<Position>,
    /// The last event recorded in the time's own minute or before; `None` where there is none.
    pub until: Option<Position>,
}

impl Reader {
    /// Where the last event recorded at or before a time is. The index has one row a minute, so the caller
    /// finishes the search: read all events behind `after` up to and including `until`, and take the last
    /// one with `recorded_at <= time`; where there is none, it is the event at `after`, and without
    /// `after` nothing had been recorded. "Last" is by position: clocks of nodes may differ by seconds.
    ///
    /// # Errors
    /// A failing database.
    pub fn position_at(&self, time: Timestamp) -> Result<Answer<TimeWindow>, ReadModelError> {
        let minute = time.as_micros().div_euclid(MINUTE_SECS * MICROS_PER_SEC);
        self.answer(|db| {
            Ok(TimeWindow { after: last_before(db, minute)?, until: last_before(db, minute + 1)? })
        })
    }
}

fn last_before(db: &Connection, minute: i64) -> Result<Option<Position>, ReadModelError> {
    const SQL: &str = "SELECT position FROM times WHERE minute < ? ORDER BY minute DESC LIMIT 1";
    first(db, SQL, [minute], |row| row.position())
}
