//! Forward: the one place that sends a call to its provider, and it takes an `Authorized` by value.

use std::time::{Duration, Instant};

use actix_web::http::header::HeaderValue;
use futures_util::FutureExt;
use nemo_events::key::{Ending, ForfeitReason, VoidReason};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use tokio::time::timeout;
use tracing::{Span, info, warn};

use super::attempts::{Help, help, needs_rest};
use super::breaker::Breakers;
use super::call::{Answer, Interrupts};
use super::client::Ours;
use super::estimate::Seen;
use super::metered::{Facts, Metered, Verdict};
use super::prepare::Prepared;
use super::rests::Rests;
use super::{provider_error, stream, whole};
use crate::error::{Failure, Retry};
use crate::ledger::Authorized;
use crate::metrics::provider::ProviderMetrics;
use crate::providers::Route;
use crate::providers::openai::read_usage;
use crate::traces;

/// A provider's error body is read this far.
const ERROR_BODY_MAX_BYTES: usize = 64 * 1024;
const ERROR_BODY_PATIENCE: Duration = Duration::from_secs(5);

/// What a dispatch needs besides leave.
pub(super) struct Dispatch<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) route: &'a Route,
    pub(super) interrupts: Interrupts,
    pub(super) metrics: &'a ProviderMetrics,
    pub(super) breakers: &'a Breakers,
    pub(super) rests: &'a Rests,
    /// Whether the provider is told which trace the call is in.
    pub(super) tells_trace: bool,
}

impl Dispatch<'_> {
    /// What came back tells whether the provider is asked before or after others next time.
    fn tell_rests(&self, outcome: &Outcome) {
        let provider = &self.route.provider.name;
        let Facts { status, retry_after, .. } = outcome.facts;
        if outcome.in_vain().is_some() && needs_rest(status, retry_after) {
            let at_most = self.prepared.tries.rest_at_most;
            self.rests.begin(provider, retry_after, at_most, Instant::now());
        } else if matches!(status, Some(200..=299)) {
            self.rests.end(provider);
        }
    }

    /// What was cut from this side says nothing of the provider.
    fn tell_breaker(&self, came_back: &'static str) {
        let provider = &self.route.provider.name;
        match came_back {
            "cut" => {}
            "timeout" | "reset" => {
                if self.breakers.lost(provider, self.prepared.unknown_ends_at_most, Instant::now()) {
                    warn!(
                        provider,
                        "the provider leaves call after call without an answer: none is sent to it for now"
                    );
                }
            }
            _ => self.breakers.came_back(provider),
        }
    }
}

/// How a call ended, what is known of it, and what its client is still owed.
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) facts: Facts,
    pub(super) answer: Answer,
}

impl Outcome {
    pub(super) const fn failed(verdict: Verdict, facts: Facts, failure: Failure) -> Self {
        Self { verdict, facts, answer: Answer::Failure(failure) }
    }

    fn in_vain(&self) -> Option<InVain> {
        let help = help(self.verdict, self.facts.status)?;
        Some(InVain { help, retry_after: self.facts.retry_after, why: self.came_back()? })
    }

    /// What came back from the provider, as it is counted; `None` if nothing was sent.
    const fn came_back(&self) -> Option<&'static str> {
        match (self.verdict, self.facts.status) {
            (Verdict::Voided(VoidReason::NotSent), None) => None,
            (Verdict::Voided(VoidReason::NotConnected), _) => Some("unreachable"),
            (Verdict::Forfeited(ForfeitReason::TimedOut), None) => Some("timeout"),
            (Verdict::Forfeited(_), None) => Some("reset"),
            (_, Some(429)) => Some("429"),
            (_, Some(300..=399)) => Some("3xx"),
            (_, Some(400..=499)) => Some("4xx"),
            (_, Some(500..)) => Some("5xx"),
            (_, Some(_)) => Some("2xx"),
            (_, None) => Some("cut"),
        }
    }
}

/// A call that was sent, or will not be: how it went, what its client is owed, and whether another attempt at the
/// request may help.
pub(super) struct Forwarded {
    pub(super) metered: Metered,
    pub(super) answer: Answer,
    pub(super) in_vain: Option<InVain>,
}

