//! The inference proxy: authenticate → authorize → forward → meter → settle.
//!
//! The order is in the types. A handler needs a [`Caller`] (authenticated); [`admit`] turns it into an
//! `Authorized`, which exists only behind a durable event; `forward` takes that by value and gives a
//! [`Metered`](metered::Metered), whose only way on is `settle`. All of it from `admit` on runs in a
//! task of its own ([`request::run`]): the client's connection only receives, so that hanging up never
//! drops a bill. A request makes one call after the other ([`attempts`]) as long as each came to nothing, cost
//! nothing, and the client has seen nothing of it.

mod admit;
mod attempts;
pub mod breaker;
mod call;
mod claims;
mod client;
mod dry_run;
mod estimate;
mod forward;
mod headers;
mod metered;
mod once;
mod prepare;
mod provider_error;
mod request;
pub mod rests;
pub mod scan;
pub mod sse;
mod stream;
mod waiting;
mod whole;

pub use attempts::Tries;
pub use dry_run::{DryRun, MEDIA as DRY_RUN};

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;

use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::{Failure, FailureReply};

/// `POST /v1/chat/completions`
///
/// # Errors
/// Everything that stands between a request and an answer, in OpenAI's dialect.
pub async fn chat_completions(
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
) -> Result<HttpResponse, FailureReply> {
    let refuse = |failure| FailureReply::to(&request, failure);
    let body = read_body(payload, app.config.server.body_max_bytes).await.map_err(refuse)?;
    let prepared = prepare::chat(&app, &request, &caller, body).map_err(refuse)?;
    if dry_run::is_wanted(request.headers()).map_err(refuse)? {
        return dry_run::answer(&app, &caller, &prepared).await.map_err(refuse);
    }
    let (ours, theirs) = client::pair();
    app.ledger.spawn(request::run(app.clone().into_inner(), caller, prepared, ours));
    theirs.reply(&request).await
}

/// Reads a body up to a limit.
async fn read_body(payload: web::Payload, max_bytes: usize) -> Result<Bytes, Failure> {
    match payload.to_bytes_limited(max_bytes).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Failure::invalid_request("The body could not be read to its end.")),
        Err(_) => Err(Failure::request_too_large(max_bytes)),
    }
}
