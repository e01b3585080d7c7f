//! Whether the process lives, and whether it can take calls.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::app::App;

/// `GET /healthz`: the process answers.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /readyz`: new calls are taken. 503 while the node stops or its store does not answer.
pub async fn ready(app: web::Data<App>) -> HttpResponse {
    let reason = if app.lifecycle.is_stopping() {
        Some("stopping".to_owned())
    } else {
        app.ledger.unready_reason().await
    };
    match reason {
        None => HttpResponse::Ok().json(json!({ "status": "ready" })),
        Some(reason) => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": "not_ready", "reason": reason }))
        }
    }
}
