//! From a body to what is asked of the ledger: scan, read the priced fields, find model and price.

use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::USER_AGENT;
use bytes::Bytes;
use nemo_events::key::Client;
use nemo_events::{CallId, RequestId};
use nemo_projections::hold::Ask;
use nemo_projections::refusal::PriceRefusal;
use nemo_projections::repeat::Once;
use uuid::Uuid;

use super::attempts::Attempt;
use super::scan::{BodyError, Scanned};
use super::{Tries, claims, once};
use crate::app::App;
use crate::auth::{address, caller::Caller};
use crate::catalogue::{Extra, has_price_for};
use crate::error::Failure;
use crate::providers::Route;
use crate::providers::openai::{ChatRequest, FieldError};
use crate::traces;

/// A request that was understood, not yet allowed.
pub(super) struct Prepared {
    /// Its first call.
    pub(super) call: CallId,
    pub(super) request: RequestId,
    pub(super) body: Scanned,
    pub(super) chat: ChatRequest,
    /// Where it may go, in turn: at least one; or why nowhere.
    pub(super) routes: Result<Vec<Route>, PriceRefusal>,
    /// Which of them comes first in the configuration.
    preferred: usize,
    pub(super) ask: Ask,
    pub(super) client: Client,
    pub(super) trace: traces::Caller,
    /// How long the request may take in all, from its first call on.
    pub(super) deadline_secs: u32,
    /// How long it may wait for money that others hold.
    pub(super) held_wait: Duration,
    /// After how many lost calls in a row its provider gets no more.
    pub(super) unknown_ends_at_most: u32,
    /// How often it may be tried.
    pub(super) tries: Tries,
    /// What the caller says that it is for.
    pub(super) claims: Vec<String>,
    /// With an idempotency key, what the request is known by.
    pub(super) once: Vec<Once>,
}

/// Reads a chat completion request. What is wrong with the model or its price is kept for the decision,
/// where guards that come before it may refuse first.
pub(super) fn chat(
    app: &App,
    request: &HttpRequest,
    caller: &Caller,
    body: Bytes,
) -> Result<Prepared, Failure> {
    let terms = app.terms();
    let once = once::of(request.headers(), &body, caller.key(), app.secrets.now().peppers())?;
    let body = Scanned::parse(body).map_err(|error| body_failure(&error))?;
    let chat = ChatRequest::read(&body, &terms.inert_fields).map_err(|error| field_failure(&error))?;
    #[cfg(feature = "failpoints")]
    crate::failpoint::panic_with(&chat.model);
    let ask = Ask {
        input_tokens: chat.input.tokens,
        basis: chat.input.basis,
        output_limit: chat.output_limit,
        choices: chat.choices,
    };
    let user_agent = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
    let routes = terms.providers.routes(&chat.model, app.ledger.now());
    let mut routes = routes.and_then(|routes| priceable(routes, &chat));
    let preferred = routes
        .as_mut()
        .map_or(0, |routes| app.rests.behind(routes, |route| route.provider.name.as_str(), Instant::now()));
    Ok(Prepared {
        call: CallId::from_uuid(Uuid::now_v7()),
        request: crate::request_id::of(request).ok_or_else(Failure::internal)?,
        routes,
        preferred,
        client: address::client(caller.address(), user_agent, app.config.server.record_clients),
        trace: traces::Caller::of(request.headers()),
        deadline_secs: terms.deadline_secs,
        held_wait: terms.held_wait,
        unknown_ends_at_most: terms.unknown_ends_at_most,
        tries: terms.tries,
        once,
        claims: claims::of(request.headers(), &body),
        body,
        chat,
        ask,
    })
}

/// Audio is priced apart, or not at all: a card without a price for it would bill it as text.
fn priceable(mut routes: Vec<Route>, chat: &ChatRequest) -> Result<Vec<Route>, PriceRefusal> {
    routes.retain(|route| !chat.input.audio || has_price_for(&route.card, Extra::InputAudio));
    if routes.is_empty() {
        return Err(PriceRefusal::NotPriceable("the model has no price for audio".to_owned()));
    }
    Ok(routes)
}

impl Prepared {
    /// Whether a refusal of this attempt is the request's: what stands in the way at the preferred provider is told, any
    /// other is only passed over.
    pub(super) const fn stands(&self, attempt: &Attempt) -> bool {
        attempt.number == 1 && attempt.route == self.preferred
    }

    /// Where an attempt goes; or why nobody serves the model.
    pub(super) fn route(&self, place: usize) -> Result<&Route, PriceRefusal> {
        let routes = self.routes.as_ref().map_err(Clone::clone)?;
        routes.get(place).ok_or(PriceRefusal::ModelNotFound)
    }
}

fn body_failure(error: &BodyError) -> Failure {
    let failure = Failure::invalid_request(sentence(error));
    match error {
        BodyError::DuplicateKey { path } | BodyError::NotUnicode { path } | BodyError::TooDeep { path } => {
            failure.about(path.clone())
        }
        BodyError::NotUtf8 | BodyError::NotJson(_) | BodyError::NotAnObject => failure,
    }
}

fn field_failure(error: &FieldError) -> Failure {
    let failure = match error {
        FieldError::UnknownField { name } => return Failure::unknown_field(name),
        FieldError::NotPriceable { .. } => {
            Failure::new(StatusCode::BAD_REQUEST, "request_not_priceable", sentence(error))
        }
        FieldError::Invalid { .. } => Failure::invalid_request(sentence(error)),
    };
    failure.about(error.field())
}

/// An error's fragment as a sentence.
fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
