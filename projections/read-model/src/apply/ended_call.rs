//! Calls that have ended: one row each, and what each adds to the sums.

use std::collections::HashMap;
use std::sync::LazyLock;

use nemo_events::key::Evidence;
use nemo_events::{CallId, Timestamp};
use rusqlite::{Connection, ToSql, params, params_from_iter};

use super::open_call::OpenCall;
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::names::CallEnd;
use crate::sums::{Sums, UNITS};

/// A call that has ended.
#[derive(Debug, Clone)]
pub(super) struct EndedCall {
    /// Counts all ended calls.
    pub(super) call_no: i64,
    /// The key's call that ended before this one.
    pub(super) previous_no: Option<i64>,
    pub(super) open: OpenCall,
    pub(super) ended_revision: i64,
    pub(super) ended_position: i64,
    pub(super) ended_at: Timestamp,
    pub(super) end: CallEnd,
    pub(super) cost: i64,
    pub(super) units: [i64; UNITS.len()],
    pub(super) details: Details,
    pub(super) corrected_revision: Option<i64>,
}

/// What is kept of an end for lists, and never added up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Details {
    pub(super) status: Option<u16>,
    pub(super) first_byte_ms: Option<i64>,
    pub(super) duration_ms: Option<i64>,
    pub(super) over_hold: bool,
}

/// Calls that ended in a batch, and calls of earlier batches that it ended.
#[derive(Debug, Default)]
pub(super) struct EndedCalls {
    pub(super) calls: HashMap<CallId, EndedCall>,
    pub(super) no_longer_open: Vec<CallId>,
}

const COLUMNS: &str = "call_no, previous_no, key_no, authorized_revision, authorized_position, authorized_at, hold, route_no, \
     labels_revision, asked_model, streams, claims, ended_revision, ended_position, ended_at, outcome, cost, \
     status, first_byte_ms, duration_ms, over_hold, corrected_revision";

static PUT: LazyLock<String> = LazyLock::new(|| {
    let units = UNITS.join(", ");
    let values = vec!["?"; 23 + UNITS.len()].join(", ");
    format!("INSERT OR REPLACE INTO calls (call_id, {COLUMNS}, {units}) VALUES ({values})")
});

static GET: LazyLock<String> = LazyLock::new(|| {
    let units = UNITS.join(", ");
    format!("SELECT {COLUMNS}, {units} FROM calls WHERE call_id = ?")
});

impl EndedCall {
    /// What the call adds to the sums of its bucket.
    pub(super) fn sums(&self) -> Sums {
        let uncorrected = self.corrected_revision.is_none();
        let voided = matches!(self.end, CallEnd::Voided { .. });
        let estimated =
            uncorrected && matches!(self.end, CallEnd::Settled { evidence: Evidence::Estimated, .. });
        let unconfirmed = uncorrected && matches!(self.end, CallEnd::Forfeited { .. });
        let flags = [voided, estimated, unconfirmed].map(i64::from);
        let [voided, estimated, unconfirmed] = flags;
        Sums { counts: [1, voided, estimated, unconfirmed, self.cost], units: self.units }
    }

    /// A call that an earlier batch ended.
    pub(super) fn load(db: &Connection, call: CallId) -> Result<Option<Self>, ReadModelError> {
        let mut query = db.prepare_cached(&GET)?;
        let mut rows = query.query([call.as_uuid().as_bytes()])?;
        rows.next()?.map(|row| Self::read(&mut Columns::of(row))).transpose()
    }

    fn read(row: &mut Columns<'_>) -> Result<Self, ReadModelError> {
        let (call_no, previous_no) = (row.int()?, row.get()?);
        let open = OpenCall {
            key_no: row.int()?,
            authorized_revision: row.int()?,
            authorized_position: row.int()?,
            authorized_at: row.time()?,
            boot_no: 0,
            deadline: Timestamp::EPOCH,
            hold: row.int()?,
            route_no: row.int()?,
            labels_revision: row.int()?,
            asked_model: row.opt_text()?.map(String::into_boxed_str),
            streams: row.flag()?,
            claims: row.opt_text()?.map(String::into_boxed_str),
            stored: false,
        };
        Ok(Self {
            call_no,
            previous_no,
            open,
            ended_revision: row.int()?,
            ended_position: row.int()?,
            ended_at: row.time()?,
            end: CallEnd::from_code(row.int()?).ok_or(ReadModelError::Damaged("an end is not known"))?,
            cost: row.int()?,
            details: Details {
                status: row.get()?,
                first_byte_ms: row.get()?,
                duration_ms: row.get()?,
                over_hold: row.flag()?,
            },
            corrected_revision: row.get()?,
            units: row.ints()?,
        })
    }
}

impl EndedCalls {
    pub(super) fn flush(&self, db: &Connection) -> Result<(), ReadModelError> {
        let mut delete = db.prepare_cached("DELETE FROM open_calls WHERE call_id = ?")?;
        for call in &self.no_longer_open {
            delete.execute([call.as_uuid().as_bytes()])?;
        }
        // In the order of the table, so that its pages are touched once.
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_unstable_by_key(|(_, call)| call.call_no);
        let mut put = db.prepare_cached(&PUT)?;
        for (id, call) in calls {
            let open = &call.open;
            let columns = params![
                id.as_uuid().as_bytes(),
                call.call_no,
                call.previous_no,
                open.key_no,
                open.authorized_revision,
                open.authorized_position,
                open.authorized_at.as_micros(),
                open.hold,
                open.route_no,
                open.labels_revision,
                open.asked_model,
                open.streams,
                open.claims,
                call.ended_revision,
                call.ended_position,
                call.ended_at.as_micros(),
                call.end.code(),
                call.cost,
                call.details.status,
                call.details.first_byte_ms,
                call.details.duration_ms,
                call.details.over_hold,
                call.corrected_revision,
            ];
            let units = call.units.iter().map(|units| units as &dyn ToSql);
            put.execute(params_from_iter(columns.iter().copied().chain(units)))?;
        }
        Ok(())
    }
}
