//! What a virtual key's holder may ask besides calls: which models, and what the key has left.

use actix_web::{HttpRequest, HttpResponse, web};
use nemo_events::limits::{Budget, Endpoint, WindowKind};
use nemo_events::{CallId, KeyId, Nanos, Revision, Timestamp};
use nemo_projections::KeyState;
use nemo_projections::budget::window_end;
use nemo_projections::decide::model_matches;
use nemo_projections::rate::Bucket;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::{Failure, FailureReply};
use crate::providers::{ModelEntry, Route};

/// Models, as OpenAI lists them.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// Always `list`.
    object: &'static str,
    /// By provider, then by name.
    data: Vec<ListedModel>,
}

/// A model, as OpenAI lists it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ListedModel {
    /// The name to ask for.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// Not known: 0.
    created: u64,
    /// The provider that serves it.
    owned_by: String,
}

/// What the holder of a key asks besides.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnKeyQuery {
    /// One of the key's calls, as `x-nemo-call-id` named it: what became of it.
    call: Option<CallId>,
}

/// What a key may do, and what is left of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyRoom {
    /// The key.
    id: KeyId,
    /// What people call it.
    name: String,
    /// It has no cap on spend, on purpose.
    unlimited: bool,
    /// Its caps on spend.
    budgets: Vec<BudgetRoom>,
    /// What it spent in all.
    spent_total: Nanos,
    /// Calls per 60 s; `null` where there is no limit.
    requests_per_minute: Option<RateRoom>,
    /// Tokens per 60 s; `null` where there is no limit.
    tokens_per_minute: Option<RateRoom>,
    /// Calls that may be open at the same time.
    concurrent_calls: Option<u32>,
    /// Calls that are open.
    open_calls: usize,
    /// Patterns of models that it may call; `null` for all.
    models: Option<Vec<String>>,
    /// The most that one call may cost.
    max_call_cost: Option<Nanos>,
    /// From this moment on it is refused.
    expires_at: Option<Timestamp>,
    /// The revision of the key's stream that this is.
    revision: Option<Revision>,
    /// The call that was asked for; `null` where none was.
    call: Option<CallFate>,
}

/// What became of a call. Calls are remembered for a day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallFate {
    /// The call.
    id: CallId,
    /// What it may cost, or might have cost, at most.
    hold: Nanos,
    /// What it is charged; `null` while it is open.
    charged: Option<Nanos>,
    /// The revision of the key's stream that ended it; `null` while it is open.
    ended_at: Option<Revision>,
    /// Nobody knows what it cost, so its hold is charged until that is corrected.
    unconfirmed: bool,
}

/// A cap on spend.
#[derive(Debug, Serialize, ToSchema)]
pub struct BudgetRoom {
    /// Which windows it counts.
    window: WindowKind,
    /// The cap.
    limit: Nanos,
    /// Charged calls.
    spent: Nanos,
    /// Holds of open calls.
    held: Nanos,
    /// What is left; never below zero.
    free: Nanos,
    /// When the window ends; `null` for the total.
    resets_at: Option<Timestamp>,
}

/// A limit, and what fits now.
#[derive(Debug, Serialize, ToSchema)]
pub struct RateRoom {
    /// The limit.
    limit: u64,
    /// What fits now.
    remaining: u64,
}

/// `GET /v1/models`: the models that the key may call and that have a price.
pub async fn models(caller: Caller, app: web::Data<App>) -> HttpResponse {
    HttpResponse::Ok().json(ModelList { object: "list", data: entries(&caller, &app) })
}

/// `GET /v1/models/{id}`
///
/// # Errors
/// `model_not_found`
pub async fn model(
    caller: Caller,
    request: HttpRequest,
    id: web::Path<String>,
    app: web::Data<App>,
) -> Result<HttpResponse, FailureReply> {
    let id = id.into_inner();
    let missing = || {
        let refusal = nemo_projections::refusal::PriceRefusal::ModelNotFound;
        FailureReply::to(&request, Failure::from(&nemo_projections::Refusal::Price(refusal)))
    };
    let found = entries(&caller, &app).into_iter().find(|entry| entry.id == id);
    found.map(|entry| HttpResponse::Ok().json(entry)).ok_or_else(missing)
}

