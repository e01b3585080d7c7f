//! Every code that an inference route can answer, and what the official clients make of it: which exception their
//! user sees, how often they try, and after which waits. What trying again cannot mend reaches the gateway once;
//! what it may mend, three times (the clients' default), no sooner than `retry-after` says.

mod of_keys;
mod of_providers;
mod of_stops;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use futures_util::future::join;
use nemo::openapi::errors;
use serde_json::{Value, json};

use super::client::CLIENTS;
use crate::harness::{DOCUMENT, Key, Nemo};
use crate::metrics::Page;

/// Codes of paths and methods that are not there, which the document does not repeat for each route.
const OF_NO_ROUTE: [&str; 2] = ["not_found", "method_not_allowed"];
/// What the clients wait by themselves where nobody says how long: half a second, doubled each time, less a quarter
/// at most.
const AS_THEY_LIKE: RangeInclusive<f64> = 0.375..=1.0;

/// A request, and what the clients should make of its answer.
struct Row {
    case: Value,
    code: &'static str,
    status: u16,
    /// How long they are told to wait before they try again; they do not where it is nothing.
    again_after: Option<RangeInclusive<f64>>,
}

impl Row {
    /// Refused for good, with the status that `errors.md` gives the code.
    fn once(case: Value, code: &'static str) -> Row {
        let status = errors::named(code).and_then(|code| code.status_at("/v1/chat/completions"));
        Row { case, code, status: status.expect("a code with a status"), again_after: None }
    }

    /// Tried again after so many seconds.
    fn again_after(self, secs: RangeInclusive<f64>) -> Row {
        Row { again_after: Some(secs), ..self }
    }

    const fn attempts(&self) -> usize {
        if self.again_after.is_some() { 3 } else { 1 }
    }

    /// Fails unless a client's user saw it.
    fn was_seen(&self, client: &str, seen: &Value) {
        assert_eq!(
            (&seen["code"], &seen["status"]),
            (&json!(self.code), &json!(self.status)),
            "{client}: {seen}"
        );
        assert_eq!(seen["error"], class(client, self.status), "{client}: {seen}");
        assert_eq!(seen["attempts"], self.attempts(), "{client}: {seen}");
        let waits: Vec<f64> =
            seen["waits"].as_array().unwrap().iter().map(|secs| secs.as_f64().unwrap()).collect();
        assert_eq!(waits.len(), self.attempts() - 1, "{client}: {seen}");
        let told = |secs: &f64| self.again_after.as_ref().is_some_and(|told| told.contains(secs));
        assert!(waits.iter().all(told), "{client}, not {:?}: {seen}", self.again_after);
    }
}

/// The exception of a status.
fn class(client: &str, status: u16) -> &'static str {
    match status {
        400 => "BadRequestError",
        401 => "AuthenticationError",
        403 => "PermissionDeniedError",
        404 => "NotFoundError",
        409 => "ConflictError",
        422 => "UnprocessableEntityError",
        429 => "RateLimitError",
        500.. => "InternalServerError",
        _ if client == "python" => "APIStatusError",
        _ => "APIError",
    }
}

/// A chat request, streaming or not.
fn chat(key: &Key, more: Value) -> Value {
    super::case(key, false, more)
}

/// `GET` of a path under `/v1`.
fn get(key: &Key, path: &str) -> Value {
    json!({ "key": key.secret(), "path": path })
}

fn with_header(mut case: Value, name: &str, value: &str) -> Value {
    case["headers"] = json!({ name: value });
    case
}

/// Lets a loaded client meet these rows all at once, and counts at the gateway what reached it. The codes.
async fn met(sdk: super::Sdk, name: &str, nemo: &Nemo, rows: &[Row]) -> BTreeSet<&'static str> {
    let before = Page::of(nemo).await;
    let seen = sdk.at_once(&nemo.url("/v1"), rows.iter().map(|row| row.case.clone()).collect()).await;
    let after = Page::of(nemo).await;
    let mut attempts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (row, seen) in rows.iter().zip(&seen) {
        row.was_seen(name, seen);
        *attempts.entry(row.code).or_default() += row.attempts();
    }
    for (code, attempts) in attempts.iter().filter(|(code, _)| **code != "provider_error") {
        let count = |page: &Page| page.sum("nemo_http_failures_total", &[("code", code)]);
        assert_eq!(count(&after) - count(&before), *attempts as i128, "{name}: {code} at the gateway");
    }
    attempts.into_keys().collect()
}

/// The codes that the document names for routes under `/v1`.
fn documented() -> BTreeSet<&'static str> {
    let paths = DOCUMENT["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1"));
    let operations = paths.flat_map(|(_, item)| item.as_object().unwrap().values());
    let responses = operations.filter_map(|operation| operation["responses"].as_object()).flatten();
    let lines = responses.filter_map(|(_, response)| response["description"].as_str()).flat_map(str::lines);
    lines.filter_map(|line| line.strip_prefix("- `")?.split('`').next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_code_is_the_right_exception_and_tried_as_often_as_it_may_help() {
    let expected: BTreeSet<&str> = documented().into_iter().chain(OF_NO_ROUTE).collect();
    assert!(expected.len() > 40, "codes are found: {expected:?}");
    let keys = of_keys::Prepared::new().await;
    let providers = of_providers::Prepared::new().await;
    for name in CLIENTS {
        let (of_keys, (of_providers, of_stops)) =
            join(keys.met(name), join(providers.met(name), of_stops::met_by(name))).await;
        let met: BTreeSet<&str> = [of_keys, of_providers, of_stops].into_iter().flatten().collect();
        let (forgotten, unheard) = (&expected - &met, &met - &expected);
        assert!(forgotten.is_empty(), "{name}: nobody knows how often these are tried: {forgotten:?}");
        assert!(unheard.is_empty(), "{name}: these are not in the document: {unheard:?}");
    }
    keys.end().await;
}
