//! Headers towards the client, built from empty: nothing of a provider's passes unless it is here.

use actix_web::http::header::{HeaderName, HeaderValue};
use nemo_events::key::CallAuthorized;
use nemo_events::{CallId, Nanos};

use crate::ledger::Room;

pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

const CALL_ID: HeaderName = HeaderName::from_static("x-nemo-call-id");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-nemo-attempts");
const COST: HeaderName = HeaderName::from_static("x-nemo-cost");
const BUDGET_REMAINING: HeaderName = HeaderName::from_static("x-nemo-budget-remaining");
const OUTPUT_LIMIT: HeaderName = HeaderName::from_static("x-nemo-output-limit");
const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");

/// Which call this is.
pub(super) fn call(call: CallId) -> Headers {
    let mut headers = Vec::with_capacity(8);
    put(&mut headers, CALL_ID, &call);
    headers
}

/// Which call this is, and which attempt at its request.
pub(super) fn made(call: &CallAuthorized) -> Headers {
    let mut headers = self::call(call.call);
    attempts(&mut headers, call.attempt);
    headers
}

/// How many calls the request made, where it was more than one.
pub(super) fn attempts(headers: &mut Headers, made: u32) {
    if made > 1 {
        put(headers, ATTEMPTS, &made);
    }
}

/// What the call cost.
pub(super) fn cost(headers: &mut Headers, cost: Nanos) {
    put(headers, COST, &cost);
}

/// The output limit that the gateway set where the request had none, or a higher one.
pub(super) fn output_limit(headers: &mut Headers, limit: u64) {
    put(headers, OUTPUT_LIMIT, &limit);
}

/// What the key has left.
pub(super) fn room(headers: &mut Headers, room: &Room) {
    if let Some(budget) = room.budget {
        put(headers, BUDGET_REMAINING, &budget.free);
    }
    if let Some(requests) = room.requests {
        put(headers, LIMIT_REQUESTS, &requests.limit);
        put(headers, REMAINING_REQUESTS, &requests.remaining);
    }
    if let Some(tokens) = room.tokens {
        put(headers, LIMIT_TOKENS, &tokens.limit);
        put(headers, REMAINING_TOKENS, &tokens.remaining);
    }
}

fn put(headers: &mut Headers, name: HeaderName, value: &impl std::fmt::Display) {
    // Ids and numbers are always valid header values.
    if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
        headers.push((name, value));
    }
}