/// What the key may call: its endpoint, the model by that name, and at least one provider of it whose bounds held.
fn entries(caller: &Caller, app: &App) -> Vec<ListedModel> {
    let scope = |key: &KeyState| (key.limits.clone(), key.flagged_models.clone());
    let scope = caller.account().glance(|account| account.key.as_ref().map(scope));
    let (limits, flagged) = scope.unwrap_or_default();
    if limits.endpoints.is_some_and(|endpoints| !endpoints.contains(&Endpoint::ChatCompletions)) {
        return Vec::new();
    }
    let (terms, now) = (app.terms(), app.ledger.now());
    let may = |model: &str| {
        let named = limits.models.as_ref().is_none_or(|all| all.iter().any(|p| model_matches(p, model)));
        let is_flagged =
            |route: &Route| flagged.contains(&(route.provider.name.clone(), route.provider_model.clone()));
        named && terms.providers.routes(model, now).is_ok_and(|routes| !routes.iter().all(is_flagged))
    };
    let listed = |ModelEntry { id, owned_by, .. }| ListedModel { id, object: "model", created: 0, owned_by };
    terms.providers.models(&may, now).into_iter().map(listed).collect()
}

/// `GET /v1/key`: the holder's own limits and what is left of them; and what became of a call, for whoever
/// left it before its end and so was not told.
///
/// # Errors
/// `invalid_request`, `call_not_found`, `ledger_unavailable`
pub async fn key(
    caller: Caller,
    request: HttpRequest,
    app: web::Data<App>,
) -> Result<HttpResponse, FailureReply> {
    let refused = |failure: Failure| FailureReply::to(&request, failure);
    let asked = web::Query::<OwnKeyQuery>::from_query(request.query_string());
    let call = asked.map_err(|_| refused(not_understood()))?.into_inner().call;
    let id = caller.key();
    let look = app
        .ledger
        .look(id, move |account, now| account.key.as_ref().map(|key| KeyRoom::of(id, key, call, now)));
    let done = look.await.map_err(|error| refused(Failure::from(&error)))?;
    let room = done.answer.ok_or_else(|| refused(Failure::invalid_api_key()))?;
    if call.is_some() && room.call.is_none() {
        return Err(refused(Failure::no_such_call()));
    }
    let room = KeyRoom { revision: done.revision, ..room };
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(room))
}

/// Says nothing of what was sent, which may be a key that strayed into the URL.
fn not_understood() -> Failure {
    Failure::invalid_request(
        "The query string may hold `call`, the id that `x-nemo-call-id` named, and nothing else.",
    )
    .about("call")
}

impl KeyRoom {
    fn of(id: KeyId, key: &KeyState, call: Option<CallId>, now: Timestamp) -> Self {
        let rate = |limit: Option<u64>, bucket: &Bucket| {
            limit.map(|limit| RateRoom { limit, remaining: bucket.remaining(limit, now) })
        };
        Self {
            id,
            name: key.labels.name.clone(),
            unlimited: key.limits.unlimited,
            budgets: key.limits.budgets.iter().map(|budget| BudgetRoom::of(budget, key, now)).collect(),
            spent_total: key.windows.at(WindowKind::Total, now).settled,
            requests_per_minute: rate(key.request_limit(), &key.request_rate),
            tokens_per_minute: rate(key.limits.tokens_per_minute, &key.token_rate),
            concurrent_calls: key.limits.concurrent_calls,
            open_calls: key.open_calls.len(),
            models: key.limits.models.clone(),
            max_call_cost: key.limits.max_call_cost,
            expires_at: key.limits.expires_at,
            revision: None,
            call: call.and_then(|call| CallFate::of(call, key)),
        }
    }
}

impl CallFate {
    fn of(id: CallId, key: &KeyState) -> Option<Self> {
        if let Some(open) = key.open_calls.get(&id) {
            let (charged, ended_at, unconfirmed) = (None, None, false);
            return Some(Self { id, hold: open.hold.amount, charged, ended_at, unconfirmed });
        }
        let ended = key.ended_calls.get(&id)?;
        let (charged, ended_at) = (Some(ended.charged), Some(ended.ended_at));
        Some(Self { id, hold: ended.hold, charged, ended_at, unconfirmed: ended.unconfirmed })
    }
}

impl BudgetRoom {
    fn of(budget: &Budget, key: &KeyState, now: Timestamp) -> Self {
        let window = key.windows.at(budget.window, now);
        let used = window.settled.checked_add(window.held).unwrap_or(Nanos::MAX);
        Self {
            window: budget.window,
            limit: budget.limit,
            spent: window.settled,
            held: window.held,
            free: budget.limit.minus_or_zero(used),
            resets_at: window_end(budget.window, window.start),
        }
    }
}