/// A call that came to nothing and will cost nothing, where another attempt may help.
#[derive(Debug, Clone, Copy)]
pub(super) struct InVain {
    pub(super) help: Help,
    /// The pause that the provider asked for.
    pub(super) retry_after: Option<Duration>,
    /// Why, as it is counted.
    pub(super) why: &'static str,
}

/// Sends the call and sees its answer through. Whatever happens, the call comes out metered.
pub(super) async fn forward(
    mut dispatch: Dispatch<'_>,
    authorized: Authorized,
    ours: &mut Ours,
) -> Forwarded {
    let started = Instant::now();
    let outcome = send(&mut dispatch, &authorized, started, ours).await;
    let span = Span::current();
    span.record("status", outcome.facts.status);
    span.record("first_byte_ms", outcome.facts.first_byte_ms);
    if let Some(came_back) = outcome.came_back() {
        let first_byte = outcome.facts.first_byte_ms.map(Duration::from_millis);
        let provider = &dispatch.route.provider.name;
        dispatch.metrics.called(provider, came_back, first_byte, started.elapsed());
        dispatch.tell_breaker(came_back);
    }
    dispatch.tell_rests(&outcome);
    let card = dispatch.route.card.clone();
    let in_vain = outcome.in_vain();
    let Outcome { verdict, facts, answer } = outcome;
    Forwarded { metered: Metered::new(authorized, card, started, facts, verdict), answer, in_vain }
}

async fn send(
    dispatch: &mut Dispatch<'_>,
    authorized: &Authorized,
    started: Instant,
    ours: &mut Ours,
) -> Outcome {
    let provider = &dispatch.route.provider;
    if ours.is_gone() {
        let verdict = Verdict::Voided(VoidReason::NotSent);
        return Outcome::failed(verdict, Facts::default(), Failure::internal());
    }
    // Revoked between leave and dispatch: nothing was sent, so nothing is billed.
    if let Some(interrupt) = dispatch.interrupts.next().now_or_never() {
        let verdict = Verdict::Voided(VoidReason::NotSent);
        return Outcome::failed(verdict, Facts::default(), interrupt.failure(&provider.name));
    }
    crate::failpoint::reached("dispatch");
    let sending = timeout(
        provider.timeouts.first_byte,
        provider.http.execute(match request(dispatch, authorized) {
            Ok(request) => request,
            Err(error) => return not_sendable(&provider.name, &error),
        }),
    );
    let plain_stream = authorized.event().streams && !authorized.event().hidden_output;
    let response = tokio::select! {
        biased;
        interrupt = dispatch.interrupts.next() => {
            let verdict = Verdict::Estimated(Seen::Tokens(0), interrupt.ending());
            let verdict = if authorized.event().streams { verdict } else { hidden(interrupt.ending()) };
            return Outcome::failed(verdict, Facts::default(), interrupt.failure(&provider.name));
        }
        // An answer that nobody waits for is read to its end only where its cost could not be told otherwise.
        () = ours.gone(), if plain_stream => {
            let verdict = Verdict::Estimated(Seen::Tokens(0), Ending::ClientLeft);
            return Outcome::failed(verdict, Facts::default(), Failure::internal());
        }
        response = sending => response,
    };
    match response {
        Err(_) => {
            info!(provider = %provider.name, "the provider did not answer in time");
            let verdict = Verdict::Forfeited(ForfeitReason::TimedOut);
            Outcome::failed(verdict, Facts::default(), Failure::provider_timeout(&provider.name))
        }
        Ok(Err(error)) => not_answered(&provider.name, &error),
        Ok(Ok(response)) => answered(dispatch, authorized, started, response, ours).await,
    }
}

async fn answered(
    dispatch: &mut Dispatch<'_>,
    authorized: &Authorized,
    started: Instant,
    response: reqwest::Response,
    ours: &mut Ours,
) -> Outcome {
    crate::failpoint::reached("answered");
    let key = dispatch.route.provider.key.as_ref();
    let id = response.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let facts = Facts {
        status: Some(response.status().as_u16()),
        provider_request: id.and_then(|id| provider_error::id(id, key)),
        ..Facts::default()
    };
    if !response.status().is_success() {
        return refused(dispatch, authorized, response, facts).await;
    }
    if authorized.event().streams {
        stream::relay(dispatch, authorized, started, response, facts, ours).await
    } else {
        whole::collect(dispatch, authorized, started, response, facts).await
    }
}

