//! What a page that follows the ledger asks: how far the lists have got. Costs no query.

use actix_web::{HttpResponse, web};
use nemo_events::Position;
use serde::Serialize;

use crate::app::App;
use crate::auth::session::Viewer;

/// How far lists have got.
#[derive(Debug, Serialize)]
struct Live {
    /// The last event that they reflect.
    position: Option<Position>,
}

/// `GET /live`
pub(super) async fn position(_: Viewer, app: web::Data<App>) -> HttpResponse {
    HttpResponse::Ok().json(Live { position: app.read_side.progress().position })
}
