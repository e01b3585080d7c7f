//! What a route answers: what it is for, and every error that it can end in.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder, Responses};

use super::errors::{self, ErrorCode};
use super::route::{Power, Reply, Route};
use super::shapes::{Shape, Shapes};
use crate::error::Dialect;
use crate::error::body::{OpenAiError, Problem};

/// Errors of every route that takes a virtual key.
const OF_CALLERS: &[&str] = &[
    "missing_api_key",
    "invalid_api_key",
    "key_revoked",
    "key_expired",
    "key_rotated",
    "key_blocked",
    "org_suspended",
    "org_archived",
    "address_not_allowed",
    "too_many_unknown_keys",
    "master_key_not_allowed",
    "ledger_unavailable",
];
/// Errors of every route that takes the master key.
const OF_MANAGERS: &[&str] = &[
    "missing_api_key",
    "invalid_api_key",
    "master_key_replaced",
    "virtual_key_not_allowed",
    "browser_not_allowed",
    "ledger_unavailable",
];
/// Errors of every route that people may use as well.
const OF_PEOPLE: &[&str] = &["session_ended", "role_not_allowed", "cross_site_request"];

/// Headers that the document describes once.
const HEADERS: &[(&str, &str)] = &[
    ("x-request-id", "The request's id. It finds the request in the log."),
    ("x-nemo-call-id", "The call's id in the ledger."),
    (
        "x-nemo-attempts",
        "How many calls the request made, where it was more than one; `x-nemo-call-id` is the last.",
    ),
    ("x-nemo-cost", "What the call is charged, in dollars. A stream says it in its last event instead."),
    (
        "x-nemo-budget-remaining",
        "What the key's tightest budget has left, in dollars, holds of open calls taken off.",
    ),
    (
        "x-nemo-output-limit",
        "The output limit that was set because the request had none, or lowered to what fits.",
    ),
    ("x-ratelimit-limit-requests", "The key's requests per minute; absent where there is no limit."),
    ("x-ratelimit-remaining-requests", "Requests that fit now."),
    ("x-ratelimit-limit-tokens", "The key's tokens per minute; absent where there is no limit."),
    ("x-ratelimit-remaining-tokens", "Tokens that fit now, those of open calls taken off by their bounds."),
    ("retry-after", "Seconds after which a retry may work."),
    ("x-should-retry", "`false` where a retry cannot help. The official clients obey it."),
];
const OF_CALLS: &[&str] = &[
    "x-nemo-call-id",
    "x-nemo-attempts",
    "x-nemo-cost",
    "x-nemo-budget-remaining",
    "x-nemo-output-limit",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
];
const OF_FAILURES: &[&str] = &["retry-after", "x-should-retry"];

/// The headers, for the document's components.
pub(super) fn headers() -> impl Iterator<Item = (&'static str, Header)> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    HEADERS.iter().map(move |(name, about)| {
        (*name, utoipa::openapi::HeaderBuilder::new().schema(Some(text())).description(Some(*about)).build())
    })
}

/// Everything that a route can answer.
pub(super) fn of(route: &Route, shapes: &mut Shapes) -> Responses {
    let mut responses = Responses::new();
    for (status, response) in replies(route, shapes) {
        responses.responses.insert(status.to_string(), response.into());
    }
    let mut by_status: BTreeMap<Option<u16>, Vec<&ErrorCode>> = BTreeMap::new();
    for code in codes(route) {
        by_status.entry(code.status_at(route.path)).or_default().push(code);
    }
    for (status, codes) in by_status {
        let name = status.map_or_else(|| "default".to_owned(), |status| status.to_string());
        responses.responses.insert(name, failure(route, &codes, shapes).into());
    }
    responses
}

/// The errors that a route can end in, each once.
fn codes(route: &Route) -> Vec<&'static ErrorCode> {
    let mut names: Vec<&str> = Vec::new();
    names.extend(match route.power() {
        Power::VirtualKey => OF_CALLERS,
        Power::MasterKey => OF_MANAGERS,
        Power::Nobody => &[],
    });
    if route.needs.right.is_some() {
        names.extend(OF_PEOPLE);
    }
    if route.query.is_some() || route.body.is_some() {
        names.push("invalid_request");
    }
    if route.body.is_some() {
        names.push("request_too_large");
    }
    if route.path.starts_with("/api/keys/{") {
        names.push("key_not_found");
    }
    if route.path.starts_with("/api/orgs/{") {
        names.push("org_not_found");
    }
    if route.path.starts_with("/api/operators/{") {
        names.push("operator_not_found");
    }
    names.extend(&route.codes);
    names.push("internal_error");
    let mut codes: Vec<&ErrorCode> = Vec::new();
    for code in names.into_iter().filter_map(errors::named) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    codes
}

fn replies(route: &Route, shapes: &mut Shapes) -> BTreeMap<u16, Response> {
    let mut found: BTreeMap<u16, Response> = BTreeMap::new();
    for Reply { status, what, media, shape } in &route.replies {
        let content = ContentBuilder::new().schema(Some(shapes.reference(shape))).build();
        let response =
            found.entry(*status).or_insert_with(|| with_headers(ResponseBuilder::new(), route, &[]).build());
        let between = if response.description.is_empty() { "" } else { " " };
        response.description.push_str(between);
        response.description.push_str(what);
        response.content.insert((*media).to_owned(), content.into());
    }
    found
}

fn failure(route: &Route, codes: &[&ErrorCode], shapes: &mut Shapes) -> Response {
    let describe = |code: &&ErrorCode| format!("- `{}`: {}", code.code, code.meaning);
    let description = codes.iter().map(describe).collect::<Vec<_>>().join("\n");
    let (media, shape) = match Dialect::of_path(route.path) {
        Dialect::Problem => ("application/problem+json", Shape::of::<Problem<'_>>()),
        Dialect::OpenAi | Dialect::Anthropic => ("application/json", Shape::of::<OpenAiError<'_>>()),
    };
    let whole = shapes.reference(&shape);
    // A provider's own error comes with whatever status and code it chose.
    let schema = if passes_on_errors(route) { whole } else { narrowed(whole, media, codes) };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = with_headers(ResponseBuilder::new().description(description), route, OF_FAILURES);
    response.content(media, content).build()
}

fn passes_on_errors(route: &Route) -> bool {
    route.codes.iter().filter_map(|code| errors::named(code)).any(|code| code.status.is_none())
}

/// The shape of an error with one of these codes.
fn narrowed(whole: RefOr<Schema>, media: &str, codes: &[&ErrorCode]) -> RefOr<Schema> {
    let names = codes.iter().map(|code| Value::from(code.code));
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    let with_code = ObjectBuilder::new().property("code", code);
    let narrow = if media == "application/problem+json" {
        with_code
    } else {
        ObjectBuilder::new().property("error", with_code)
    };
    AllOfBuilder::new().item(whole).item(narrow).into()
}

fn with_headers(response: ResponseBuilder, route: &Route, more: &[&str]) -> ResponseBuilder {
    let of_call: &[&str] = if route.path == "/v1/chat/completions" { OF_CALLS } else { &[] };
    let names = std::iter::once(&"x-request-id").chain(of_call).chain(more);
    names.fold(response, |response, name| {
        response.header_ref(*name, Ref::new(format!("#/components/headers/{name}")))
    })
}