/// The provider's request: headers built from empty, the body as received but for what is spliced in.
fn request(dispatch: &Dispatch<'_>, authorized: &Authorized) -> Result<reqwest::Request, reqwest::Error> {
    let Dispatch { prepared, route, .. } = dispatch;
    let event = authorized.event();
    let flavour = route.provider.flavour;
    let body = prepared.chat.outgoing(&prepared.body, &event.provider_model, event.output_limit, flavour);
    let accept = if event.streams { "text/event-stream" } else { "application/json" };
    let mut request = route
        .provider
        .http
        .post(route.provider.chat_completions.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, accept)
        // What cannot be read cannot be metered.
        .header(ACCEPT_ENCODING, "identity")
        .body(body);
    if dispatch.tells_trace
        && let Some(traceparent) = traces::traceparent()
    {
        request = request.header(traces::TRACEPARENT, traceparent);
    }
    if let Some(key) = &route.provider.key
        && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
    {
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value.as_bytes());
    }
    request.build()
}

fn not_sendable(provider: &str, error: &reqwest::Error) -> Outcome {
    warn!(provider, error = %cause(error), "the request could not be made");
    let verdict = Verdict::Voided(VoidReason::NotSent);
    Outcome::failed(verdict, Facts::default(), Failure::internal())
}

/// Nothing came back. Only where no connection was made is it sure that nothing was sent.
fn not_answered(provider: &str, error: &reqwest::Error) -> Outcome {
    info!(provider, error = %cause(error), "the provider did not answer");
    if error.is_connect() {
        let verdict = Verdict::Voided(VoidReason::NotConnected);
        return Outcome::failed(verdict, Facts::default(), Failure::provider_unreachable(provider));
    }
    let verdict = Verdict::Forfeited(ForfeitReason::Reset);
    let failure = Failure::provider_failed(provider, "broke the connection before it answered");
    Outcome::failed(verdict, Facts::default(), failure)
}

/// An error without its URL, with what caused it.
fn cause(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}{}{source}", if text.is_empty() { "" } else { ": " });
        next = source.source();
    }
    text
}

/// The provider said no, or broke: not billed, unless it reports usage all the same.
async fn refused(
    dispatch: &mut Dispatch<'_>,
    authorized: &Authorized,
    mut response: reqwest::Response,
    mut facts: Facts,
) -> Outcome {
    let provider = &dispatch.route.provider;
    let status = response.status().as_u16();
    let retry_after =
        response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    facts.retry_after = retry_after.map(Duration::from_secs);
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > ERROR_BODY_MAX_BYTES {
                break;
            }
        }
    };
    tokio::select! {
        _ = timeout(ERROR_BODY_PATIENCE, reading) => {}
        _ = dispatch.interrupts.next() => {}
    }
    info!(provider = %provider.name, status, "the provider refused");
    let usage = serde_json::from_slice::<UsageOnly<'_>>(&body).ok().and_then(|body| body.usage);
    let verdict = match usage.and_then(|usage| read_usage(usage.get()).ok()) {
        Some(usage) => Verdict::Reported(usage, Ending::ProviderFailed),
        None if status >= 500 => Verdict::Voided(VoidReason::ProviderFailed),
        None => Verdict::Voided(VoidReason::ProviderRefused),
    };
    let told = provider_error::body(&provider.name, status, &body, provider.key.as_ref());
    let failure = Failure {
        status: provider_error::status(status),
        code: "provider_error",
        message: String::new(),
        param: None,
        errors: Vec::new(),
        retry_after_secs: retry_after,
        retry: if matches!(status, 408 | 409 | 429 | 500..) { Retry::Useful } else { Retry::Useless },
    };
    Outcome {
        verdict,
        facts,
        answer: Answer::Whole(whole::Whole::provider_error(authorized.event(), failure, &told)),
    }
}

#[derive(serde::Deserialize)]
struct UsageOnly<'a> {
    #[serde(borrow)]
    usage: Option<&'a serde_json::value::RawValue>,
}

/// Nothing of the output could be seen.
pub(super) const fn hidden(ending: Ending) -> Verdict {
    Verdict::Estimated(Seen::Hidden, ending)
}
