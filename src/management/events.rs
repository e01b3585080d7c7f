//! All events of the ledger, in its order and byte for byte: what backups are made of.

use actix_web::HttpResponse;
use nemo_events::{Position, StreamName};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::history::{Event, unread};
use super::input::Query;
use crate::ledger::ExecuteError;

const EVENTS: usize = 100;
/// About a megabyte.
const EVENTS_MAX: usize = 1000;

/// `GET /api/ledger/events`
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerEvents {
    /// The position behind which to begin; from the ledger's first event without it.
    after: Option<u64>,
    /// Events on the page: 100 unless stated, at most 1,000.
    limit: Option<usize>,
    /// Understood and not needed: the ledger itself is read.
    #[serde(rename = "min_position")]
    _min_position: Option<u64>,
}

/// Events of all streams, in the ledger's order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerEventPage)]
pub(super) struct LedgerPage<'a> {
    /// The events.
    events: Vec<EventOfStream<'a>>,
    /// The `after` of the next page; `null` at the ledger's present end.
    next_after: Option<Position>,
}

/// An event with its stream.
#[derive(Debug, Serialize, ToSchema)]
struct EventOfStream<'a> {
    /// The stream.
    #[schema(value_type = String)]
    stream: &'a StreamName,
    #[serde(flatten)]
    event: Event<'a>,
}

/// Lists events behind a position, oldest first.
pub(super) async fn list(asked: Asked, Query(query): Query<LedgerEvents>) -> Reply {
    let limit = query.limit.unwrap_or(EVENTS).clamp(1, EVENTS_MAX);
    if query.after.is_none() {
        info!(actor = ?asked.context().actor, "a manager reads the ledger from its beginning");
    }
    let found = asked.app().ledger.store().read_all(query.after.map(Position), limit).await;
    let found = found.map_err(|error| unread(&asked, &error))?;
    let next_after = if found.len() < limit { None } else { found.last().map(|last| last.position) };
    let events = found
        .iter()
        .map(|record| Ok(EventOfStream { stream: &record.event.stream, event: Event::of(record)? }));
    let events = events.collect::<Result<_, serde_json::Error>>();
    let events = events.map_err(|error| asked.not_executed(&ExecuteError::Damaged(error.to_string())))?;
    Ok(HttpResponse::Ok().json(LedgerPage { events, next_after }))
}
