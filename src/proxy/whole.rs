//! An answer that does not stream: read to its end, metered, and handed over once it is billed.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, HeaderValue, RETRY_AFTER};
use bytes::{Bytes, BytesMut};
use nemo_events::key::{CallAuthorized, Ending};
use tokio::time::timeout;

use super::call::{Answer, Interrupt};
use super::client::{Body, Head, Ours};
use super::estimate::Seen;
use super::forward::{Dispatch, Outcome, hidden};
use super::headers;
use super::metered::{Facts, Verdict, millis};
use super::provider_error;
use crate::error::{Failure, Retry, SHOULD_RETRY};
use crate::ledger::{Authorized, EndAnswer, ExecuteError};
use crate::providers::openai::{ChatAnswer, tokens_received};

/// No chat completion is larger than this; a provider that sends more is cut off.
const ANSWER_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A whole answer, ready to go out.
pub(super) struct Whole {
    status: StatusCode,
    bytes: Bytes,
    headers: headers::Headers,
    billed: bool,
}

impl Whole {
    /// A provider's own error.
    pub(super) fn provider_error(call: &CallAuthorized, failure: Failure, told: &serde_json::Value) -> Self {
        let mut headers = headers::made(call);
        if let Some(secs) = failure.retry_after_secs {
            headers.push((RETRY_AFTER, HeaderValue::from(secs)));
        }
        if failure.retry == Retry::Useless {
            headers.push((http_name(SHOULD_RETRY), HeaderValue::from_static("false")));
        }
        Self { status: failure.status, bytes: told.to_string().into(), headers, billed: false }
    }

    /// Hands it over, unless its bill could not be written.
    pub(super) fn finish(self, ours: &mut Ours, settled: Result<EndAnswer, ExecuteError>) {
        let mut headers = self.headers;
        let failure = match settled {
            Ok(end) => {
                headers::cost(&mut headers, end.charged);
                headers::room(&mut headers, &end.room);
                None
            }
            Err(_) if !self.billed => None,
            Err(error) => Some(Failure::from(&error).without_retry()),
        };
        match failure {
            Some(failure) => ours.fail(failure, headers),
            None => {
                let content_type = HeaderValue::from_static("application/json");
                let body = Body::Whole { status: self.status, content_type, bytes: self.bytes };
                ours.answer(Head { headers, body });
            }
        }
    }
}

fn http_name(name: &'static str) -> actix_web::http::header::HeaderName {
    actix_web::http::header::HeaderName::from_static(name)
}

/// How reading a body came to its end.
enum Read {
    Whole,
    Broken,
    Silent,
    TooLong,
    Interrupted(Interrupt),
}

/// Reads the answer to its end, whether or not the client still waits: only its end has the usage.
pub(super) async fn collect(
    dispatch: &mut Dispatch<'_>,
    authorized: &Authorized,
    started: Instant,
    mut response: reqwest::Response,
    mut facts: Facts,
) -> Outcome {
    let encoded = response.headers().get(CONTENT_ENCODING.as_str()).is_some_and(|value| value != "identity");
    let mut body = BytesMut::new();
    let read = read(dispatch, started, &mut response, &mut facts, &mut body).await;
    drop(response);
    crate::failpoint::reached("last-byte");
    let provider = &dispatch.route.provider.name;
    let failed = |ending, facts, failure| Outcome::failed(hidden(ending), facts, failure);
    match read {
        Read::Interrupted(interrupt) => failed(interrupt.ending(), facts, interrupt.failure(provider)),
        Read::Silent => failed(Ending::TimedOut, facts, Failure::provider_timeout(provider)),
        Read::Broken => {
            failed(Ending::ProviderFailed, facts, Failure::provider_failed(provider, "broke off its answer"))
        }
        Read::TooLong => failed(
            Ending::ProviderFailed,
            facts,
            Failure::provider_failed(provider, "sent more than an answer can be"),
        ),
        Read::Whole if encoded => failed(
            Ending::ProviderFailed,
            facts,
            Failure::provider_failed(provider, "sent an encoded answer"),
        ),
        Read::Whole => metered(dispatch, authorized, body.freeze(), facts),
    }
}

async fn read(
    dispatch: &mut Dispatch<'_>,
    started: Instant,
    response: &mut reqwest::Response,
    facts: &mut Facts,
    body: &mut BytesMut,
) -> Read {
    let idle = dispatch.route.provider.timeouts.idle;
    loop {
        let chunk = tokio::select! {
            biased;
            interrupt = dispatch.interrupts.next() => return Read::Interrupted(interrupt),
            chunk = timeout(idle, response.chunk()) => chunk,
        };
        match chunk {
            Err(_) => return Read::Silent,
            Ok(Err(_)) => return Read::Broken,
            Ok(Ok(None)) => return Read::Whole,
            Ok(Ok(Some(chunk))) => {
                if facts.first_byte_ms.is_none() {
                    facts.first_byte_ms = Some(millis(started));
                    crate::failpoint::reached("first-byte");
                }
                if body.len().saturating_add(chunk.len()) > ANSWER_MAX_BYTES {
                    return Read::TooLong;
                }
                body.extend_from_slice(&chunk);
            }
        }
    }
}

fn metered(dispatch: &Dispatch<'_>, authorized: &Authorized, body: Bytes, mut facts: Facts) -> Outcome {
    let provider = &dispatch.route.provider;
    let mut headers = headers::made(authorized.event());
    if authorized.event().output_limit_set {
        headers::output_limit(&mut headers, authorized.event().output_limit);
    }
    let Ok(answer) = ChatAnswer::read(&body) else {
        let seen = Seen::Tokens(u64::try_from(body.len()).unwrap_or(u64::MAX));
        let failure =
            Failure::provider_failed(&provider.name, "sent an answer that is not a chat completion");
        return Outcome::failed(Verdict::Estimated(seen, Ending::ProviderFailed), facts, failure);
    };
    let from_body = answer.id.as_ref().and_then(|id| provider_error::id(id, provider.key.as_ref()));
    facts.provider_request = facts.provider_request.or(from_body);
    let ending = if answer.is_error { Ending::ProviderFailed } else { Ending::Completed };
    let verdict = match answer.usage {
        Some(Ok(usage)) => Verdict::Reported(usage, ending),
        Some(Err(_)) | None => {
            Verdict::Estimated(Seen::Tokens(tokens_received(answer.output_bytes())), ending)
        }
    };
    if answer.is_error {
        let failure = Failure::provider_failed(&provider.name, "answered with an error under status 200");
        return Outcome::failed(verdict, facts, failure);
    }
    let answer = Whole { status: StatusCode::OK, bytes: body, headers, billed: true };
    Outcome { verdict, facts, answer: Answer::Whole(answer) }
}
