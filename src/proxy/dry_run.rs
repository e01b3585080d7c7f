//! `x-nemo-dry-run: true`: would this call be made, what would it hold, what stands in its way? Decided as the call
//! itself would be, at this moment; nothing is sent, held, counted or recorded.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderMap, HeaderName};
use nemo_events::key::{BoundBasis, CallAuthorized};
use nemo_events::{Nanos, PriceCardId};
use serde::Serialize;
use utoipa::ToSchema;

use super::admit::Asking;
use super::attempts::Plan;
use super::prepare::Prepared;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::Failure;
use crate::ledger::ExecuteError;

const HEADER: HeaderName = HeaderName::from_static("x-nemo-dry-run");
/// Its own kind, so that nobody takes it for a completion.
pub const MEDIA: &str = "application/vnd.nemo.dry-run+json";

/// What would become of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Whether it would be made.
    admitted: bool,
    /// The model as it was asked for.
    model: String,
    /// What it would hold and where it would go; `null` where it would not be made.
    call: Option<DryCall>,
    /// The providers that it would go to in turn, as long as each call before comes to nothing and costs nothing.
    providers: Vec<String>,
    /// What stands in its way; `null` where it would be made.
    refusal: Option<DryRefusal>,
}

/// A call as it would be authorised.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryCall {
    /// The most that it could cost, in dollars.
    hold: Nanos,
    /// The most tokens in.
    input_tokens: u64,
    /// How that bound was found: `bytes`, `tokenizer` or `context_window`.
    #[schema(value_type = String)]
    input_basis: BoundBasis,
    /// The most tokens out, all choices together.
    output_tokens: u64,
    /// The output limit that the provider would be sent.
    output_limit: u64,
    /// That limit is not the request's own.
    output_limit_set: bool,
    /// The provider.
    provider: String,
    /// The model's name there.
    provider_model: String,
    /// The price card by which it would be billed.
    #[schema(value_type = String)]
    price_card: PriceCardId,
}

/// A refusal as the call would meet it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryRefusal {
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: &'static str,
    /// What is wrong and what to do.
    message: String,
    /// The field that it is about.
    param: Option<String>,
    /// Seconds after which it may be another answer.
    retry_after_secs: Option<u64>,
}

/// Whether the request only wants to know.
///
/// # Errors
/// A header that says neither `true` nor `false`: nobody should pay for a typing error.
pub(super) fn is_wanted(headers: &HeaderMap) -> Result<bool, Failure> {
    match headers.get(&HEADER).map(|value| value.to_str().unwrap_or_default()) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            let why = "`x-nemo-dry-run` is `true` or `false`.";
            Err(Failure::invalid_request(why).about("x-nemo-dry-run"))
        }
    }
}

/// Answers what would become of the call.
///
/// # Errors
/// Where nobody can tell now.
pub(super) async fn answer(app: &App, caller: &Caller, prepared: &Prepared) -> Result<HttpResponse, Failure> {
    let plan = Plan::new(prepared.tries, 1, prepared.deadline_secs, Instant::now());
    let first = plan.attempt(prepared.call, Instant::now());
    let mut asking =
        Asking::of(app, caller, prepared, &first).await.map_err(|error| Failure::from(&error))?;
    let told = match asking.consider().await {
        Ok(event) => {
            let (model, call) = (event.model.clone(), Some(event.into()));
            DryRun { admitted: true, model, call, providers: providers(prepared), refusal: None }
        }
        Err(ExecuteError::Refused(refusal)) => DryRun {
            admitted: false,
            model: prepared.chat.model.clone(),
            call: None,
            providers: providers(prepared),
            refusal: Some(Failure::from(&refusal).into()),
        },
        Err(error) => return Err(Failure::from(&error)),
    };
    let body = serde_json::to_string(&told).map_err(|_| Failure::internal())?;
    Ok(HttpResponse::Ok().content_type(MEDIA).body(body))
}

fn providers(prepared: &Prepared) -> Vec<String> {
    let most = usize::try_from(prepared.tries.attempts_at_most).unwrap_or(usize::MAX);
    let routes = prepared.routes.iter().flatten().take(most);
    routes.map(|route| route.provider.name.clone()).collect()
}

impl From<CallAuthorized> for DryCall {
    fn from(event: CallAuthorized) -> Self {
        Self {
            hold: event.hold.amount,
            input_tokens: event.hold.input_tokens,
            input_basis: event.hold.basis,
            output_tokens: event.hold.output_tokens,
            output_limit: event.output_limit,
            output_limit_set: event.output_limit_set,
            provider: event.provider,
            provider_model: event.provider_model,
            price_card: event.price_card,
        }
    }
}

impl From<Failure> for DryRefusal {
    fn from(failure: Failure) -> Self {
        Self {
            status: failure.status.as_u16(),
            code: failure.code,
            message: failure.message,
            param: failure.param,
            retry_after_secs: failure.retry_after_secs,
        }
    }
}
