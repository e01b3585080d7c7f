//! Where the ledger and its read side stand.

use actix_web::HttpResponse;
use nemo_events::{BootId, NodeId, Position, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{AskedAnyTime, Reply};
use super::input::{AsOf, Query};
use crate::read_side::Progress;
use crate::store::Kind;

/// `GET /api/ledger`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerStatus)]
pub(super) struct Status<'a> {
    /// The ledger's end: the position of its last event; none for an empty ledger, and while it cannot be told.
    position: Option<Position>,
    /// What keeps the ledger.
    store: Store<'a>,
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

/// What keeps the ledger, and whether it does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerStore)]
pub(super) struct Store<'a> {
    /// Its kind.
    kind: Kind,
    /// The data directory, or the server's hosts.
    place: &'a str,
    /// Whether it answers.
    reachable: bool,
    /// Why calls are not taken just now.
    trouble: Option<String>,
}

/// Tells where the ledger stands, also while it cannot be reached.
pub(super) async fn ledger(AskedAnyTime(asked): AskedAnyTime, Query(_): Query<AsOf>) -> Reply {
    let (app, ledger) = (asked.app(), &asked.app().ledger);
    let head = ledger.head().await;
    let (position, reachable) = (head.as_ref().ok().copied().flatten(), head.is_ok());
    let trouble = match app.lifecycle.why_no_calls() {
        Some(why) => Some(why.to_string()),
        None => head.err().or_else(|| ledger.store_trouble()),
    };
    Ok(HttpResponse::Ok().json(Status {
        position,
        store: Store { kind: app.place.kind, place: &app.place.place, reachable, trouble },
        read_model: app.read_side.progress(),
        node: ledger.node(),
        boot: ledger.boot(),
        program: concat!("nemo ", env!("CARGO_PKG_VERSION")),
        now: ledger.now(),
        running_calls: ledger.running.count(),
    }))
}
