//! What is to be told outside, in the order of the log.

use nemo_events::{EventId, Position, Revision, StreamName, Timestamp};
use nemo_projections::notice::NoticeKind;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::{Answer, Reader, all, first};
use crate::error::ReadModelError;

/// An event that is worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Where it is in the log.
    pub position: Position,
    /// Its id.
    pub event: EventId,
    /// Its stream.
    pub stream: StreamName,
    /// Its number there.
    pub revision: Revision,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What it is about.
    pub kind: NoticeKind,
    /// What it says, as a JSON object.
    pub data: String,
}

/// What waits behind a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many events.
    pub events: u64,
    /// When the first of them was recorded.
    pub oldest: Option<Timestamp>,
}

impl Reader {
    /// The first events of some kinds behind a position, oldest first, and the position up to which there are no
    /// others.
    ///
    /// # Errors
    /// A failing database.
    pub fn outbox(
        &self,
        after: Option<Position>,
        kinds: &[NoticeKind],
        most: usize,
    ) -> Result<Answer<Vec<OutboxRow>>, ReadModelError> {
        let (wanted, mut values) = wanted(after, kinds);
        values.push(Value::Integer(i64::try_from(most).unwrap_or(i64::MAX)));
        let sql = format!(
            "SELECT position, event_id, stream, revision, recorded_at, kind, data FROM outbox
             WHERE {wanted} ORDER BY position LIMIT ?"
        );
        self.answer(|db| {
            all(db, &sql, params_from_iter(&values), |row| {
                Ok(OutboxRow {
                    position: row.position()?,
                    event: EventId::from_uuid(row.uuid()?),
                    stream: row.parsed()?,
                    revision: row.revision()?,
                    recorded_at: row.time()?,
                    kind: row.name()?,
                    data: row.text()?,
                })
            })
        })
    }

    /// How many events of some kinds wait behind a position, and since when.
    ///
    /// # Errors
    /// A failing database.
    pub fn outbox_backlog(
        &self,
        after: Option<Position>,
        kinds: &[NoticeKind],
    ) -> Result<Answer<Backlog>, ReadModelError> {
        let (wanted, values) = wanted(after, kinds);
        let sql = format!("SELECT count(*), min(recorded_at) FROM outbox WHERE {wanted}");
        self.answer(|db| {
            let backlog = first(db, &sql, params_from_iter(&values), |row| {
                Ok(Backlog { events: row.count()?, oldest: row.opt_time()? })
            })?;
            Ok(backlog.unwrap_or_default())
        })
    }
}

fn wanted(after: Option<Position>, kinds: &[NoticeKind]) -> (String, Vec<Value>) {
    let marks = vec!["?"; kinds.len()].join(", ");
    let behind = after.map_or(-1, |position| i64::try_from(position.0).unwrap_or(i64::MAX));
    let kinds = kinds.iter().map(|kind| Value::Text(kind.as_str().to_owned()));
    (
        format!("position > ? AND kind IN ({marks})"),
        std::iter::once(Value::Integer(behind)).chain(kinds).collect(),
    )
}
