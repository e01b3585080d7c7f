//! What people and the master key did.

use nemo_events::{Actor, Position, Revision, StreamName, Timestamp};
use rusqlite::Connection;
use serde::Serialize;

use super::{all, first};
use crate::error::ReadModelError;

/// An event that somebody caused who manages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// Where in the log.
    pub position: Position,
    /// When.
    pub recorded_at: Timestamp,
    /// The stream: what it was done to.
    pub stream: StreamName,
    /// The event's number there.
    pub revision: Revision,
    /// The event's type.
    pub event_type: String,
    /// Who did it.
    pub actor: Actor,
    /// The present name of the key or org that it was done to.
    pub name: Option<String>,
}

pub(super) fn latest(db: &Connection, most: usize) -> Result<Vec<Deed>, ReadModelError> {
    const DEEDS: &str = "SELECT position, recorded_at, stream, revision, event_type, actor FROM deeds
         ORDER BY position DESC LIMIT ?";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut deeds = all(db, DEEDS, [most], |row| {
        Ok(Deed {
            position: row.position()?,
            recorded_at: row.time()?,
            stream: row.parsed()?,
            revision: row.revision()?,
            event_type: row.text()?,
            actor: row.json()?,
            name: None,
        })
    })?;
    for deed in &mut deeds {
        deed.name = name_of(db, &deed.stream)?;
    }
    Ok(deeds)
}

fn name_of(db: &Connection, stream: &StreamName) -> Result<Option<String>, ReadModelError> {
    const KEY: &str = "SELECT name FROM keys WHERE key_id = ?";
    const ORG: &str = "SELECT name FROM orgs WHERE org_id = ?";
    match stream {
        StreamName::Key(key) => first(db, KEY, [key.digits()], |row| row.text()),
        StreamName::Org(org) => first(db, ORG, [org.as_uuid().as_bytes()], |row| row.text()),
        StreamName::Operators | StreamName::Prices | StreamName::Gateway | StreamName::Checkpoints => {
            Ok(None)
        }
    }
}
