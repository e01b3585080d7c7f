//! What managers send: JSON bodies and query strings. A field that nobody knows is refused by name,
//! so that a misspelt limit is never taken for none.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::QueryPayloadError;
use actix_web::{FromRequest, HttpRequest, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::error::{Failure, FailureReply};

/// More than any request to manage needs.
const BODY_MAX_BYTES: usize = 64 * 1024;
/// How errors of serde begin that name a field.
const NAMES_A_FIELD: [&str; 3] = ["unknown field `", "missing field `", "duplicate field `"];

/// A JSON body. An empty one stands for `{}`.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

/// A query string.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

/// Why somebody does something, in their own words; recorded with the event.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Reason)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    #[serde(default)]
    /// Why, in your own words.
    pub(super) reason: Option<String>,
}

/// No field at all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The query string of what is read from the ledger itself, which is never behind: a caller that asks
/// for a position everywhere is understood.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AsOf {
    /// Understood and not needed: the ledger itself is read.
    #[serde(default, rename = "min_position")]
    _min_position: Option<u64>,
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = FailureReply;
    type Future = Pin<Box<dyn Future<Output = Result<Self, FailureReply>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        Box::pin(async move {
            let refused = |failure| FailureReply::to(&request, failure);
            let broken = |_| refused(Failure::invalid_request("The body could not be read."));
            let body = payload.await.map_err(broken)?.to_bytes_limited(BODY_MAX_BYTES).await;
            let body =
                body.map_err(|_| refused(Failure::request_too_large(BODY_MAX_BYTES)))?.map_err(broken)?;
            parse(&body).map(Self).map_err(refused)
        })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = FailureReply;
    type Future = std::future::Ready<Result<Self, FailureReply>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let query = web::Query::<T>::from_query(request.query_string());
        let refused = |error: QueryPayloadError| {
            let why = error.to_string();
            let why = why.strip_prefix("Query deserialize error: ").unwrap_or(&why);
            FailureReply::to(request, not_understood("The query string", why))
        };
        std::future::ready(query.map(|query| Self(query.into_inner())).map_err(refused))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| not_understood("The body", &error.to_string()))
}

fn not_understood(what: &str, why: &str) -> Failure {
    // The parser quotes what it was given, and somebody may have put a key there.
    if why.contains("k-nemo-") {
        return Failure::invalid_request(format!("{what} holds a key where none belongs."));
    }
    let failure = Failure::invalid_request(format!("{what} is not understood: {why}."));
    match field_named_in(why) {
        Some(field) => failure.about(field),
        None => failure,
    }
}

fn field_named_in(why: &str) -> Option<&str> {
    let named = NAMES_A_FIELD.iter().find_map(|beginning| why.strip_prefix(beginning))?;
    named.split_once('`').map(|(field, _)| field)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use nemo_events::key::Labels;

    use super::*;

    #[test]
    fn a_refused_field_is_named() {
        let unknown = parse::<Labels>(br#"{"name":"a","nmae":"b"}"#).unwrap_err();
        assert_eq!((unknown.code, unknown.param.as_deref()), ("invalid_request", Some("nmae")));
        let twice = parse::<Labels>(br#"{"name":"a","name":"b"}"#).unwrap_err();
        assert_eq!(twice.param.as_deref(), Some("name"));
        let garbage = parse::<Labels>(b"{").unwrap_err();
        assert_eq!((garbage.code, garbage.param), ("invalid_request", None));
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert_eq!(parse::<Why>(b"").unwrap().reason, None);
    }

    #[test]
    fn a_key_in_the_wrong_place_is_not_repeated() {
        let key = "sk-nemo-1zzzzzzzzzzzABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij3bMjKG";
        let failure = parse::<Why>(format!(r#"{{"{key}":1}}"#).as_bytes()).unwrap_err();
        assert!(!failure.message.contains("zzzz") && failure.param.is_none());
    }
}
