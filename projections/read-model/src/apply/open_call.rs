//! Calls that have not ended: kept in memory by the writer and in a small table for everybody else.

use std::collections::HashMap;

use nemo_events::{CallId, Timestamp};
use rusqlite::{CachedStatement, Connection, params};

use crate::bucket::Size;
use crate::columns::Columns;
use crate::error::ReadModelError;

/// A call that has not ended.
#[derive(Debug, Clone)]
pub(super) struct OpenCall {
    pub(super) key_no: i64,
    pub(super) authorized_revision: i64,
    pub(super) authorized_position: i64,
    pub(super) authorized_at: Timestamp,
    pub(super) boot_no: i64,
    pub(super) deadline: Timestamp,
    pub(super) hold: i64,
    pub(super) route_no: i64,
    pub(super) labels_revision: i64,
    /// The model as the caller named it, where that is not the route's.
    pub(super) asked_model: Option<Box<str>>,
    pub(super) streams: bool,
    /// JSON of the caller's claims.
    pub(super) claims: Option<Box<str>>,
    /// The table has it.
    pub(super) stored: bool,
}

impl OpenCall {
    /// Every open call.
    pub(super) fn load_all(db: &Connection) -> Result<HashMap<CallId, Self>, ReadModelError> {
        let mut query = db.prepare(
            "SELECT call_id, key_no, authorized_revision, authorized_position, authorized_at, boot_no,
             deadline, hold, route_no, labels_revision, asked_model, streams, claims FROM open_calls",
        )?;
        let mut rows = query.query([])?;
        let mut calls = HashMap::new();
        while let Some(row) = rows.next()? {
            let mut row = Columns::of(row);
            calls.insert(CallId::from_uuid(row.uuid()?), Self::read(&mut row)?);
        }
        Ok(calls)
    }

    fn read(row: &mut Columns<'_>) -> Result<Self, ReadModelError> {
        Ok(Self {
            key_no: row.int()?,
            authorized_revision: row.int()?,
            authorized_position: row.int()?,
            authorized_at: row.time()?,
            boot_no: row.int()?,
            deadline: row.time()?,
            hold: row.int()?,
            route_no: row.int()?,
            labels_revision: row.int()?,
            asked_model: row.opt_text()?.map(String::into_boxed_str),
            streams: row.flag()?,
            claims: row.opt_text()?.map(String::into_boxed_str),
            stored: true,
        })
    }

    /// First second of the quarter-hour that the call is booked in.
    pub(super) fn quarter(&self) -> i64 {
        Size::QuarterHour.start_of(self.authorized_at)
    }

    /// First second of the month that the call is booked in.
    pub(super) fn month(&self) -> i64 {
        Size::Month.start_of(self.authorized_at)
    }
}

/// Writes open calls.
pub(super) struct InsertOpen<'a>(CachedStatement<'a>);

impl<'a> InsertOpen<'a> {
    pub(super) fn into(db: &'a Connection) -> Result<Self, ReadModelError> {
        Ok(Self(db.prepare_cached(
            "INSERT INTO open_calls (call_id, key_no, authorized_revision, authorized_position, authorized_at,
             boot_no, deadline, hold, route_no, labels_revision, asked_model, streams, claims)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?))
    }

    pub(super) fn put(&mut self, call: CallId, open: &OpenCall) -> Result<(), ReadModelError> {
        self.0.execute(params![
            call.as_uuid().as_bytes(),
            open.key_no,
            open.authorized_revision,
            open.authorized_position,
            open.authorized_at.as_micros(),
            open.boot_no,
            open.deadline.as_micros(),
            open.hold,
            open.route_no,
            open.labels_revision,
            open.asked_model,
            open.streams,
            open.claims,
        ])?;
        Ok(())
    }
}
