//! Every route on one screen, but for those of management. Whatever is not here or there is closed, and
//! whatever is here is described in the OpenAPI document, because both are made of the same table.

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::error::{Failure, FailureReply};
use crate::inference::{KeyRoom, ListedModel, ModelList, OwnKeyQuery};
use crate::openapi::chat::{ChatCompletion, ChatCompletionRequest};
use crate::openapi::{Group, Method, Reply, Route, get, mount, post};
use crate::proxy::DryRun;
use crate::{dashboard, health, inference, management, metrics, openapi, proxy, reference};

/// Inference, for virtual keys.
pub fn inference(config: &mut web::ServiceConfig) {
    mount(vec![inference_group()], config);
}

/// Management, for the master key, and what operators and their tools ask.
pub fn management(config: &mut web::ServiceConfig) {
    mount(management::routes(), config);
    mount(vec![server_group()], config);
    dashboard::routes::pages(config);
}

/// A listener that has both.
pub fn everything(config: &mut web::ServiceConfig) {
    config.configure(inference).configure(management).configure(dashboard::playground::beside_the_dashboard);
}

/// A listener for inference alone, and for the page that makes calls.
pub fn inference_alone(config: &mut web::ServiceConfig) {
    config.configure(inference).configure(dashboard::playground::alone).configure(dashboard::routes::assets);
}

/// A listener for management alone.
pub fn management_alone(config: &mut web::ServiceConfig) {
    config.configure(management).configure(dashboard::playground::elsewhere);
}

/// All routes, in the order in which they are shown.
#[must_use]
pub fn all() -> Vec<Group> {
    let mut groups = management::routes();
    groups.push(inference_group());
    groups.push(server_group());
    groups
}

/// Routes that need no key. A test compares this list with what answers without one.
pub const PUBLIC: &[&str] =
    &["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/errors", "/docs/style.css"];

fn inference_group() -> Group {
    Group {
        name: "Inference",
        about: "What applications call, with a virtual key, as they would call OpenAI: point any client's base \
                URL at `/v1`. Before a call is sent its highest possible cost is held; when it ends, what it \
                really cost is charged.",
        routes: vec![
            chat_completions(),
            get("/v1/models", inference::models).described(
                "List models",
                "The models that the key may call and that have a price.",
                Reply::ok::<ModelList>("The models."),
            ),
            get("/v1/models/{id:.+}", inference::model)
                .described("Show model", "One of those models.", Reply::ok::<ListedModel>("The model."))
                .refuses(&["model_not_found"]),
            get("/v1/key", inference::key).described(
                "Show own key",
                "What the key that asks may do, has spent and has left. With `call`, also what became of that call: \
                 whoever left it before its end was not told.",
                Reply::ok::<KeyRoom>("The key's limits and what is left of them."),
            )
            .query::<OwnKeyQuery>("")
            .refuses(&["call_not_found"]),
        ],
    }
}

fn chat_completions() -> Route {
    post("/v1/chat/completions", proxy::chat_completions)
        .described(
            "Create chat completion",
            "A chat completion as OpenAI defines it, at whichever configured provider serves the model. The \
             answer's last byte comes once its bill is durable; headers say what the call cost and what is left. \
             A stream that breaks off ends in an `error` event. With `Idempotency-Key` a request makes at most one call \
             within 24 hours.",
            Reply::ok::<ChatCompletion>("The provider's answer."),
        )
        .or(Reply::text("text/event-stream", "With `stream`, the same as server-sent events."))
        .or(Reply::in_media::<DryRun>(proxy::DRY_RUN, "With `x-nemo-dry-run: true`, what would become of the call: what it would hold, and all that stands in its way."))
        .body::<ChatCompletionRequest>(
            r#"{"model": "$MODEL", "messages": [{"role": "user", "content": "Say hello."}], "max_completion_tokens": 50}"#,
        )
        .refuses(&["endpoint_not_allowed", "model_not_allowed", "model_flagged", "model_not_found"])
        .refuses(&["model_not_priced", "request_not_priceable", "output_limit_too_high", "tokens_above_rate"])
        .refuses(&["idempotency_key_reused", "call_running", "call_already_billed"])
        .refuses(&["unknown_field", "call_too_dear", "budget_exceeded", "budget_held"])
        .refuses(&["concurrency_limit_exceeded", "rate_limit_exceeded", "token_limit_exceeded"])
        .refuses(&["provider_unreachable", "provider_suspended", "provider_failed", "provider_timeout", "provider_error"])
        .refuses(&["gateway_stopping"])
}

fn server_group() -> Group {
    let how = |what| Reply::ok::<health::Health>(what);
    Group {
        name: "Server",
        about: "What needs no key.",
        routes: vec![
            get("/healthz", health::alive).described("Check health", "The process answers.", how("It does.")),
            get("/readyz", health::ready)
                .described(
                    "Check readiness",
                    "Whether new calls are taken: not while the node stops or its store does not answer.",
                    how("They are."),
                )
                .or(Reply::json::<health::Health>(503, "They are not; says why.")),
            get("/metrics", metrics::show).described(
                "Show metrics",
                "Everything that is counted, in the text format of OpenMetrics. No key and no name of one is in it.",
                Reply::text("application/openmetrics-text", "The metrics."),
            ),
            get("/openapi.json", openapi::json).described(
                "Show openapi document",
                "This document.",
                Reply::ok::<serde_json::Value>("OpenAPI 3.1."),
            ),
            get("/docs", reference::operations).described(
                "Show reference",
                "This document as a page, without any script.",
                Reply::text("text/html", "The page."),
            ),
            get("/docs/errors", reference::errors).described(
                "Show errors",
                "Every code of an error and what to do; a problem's `type` leads here.",
                Reply::text("text/html", "The page."),
            ),
            get("/docs/style.css", reference::style).described(
                "Show style",
                "How those pages look.",
                Reply::text("text/css", "The style sheet."),
            ),
        ],
    }
}

/// For paths that are not here.
///
/// # Errors
/// Always.
pub async fn not_found(request: HttpRequest) -> Result<HttpResponse, FailureReply> {
    Err(FailureReply::to(&request, Failure::not_found()))
}

/// The methods that a path takes: data of its resource.
pub struct Allowed(HeaderValue);

impl Allowed {
    /// These.
    #[must_use]
    pub fn these(methods: &[Method]) -> Self {
        let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
        // Names of methods and commas are what a header may hold.
        Self(HeaderValue::from_str(&names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static("")))
    }
}

/// For methods that a path does not take. RFC 9110 (15.5.6) wants those named that it does take.
pub async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let mut reply = FailureReply::to(&request, Failure::method_not_allowed()).into_response();
    if let Some(Allowed(methods)) = request.app_data() {
        reply.headers_mut().insert(ALLOW, methods.clone());
    }
    reply
}
