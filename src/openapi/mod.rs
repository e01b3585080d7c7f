//! The OpenAPI document, made of the same table as the router: what is served is described, and nothing else.
//!
//! - A [`Route`] cannot be made without saying what it does and what it answers, and [`mount`] is the only way
//!   into the router.
//! - Shapes are derived from the Rust types that are read and written, so they cannot lag behind.
//! - Codes of errors, their statuses and meanings come from `docs/errors.md`.
//!
//! Where is …? The tables: `src/routes.rs`, `src/management/routes.rs`. From a table to the document:
//! `document.rs`; its answers in `answers.rs`. The example of each route: `example.rs`.

mod answers;
pub mod chat;
mod document;
pub mod errors;
mod example;
mod introduction;
mod mount;
mod parameters;
mod route;
mod shapes;

use std::sync::LazyLock;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use tracing::error;
use utoipa::openapi::OpenApi;

pub use self::document::document_of;
pub use self::example::curl;
pub use self::mount::mount;
pub use self::route::{Group, Method, Power, Reply, Route, delete, get, patch, post, put};
use crate::error::{Failure, FailureReply};

/// The document of this program.
pub static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| document_of(&crate::routes::all()));

static JSON: LazyLock<Option<Bytes>> = LazyLock::new(|| match DOCUMENT.to_json() {
    Ok(json) => Some(Bytes::from(json)),
    Err(error) => {
        error!(%error, "the OpenAPI document cannot be written");
        None
    }
});

/// `GET /openapi.json`
///
/// # Errors
/// Where the document cannot be written, which a test rules out.
pub async fn json(request: HttpRequest) -> Result<HttpResponse, FailureReply> {
    let json = JSON.clone().ok_or_else(|| FailureReply::to(&request, Failure::internal()))?;
    Ok(HttpResponse::Ok().content_type("application/json").body(json))
}
