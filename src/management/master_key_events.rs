//! What was done with one master key, from the log itself: every event that it caused, since a time.
//!
//! There is no index by actor, because nobody asks for one until a master key has leaked; so each request
//! goes through a bounded stretch of the log and says where to go on.

use actix_web::HttpResponse;
use nemo_events::{
    Actor, EventRecord, GatewayEvent, KeyId, MasterKeyId, Metadata, OrgId, Position, RequestId, Revision,
    StreamName, Timestamp,
};
use nemo_store::{MAX_PAGE, ReadError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::failures;
use super::input::Query;
use crate::error::FailureReply;
use crate::ledger::ExecuteError;

/// Pages of the log that one request goes through.
const LOG_PAGES: usize = 8;

/// `GET /api/master-keys/{id}/events`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeedQuery {
    /// Events recorded at this moment or later.
    since: Option<Timestamp>,
    /// Where the page before ended.
    cursor: Option<u64>,
}

/// What was done with a master key in a stretch of the log. A page may be empty though others follow.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deeds {
    /// The events, oldest first.
    events: Vec<Deed>,
    /// The `cursor` of the next page; `null` at the log's present end.
    next_cursor: Option<Position>,
    /// The last position that was looked at.
    looked_at: Option<Position>,
    /// The log's present end.
    position: Option<Position>,
}

/// An event that a master key caused.
#[derive(Debug, Serialize, ToSchema)]
struct Deed {
    /// Its place in the ledger.
    position: Position,
    /// When, by the clock of the node that decided it.
    recorded_at: Timestamp,
    /// The stream, by its name in the ledger.
    stream: String,
    /// Its number in the stream.
    revision: Revision,
    /// What happened.
    #[serde(rename = "type")]
    event_type: String,
    /// The version of its form.
    version: u16,
    /// The key that it was done to.
    key: Option<KeyId>,
    /// The org that it was done to.
    org: Option<OrgId>,
    /// The request that it came in by.
    request: Option<RequestId>,
    /// What it says, as it is stored.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// Lists what was done with a master key, oldest first.
pub(super) async fn list(asked: Asked, Query(query): Query<DeedQuery>) -> Reply {
    let id = master_key_id(&asked)?;
    let since = query.since.unwrap_or(Timestamp::EPOCH);
    let unread = |error: &ReadError| {
        asked.not_executed(&match error {
            ReadError::Unavailable(why) => ExecuteError::Unavailable(why.clone()),
            ReadError::Damaged { .. } => ExecuteError::Damaged(error.to_string()),
        })
    };
    let store = asked.app().ledger.store();
    let position = store.head().await.map_err(|error| unread(&error))?;
    let mut looked_at = match query.cursor {
        Some(cursor) => Some(Position(cursor)),
        None => beginning(&asked, since).await,
    };
    let (mut events, mut more) = (Vec::new(), true);
    for _ in 0..LOG_PAGES {
        let page = store.read_all(looked_at, MAX_PAGE).await.map_err(|error| unread(&error))?;
        more = page.len() == MAX_PAGE;
        looked_at = page.last().map(|record| record.position).or(looked_at);
        for record in &page {
            let deed = Deed::of(record, &id, since);
            events
                .extend(deed.map_err(|error| asked.not_executed(&ExecuteError::Damaged(error.to_string())))?);
        }
        if !more {
            break;
        }
    }
    let next_cursor = looked_at.filter(|_| more);
    Ok(HttpResponse::Ok().json(Deeds { events, next_cursor, looked_at, position }))
}

/// A position before which nothing was recorded since then; the log's start where nobody knows better.
/// Clocks of nodes may differ by some seconds, so a little more is looked at than the index says.
async fn beginning(asked: &Asked, since: Timestamp) -> Option<Position> {
    const CLOCKS_DIFFER_SECS: i64 = 60;
    let since = since.plus_secs(-CLOCKS_DIFFER_SECS);
    asked.app().read_side.read(move |reader| reader.position_at(since)).await.ok()?.value.after
}

impl Deed {
    fn of(
        record: &EventRecord,
        master_key: &MasterKeyId,
        since: Timestamp,
    ) -> Result<Option<Self>, serde_json::Error> {
        let event = &record.event;
        if event.recorded_at < since {
            return Ok(None);
        }
        let Metadata { actor, request, .. } = serde_json::from_slice(&event.metadata)?;
        if actor != (Actor::MasterKey { id: master_key.clone() }) {
            return Ok(None);
        }
        let (key, org) = match event.stream {
            StreamName::Key(key) => (Some(key), None),
            StreamName::Org(org) => (None, Some(org)),
            StreamName::Operators | StreamName::Prices | StreamName::Gateway | StreamName::Checkpoints => {
                (None, None)
            }
        };
        Ok(Some(Self {
            position: record.position,
            recorded_at: event.recorded_at,
            stream: event.stream.to_string(),
            revision: event.revision,
            event_type: event.event_type.to_string(),
            version: event.version,
            key,
            org,
            request,
            data: serde_json::from_slice(&event.data)?,
        }))
    }
}

/// The master key in the path, if the ledger has ever heard of it.
fn master_key_id(asked: &Asked) -> Result<MasterKeyId, FailureReply> {
    let known = asked.app().ledger.known_secrets().into_iter().find_map(|event| match event {
        GatewayEvent::MasterKeyInstalled(e) => {
            (e.master_key.as_str() == asked.path_id()).then_some(e.master_key)
        }
        _ => None,
    });
    known.ok_or_else(|| asked.refused(failures::no_such_master_key()))
}
