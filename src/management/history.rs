//! What happened to a key: its calls, from the read model, and its events, from the ledger itself.

use actix_web::HttpResponse;
use nemo_events::{Digest, EventId, EventRecord, KeyEvent, Position, Revision, Timestamp};
use nemo_read_model::{Answer, Cursor, Page};
use nemo_store::ReadError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::input::Query;
use super::shapes::CallRow;
use crate::audit::{self, ActivityFilter, Look};
use crate::error::{Failure, FailureReply};
use crate::ledger::ExecuteError;

const EVENTS: usize = 100;
const EVENTS_MAX: usize = 500;

/// `GET /api/keys/{id}/calls`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallQuery {
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Rows on the page: 50 unless stated, at most 200.
    limit: Option<usize>,
    /// Waits until lists reflect this position: that of a write whose effect must be seen.
    min_position: Option<u64>,
}

/// `GET /api/keys/{id}/events`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    /// The revision to begin with: the first one unless stated, or, backwards, the last one.
    from: Option<u64>,
    /// `forwards` unless stated: to later events.
    #[serde(default)]
    order: EventOrder,
    /// Only events of this type, such as `KeyLimitsSet`.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Only events of calls of this model, by the name that callers use or the provider's.
    model: Option<String>,
    /// Only events of calls from this address, and refusals of it.
    address: Option<String>,
    /// Only events of the calls that this request made, by its `x-request-id`: of each attempt at it.
    request: Option<String>,
    /// Only refusals.
    #[serde(default)]
    refused: bool,
    /// Events on the page: 100 unless stated, at most 500.
    limit: Option<usize>,
    /// Understood and not needed: the ledger itself is read.
    #[serde(rename = "min_position")]
    _min_position: Option<u64>,
}

/// Which way events are listed.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventOrder {
    /// Oldest first.
    #[default]
    Forwards,
    /// Newest first.
    Backwards,
}

/// A page of a key's calls, as of `position`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallPage {
    /// The rows.
    calls: Vec<CallRow>,
    /// The `cursor` of the next page; `null` on the last one.
    next_cursor: Option<Cursor>,
    /// The last event that the page reflects.
    position: Option<Position>,
}

/// Events of one stream, in the order that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage<'a> {
    /// The events.
    events: Vec<Event<'a>>,
    /// The `from` of the next page; `null` at the stream's present end or, backwards, at its beginning.
    next_from: Option<Revision>,
}

/// An event as it is stored: `data` and `metadata` byte for byte, so that the hash can be recomputed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Event<'a> {
    /// Its number in the stream, from 0.
    revision: Revision,
    /// What happened.
    #[serde(rename = "type")]
    event_type: &'a str,
    /// The version of its form.
    version: u16,
    /// When, by the clock of the node that decided it.
    recorded_at: Timestamp,
    /// The event's own id.
    id: EventId,
    /// Its place in the ledger.
    position: Position,
    /// What it says.
    #[schema(value_type = Object)]
    data: &'a RawValue,
    /// Who did it, in which request, on which node.
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
    /// The hash of the stream's event before it; zeros for the first.
    prev_hash: Digest,
    /// The hash of all of this.
    hash: Digest,
}

/// Lists a key's calls, open ones included, newest first.
pub(super) async fn calls(asked: Asked, Query(query): Query<CallQuery>) -> Reply {
    let (id, page) = (asked.key_id()?, asked.page(query.cursor.as_deref(), query.limit)?);
    asked.existing_key().await?;
    let found = asked.read(query.min_position, move |reader| reader.calls_of_key(id, &page)).await?;
    let Answer { value: Page { rows, next: next_cursor }, position } = found;
    let calls = rows.into_iter().map(CallRow::from).collect();
    Ok(HttpResponse::Ok().json(CallPage { calls, next_cursor, position }))
}

/// Lists a key's events from a revision on, in either direction.
pub(super) async fn events(asked: Asked, Query(query): Query<EventQuery>) -> Reply {
    let id = asked.existing_key().await?;
    let limit = query.limit.unwrap_or(EVENTS).clamp(1, EVENTS_MAX);
    let from = query.from.map(Revision);
    let look = match query.order {
        EventOrder::Forwards => Look::Forwards(from.unwrap_or(Revision::FIRST)),
        EventOrder::Backwards => Look::Backwards(from),
    };
    let filter = query.filter().map_err(|failure| asked.refused(failure))?;
    let found = audit::activity(asked.app(), id, &filter, look, limit).await;
    let found = found.map_err(|error| asked.not_executed(&error))?;
    let events = found.entries.iter().map(|entry| Event::of(&entry.record)).collect::<Result<_, _>>();
    let events = events.map_err(|error| asked.not_executed(&ExecuteError::Damaged(error.to_string())))?;
    Ok(HttpResponse::Ok().json(EventPage { events, next_from: found.next }))
}

impl EventQuery {
    fn filter(self) -> Result<ActivityFilter, Failure> {
        let Self { event_type, model, address, request, refused, .. } = self;
        let request = request.map(|text| {
            let why = "That is no id of a request: `x-request-id` of an answer.";
            text.parse().map_err(|_| Failure::invalid_request(why).about("request"))
        });
        let known = |wanted: &String| KeyEvent::TYPES.iter().any(|(name, _)| name == wanted);
        if event_type.as_ref().is_some_and(|wanted| !known(wanted)) {
            return Err(Failure::invalid_request("No event of a key is of that type.").about("type"));
        }
        Ok(ActivityFilter { event_type, model, address, request: request.transpose()?, refused })
    }
}

/// A failed read of the ledger as a reply.
pub(super) fn unread(asked: &Asked, error: &ReadError) -> FailureReply {
    asked.not_executed(&match error {
        ReadError::Unavailable(why) => ExecuteError::Unavailable(why.clone()),
        ReadError::Damaged { .. } => ExecuteError::Damaged(error.to_string()),
    })
}

impl<'a> Event<'a> {
    pub(super) fn of(record: &'a EventRecord) -> Result<Self, serde_json::Error> {
        let event = &record.event;
        Ok(Self {
            revision: event.revision,
            event_type: &event.event_type,
            version: event.version,
            recorded_at: event.recorded_at,
            id: event.id,
            position: record.position,
            data: serde_json::from_slice(&event.data)?,
            metadata: serde_json::from_slice(&event.metadata)?,
            prev_hash: event.prev_hash,
            hash: event.hash,
        })
    }
}
