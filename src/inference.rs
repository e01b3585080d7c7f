//! What a virtual key's holder may ask besides calls: which models, and what the key has left.

use actix_web::{HttpRequest, HttpResponse, web};
use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, Timestamp};
use nemo_projections::KeyState;
use nemo_projections::budget::window_end;
use nemo_projections::decide::model_matches;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::{Failure, FailureReply};

/// `GET /v1/models`: the models that the key may call and that have a price.
pub async fn models(caller: Caller, app: web::Data<App>) -> HttpResponse {
    let data: Vec<Value> = entries(&caller, &app).collect();
    HttpResponse::Ok().json(json!({ "object": "list", "data": data }))
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
    let found = entries(&caller, &app).find(|entry| entry.get("id").and_then(Value::as_str) == Some(&id));
    found.map(|entry| HttpResponse::Ok().json(entry)).ok_or_else(missing)
}

fn entries(caller: &Caller, app: &App) -> impl Iterator<Item = Value> {
    let allowed =
        caller.account().glance(|account| account.key.as_ref().and_then(|key| key.limits.models.clone()));
    let may = move |model: &str| {
        allowed.as_ref().is_none_or(|patterns| patterns.iter().any(|p| model_matches(p, model)))
    };
    app.providers
        .models(&may, app.ledger.now())
        .into_iter()
        .map(|entry| json!({ "id": entry.id, "object": "model", "created": 0, "owned_by": entry.owned_by }))
}

/// `GET /v1/key`: the holder's own limits and what is left of them.
///
/// # Errors
/// `ledger_unavailable`
pub async fn key(
    caller: Caller,
    request: HttpRequest,
    app: web::Data<App>,
) -> Result<HttpResponse, FailureReply> {
    let id = caller.key();
    let look =
        app.ledger.look(id, move |account, now| account.key.as_ref().map(|key| describe(key, now))).await;
    let done = look.map_err(|error| FailureReply::to(&request, Failure::from(&error)))?;
    let mut body = done.answer.ok_or_else(|| FailureReply::to(&request, Failure::invalid_api_key()))?;
    if let Some(object) = body.as_object_mut() {
        object.insert("id".into(), json!(id));
        object.insert("revision".into(), json!(done.revision));
    }
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(body))
}

fn describe(key: &KeyState, now: Timestamp) -> Value {
    let budgets: Vec<Value> = key
        .limits
        .budgets
        .iter()
        .map(|budget| {
            let window = key.windows.at(budget.window, now);
            let used = window.settled.checked_add(window.held).unwrap_or(Nanos::MAX);
            json!({
                "window": budget.window, "limit": budget.limit, "spent": window.settled, "held": window.held,
                "free": budget.limit.minus_or_zero(used), "resets_at": window_end(budget.window, window.start),
            })
        })
        .collect();
    let rate = |limit: Option<u64>, bucket: &nemo_projections::rate::Bucket| {
        limit.map(|limit| json!({ "limit": limit, "remaining": bucket.remaining(limit, now) }))
    };
    json!({
        "name": key.labels.name, "unlimited": key.limits.unlimited, "budgets": budgets,
        "spent_total": key.windows.at(WindowKind::Total, now).settled,
        "requests_per_minute": rate(key.request_limit(), &key.request_rate),
        "tokens_per_minute": rate(key.limits.tokens_per_minute, &key.token_rate),
        "concurrent_calls": key.limits.concurrent_calls, "open_calls": key.open_calls.len(),
        "models": key.limits.models, "max_call_cost": key.limits.max_call_cost,
        "expires_at": key.limits.expires_at,
    })
}
