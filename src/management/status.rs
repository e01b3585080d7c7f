//! Where the ledger and its read side stand.

use actix_web::HttpResponse;
use nemo_events::{BootId, NodeId, Position, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{AskedAnyTime, Reply};
use super::input::{AsOf, Query};
use crate::app::App;
use crate::read_side::Progress;
use crate::store::Kind;

/// `GET /api/ledger`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerStatus)]
pub(crate) struct Status<'a> {
    /// The ledger's end: the position of its last event; none for an empty ledger, and while it cannot be told.
    pub(crate) position: Option<Position>,
    /// What keeps the ledger.
    pub(crate) store: Store<'a>,
    /// How far lists and reports reflect it.
    pub(crate) read_model: Progress,
    /// The node that answers.
    pub(crate) node: &'a NodeId,
    /// Its present start.
    pub(crate) boot: BootId,
    /// Program and version.
    pub(crate) program: &'static str,
    /// Its clock.
    pub(crate) now: Timestamp,
    /// Calls in flight on it.
    pub(crate) running_calls: usize,
}

/// What keeps the ledger, and whether it does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedgerStore)]
pub(crate) struct Store<'a> {
    /// Its kind.
    pub(crate) kind: Kind,
    /// The data directory, or the server's hosts.
    pub(crate) place: &'a str,
    /// Whether it answers.
    pub(crate) reachable: bool,
    /// Why calls are not taken just now.
    pub(crate) trouble: Option<String>,
}

/// Tells where the ledger stands, also while it cannot be reached.
pub(super) async fn ledger(AskedAnyTime(asked): AskedAnyTime, Query(_): Query<AsOf>) -> Reply {
    Ok(HttpResponse::Ok().json(gather(asked.app()).await))
}

/// Where the ledger stands.
pub(crate) async fn gather(app: &App) -> Status<'_> {
    let ledger = &app.ledger;
    let head = ledger.head().await;
    let (position, reachable) = (head.as_ref().ok().copied().flatten(), head.is_ok());
    let trouble = match app.lifecycle.why_no_calls() {
        Some(why) => Some(why.to_string()),
        None => head.err().or_else(|| ledger.store_trouble()),
    };
    Status {
        position,
        store: Store { kind: app.place.kind, place: &app.place.place, reachable, trouble },
        read_model: app.read_side.progress(),
        node: ledger.node(),
        boot: ledger.boot(),
        program: concat!("nemo ", env!("CARGO_PKG_VERSION")),
        now: ledger.now(),
        running_calls: ledger.running.count(),
    }
}
