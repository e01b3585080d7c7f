//! Events to rows and back.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use nemo_events::{
    Digest, EventId, EventRecord, GatewayEvent, KeyEvent, OrgEvent, Position, PriceEvent, Revision, Sealed,
    Timestamp,
};
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};
use uuid::Uuid;

use super::connect::read_failed;
use crate::ReadError;

/// The columns that [`Decoder`] takes, in its order.
macro_rules! columns {
    () => {
        "position, stream, revision, id, type, version, recorded_at, data, metadata, prev_hash, hash"
    };
}
pub(super) use columns;

pub(super) const INSERT: &str =
    concat!("INSERT INTO events (", columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");

/// Runs [`INSERT`]. `stream` is the event's stream as text.
pub(super) fn insert(
    statement: &mut Statement<'_>,
    position: Position,
    stream: &str,
    event: &Sealed,
) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(1, signed(position.0))?;
    statement.raw_bind_parameter(2, stream)?;
    statement.raw_bind_parameter(3, signed(event.revision.0))?;
    statement.raw_bind_parameter(4, event.id.as_uuid().as_bytes().as_slice())?;
    statement.raw_bind_parameter(5, &*event.event_type)?;
    statement.raw_bind_parameter(6, event.version)?;
    statement.raw_bind_parameter(7, event.recorded_at.as_micros())?;
    bind_json(statement, 8, &event.data)?;
    bind_json(statement, 9, &event.metadata)?;
    statement.raw_bind_parameter(10, event.prev_hash.as_bytes().as_slice())?;
    statement.raw_bind_parameter(11, event.hash.as_bytes().as_slice())?;
    statement.raw_execute().map(|_| ())
}

fn bind_json(statement: &mut Statement<'_>, index: usize, bytes: &[u8]) -> rusqlite::Result<()> {
    match std::str::from_utf8(bytes) {
        Ok(text) => statement.raw_bind_parameter(index, text),
        Err(_) => statement.raw_bind_parameter(index, bytes),
    }
}

/// A number as SQLite's; what is beyond is beyond every row.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Makes records of rows. The bytes of many events share one allocation.
#[derive(Default)]
pub(super) struct Decoder {
    arena: BytesMut,
}

/// The room taken at a time; events of one page share it.
const ARENA: usize = 32 * 1024;

impl Decoder {
    /// The record in a row of [`columns`]. Its hash is not checked here.
    pub(super) fn record(&mut self, row: &Row<'_>) -> Result<EventRecord, ReadError> {
        let position =
            unsigned(row, 0).ok_or_else(|| damaged("an unknown position".to_owned(), "position"))?;
        self.event(row)
            .map(|event| EventRecord { position: Position(position), event })
            .map_err(|what| damaged(format!("position {position}"), what))
    }

    fn event(&mut self, row: &Row<'_>) -> Result<Sealed, &'static str> {
        let stream = row.get_ref(1).ok().and_then(|value| value.as_str().ok()?.parse().ok());
        let event_type = row.get_ref(4).map_err(|_| "type")?;
        Ok(Sealed {
            stream: stream.ok_or("stream")?,
            revision: Revision(unsigned(row, 2).ok_or("revision")?),
            id: EventId::from_uuid(Uuid::from_bytes(blob(row, 3).ok_or("id")?)),
            event_type: type_name(event_type.as_str().map_err(|_| "type")?),
            version: integer(row, 5).and_then(|version| version.try_into().ok()).ok_or("version")?,
            recorded_at: Timestamp::from_micros(integer(row, 6).ok_or("recorded_at")?),
            data: self.json(row, 7).ok_or("data")?,
            metadata: self.json(row, 8).ok_or("metadata")?,
            prev_hash: Digest::from_bytes(blob(row, 9).ok_or("prev_hash")?),
            hash: Digest::from_bytes(blob(row, 10).ok_or("hash")?),
        })
    }

    fn json(&mut self, row: &Row<'_>, column: usize) -> Option<Bytes> {
        let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = row.get_ref(column).ok()? else { return None };
        if self.arena.capacity() < bytes.len() {
            self.arena.reserve(bytes.len().max(ARENA));
        }
        self.arena.extend_from_slice(bytes);
        Some(self.arena.split().freeze())
    }
}

fn integer(row: &Row<'_>, column: usize) -> Option<i64> {
    row.get_ref(column).ok()?.as_i64().ok()
}

fn unsigned(row: &Row<'_>, column: usize) -> Option<u64> {
    integer(row, column)?.try_into().ok()
}

fn blob<const LEN: usize>(row: &Row<'_>, column: usize) -> Option<[u8; LEN]> {
    row.get_ref(column).ok()?.as_blob().ok()?.try_into().ok()
}

/// Known names are shared, others copied: what is stored is returned, known or not.
fn type_name(name: &str) -> Cow<'static, str> {
    static KNOWN: LazyLock<HashMap<&str, &'static str>> = LazyLock::new(|| {
        let types = [KeyEvent::TYPES, OrgEvent::TYPES, PriceEvent::TYPES, GatewayEvent::TYPES];
        types.into_iter().flatten().map(|(name, _)| (*name, *name)).collect()
    });
    KNOWN.get(name).map_or_else(|| Cow::Owned(name.to_owned()), |known| Cow::Borrowed(*known))
}

/// Runs a query and decodes its rows, one after the other.
pub(super) fn records(
    statement: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
    mut each: impl FnMut(EventRecord) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut decoder = Decoder::default();
    let mut rows = statement.query(parameters).map_err(read_failed)?;
    while let Some(row) = rows.next().map_err(read_failed)? {
        each(decoder.record(row)?)?;
    }
    Ok(())
}

fn damaged(place: String, column: &'static str) -> ReadError {
    ReadError::Damaged { place, what: format!("the column {column} is not what was written") }
}
