//! Whether the process lives, and whether it can take calls.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// How the node is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`, `ready` or `not_ready`.
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// `GET /healthz`: the process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok", reason: None })
}

/// `GET /readyz`: new calls are taken. 503 while the node starts or stops, or its store does not answer.
pub async fn ready(app: web::Data<App>) -> HttpResponse {
    let reason = match app.lifecycle.why_no_calls() {
        Some(why) => Some(why.to_string()),
        None => app.ledger.unready_reason().await,
    };
    match reason {
        None => HttpResponse::Ok().json(Health { status: "ready", reason: None }),
        reason => HttpResponse::ServiceUnavailable().json(Health { status: "not_ready", reason }),
    }
}
