//! Where the ledger and its read side stand.

use actix_web::HttpResponse;
use nemo_events::{BootId, NodeId, Position, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{Asked, Reply};
use super::input::{AsOf, Query};
use crate::ledger::ExecuteError;
use crate::read_side::Progress;

/// `GET /api/ledger`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerStatus)]
pub(super) struct Status<'a> {
    /// The ledger's end: the position of its last event.
    position: Option<Position>,
    /// How far lists and reports reflect it.
    read_model: Progress,
    /// The node that answers.
    node: &'a NodeId,
    /// Its present start.
    boot: BootId,
    /// Program and version.
    program: &'static str,
    /// Its clock.
    now: Timestamp,
    /// Calls in flight on it.
    running_calls: usize,
}

/// Tells where the ledger stands.
pub(super) async fn ledger(asked: Asked, Query(_): Query<AsOf>) -> Reply {
    let (ledger, read_model) = (&asked.app().ledger, asked.app().read_side.progress());
    let position = ledger.store().head().await;
    let position =
        position.map_err(|error| asked.not_executed(&ExecuteError::Unavailable(error.to_string())))?;
    Ok(HttpResponse::Ok().json(Status {
        position,
        read_model,
        node: ledger.node(),
        boot: ledger.boot(),
        program: concat!("nemo ", env!("CARGO_PKG_VERSION")),
        now: ledger.now(),
        running_calls: ledger.running.count(),
    }))
}
