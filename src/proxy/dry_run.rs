//! `x-nemo-dry-run: true`: would this call be made, what would it hold, what stands in its way? Decided as the call
//! itself would be, at this moment; nothing is sent, held, counted or recorded.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderMap, HeaderName};
use nemo_events::key::{BoundBasis, CallAuthorized};
use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, PriceCardId, Timestamp};
use nemo_projections::Refusal;
use nemo_projections::decide::{Priced, Size};
use nemo_projections::refusal::{BudgetOwner, BudgetShort};
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
    /// What it would hold and where it would go, whether or not it would be made; `null` where that has no answer: its
    /// model has no price, say.
    call: Option<DryCall>,
    /// The providers that it would go to in turn, as long as each call before comes to nothing and costs nothing.
    providers: Vec<String>,
    /// What stands in its way first; `null` where it would be made.
    refusal: Option<DryRefusal>,
    /// Whatever else stands in its way, in the order in which it would be met.
    further_refusals: Vec<DryRefusal>,
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
    /// The budget that is short, where it is one.
    budget: Option<DryBudget>,
}

/// A budget that a call does not fit into.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DryBudget {
    /// Whose it is: `key` or `org`.
    of: &'static str,
    /// Which windows it counts.
    window: WindowKind,
    /// The cap, in dollars.
    limit: Nanos,
    /// Charged calls.
    spent: Nanos,
    /// Holds of open calls.
    held: Nanos,
    /// How much is missing for the hold. Zero where only a request without an output limit of its own does not
    /// fit: it gets no more than what a quarter of what is free pays for.
    short: Nanos,
    /// When the window ends; `null` for the total.
    resets_at: Option<Timestamp>,
    /// The largest output limit that would fit now; `null` where none does.
    output_limit_that_fits: Option<u64>,
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
            let (providers, further_refusals) = (providers(prepared), Vec::new());
            DryRun { admitted: true, model, call, providers, refusal: None, further_refusals }
        }
        Err(ExecuteError::Refused(refusal)) => refused(prepared, &asking, &refusal).await?,
        Err(error) => return Err(Failure::from(&error)),
    };
    let body = serde_json::to_string(&told).map_err(|_| Failure::internal())?;
    Ok(HttpResponse::Ok().content_type(MEDIA).body(body))
}

async fn refused(prepared: &Prepared, asking: &Asking<'_>, refusal: &Refusal) -> Result<DryRun, Failure> {
    let outlook = asking.outlook().await.map_err(|error| Failure::from(&error))?;
    let (size, obstacles) = outlook.map(|outlook| (outlook.size, outlook.obstacles)).unwrap_or_default();
    let further = obstacles
        .iter()
        .filter(|obstacle| obstacle.code() != refusal.code() || is_another(obstacle, refusal));
    Ok(DryRun {
        admitted: false,
        model: prepared.chat.model.clone(),
        call: size.zip(asking.priced()).map(|(size, priced)| DryCall::of(size, priced, prepared)),
        providers: providers(prepared),
        refusal: Some(refusal.into()),
        further_refusals: further.map(DryRefusal::from).collect(),
    })
}

/// Of budgets several may be short. What else has the same code is the same, looked at a moment later.
fn is_another(obstacle: &Refusal, refusal: &Refusal) -> bool {
    let budget = |refusal: &Refusal| short(refusal).map(|short| (short.of, short.window));
    budget(obstacle) != budget(refusal)
}

const fn short(refusal: &Refusal) -> Option<&BudgetShort> {
    match refusal {
        Refusal::BudgetExceeded(short) | Refusal::BudgetHeld(short) => Some(short),
        _ => None,
    }
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

impl DryCall {
    fn of(size: Size, priced: &Priced, prepared: &Prepared) -> Self {
        let Size { output_limit, hold } = size;
        Self {
            hold: hold.amount,
            input_tokens: hold.input_tokens,
            input_basis: hold.basis,
            output_tokens: hold.output_tokens,
            output_limit,
            output_limit_set: prepared.ask.output_limit != Some(output_limit),
            provider: priced.provider.clone(),
            provider_model: priced.provider_model.clone(),
            price_card: priced.card_id,
        }
    }
}

impl From<&Refusal> for DryRefusal {
    fn from(refusal: &Refusal) -> Self {
        let failure = Failure::from(refusal);
        Self {
            status: failure.status.as_u16(),
            code: failure.code,
            message: failure.message,
            param: failure.param,
            retry_after_secs: failure.retry_after_secs,
            budget: short(refusal).map(DryBudget::from),
        }
    }
}

impl From<&BudgetShort> for DryBudget {
    fn from(short: &BudgetShort) -> Self {
        let used = short.settled.checked_add(short.held).unwrap_or(Nanos::MAX);
        Self {
            of: match short.of {
                BudgetOwner::Key => "key",
                BudgetOwner::Org => "org",
            },
            window: short.window,
            limit: short.limit,
            spent: short.settled,
            held: short.held,
            short: short.needed.minus_or_zero(short.limit.minus_or_zero(used)),
            resets_at: short.resets_at,
            output_limit_that_fits: short.output_limit_that_fits,
        }
    }
}
