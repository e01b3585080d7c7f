//! The outermost layer: every request has an id, every reply carries it as `x-request-id`, and a panic
//! becomes an error in the route's dialect instead of a dead connection.

use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};
use futures_util::FutureExt;
use nemo_events::RequestId;
use uuid::Uuid;

use crate::error::FailureReply;

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request an id, the reply the header, and catches panics.
///
/// # Errors
/// Those of the route, and `internal_error` for a panic.
pub async fn assign<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let id = RequestId::from_uuid(Uuid::now_v7());
    let path = request.path().to_owned();
    request.extensions_mut().insert(id);
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(reply) => {
            let mut reply = reply?;
            if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
                reply.headers_mut().insert(HEADER, value);
            }
            Ok(reply)
        }
        // The panic hook has logged where; what it said may hold anything.
        Err(_) => Err(FailureReply::panicked(&path, id.to_string()).into()),
    }
}

/// The request's id.
#[must_use]
pub fn of(request: &HttpRequest) -> Option<RequestId> {
    request.extensions().get::<RequestId>().copied()
}
