//! One request from its first call to its answer, in a task of its own: attempts, one after the other, each a call
//! with a hold and an end of its own.
//!
//! - Another attempt is made only once the end of the one before is durable, and that end is a void.
//! - The client has seen nothing by then: an answer of which a part went out is never a void.
//! - The client is told of the last attempt that was made; of why another was not made only where that is about the
//!   key or the request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nemo_events::CallId;
use nemo_projections::Refusal;
use tokio::time::sleep;
use tracing::field::Empty;
use tracing::{Instrument, Span, info, info_span};
use uuid::Uuid;

use super::admit::{Denied, Waiting, Why};
use super::attempts::{Attempt, Next, Plan, Whose};
use super::call::{self, Ended, NotMade, Request};
use super::client::Ours;
use super::forward::Forwarded;
use super::headers;
use super::prepare::Prepared;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::Failure;
use crate::ledger::{Cut, Place};

/// What the client is told if nothing else comes of its request.
enum Owed {
    Nothing,
    /// The first provider was passed over.
    NotMade(Denied),
    /// What the last call brought.
    Ended(Ended),
}

/// Sees a request through, whatever its client does meanwhile.
pub(super) async fn run(app: Arc<App>, caller: Caller, prepared: Prepared, mut ours: Ours) {
    let request = Request { app: &app, caller: &caller, prepared: &prepared };
    let routes = prepared.routes.as_ref().map_or(1, Vec::len);
    let mut plan = Plan::new(prepared.tries, routes, prepared.deadline_secs, Instant::now());
    let (mut call, mut patience, mut owed) = (prepared.call, prepared.held_wait, Owed::Nothing);
    // On the list before any authorisation, so that a revoke can never fall between the two, and until the last
    // call has come back.
    let mut place = app.ledger.running.enter(caller.key(), call);
    loop {
        let began = Instant::now();
        let attempt = plan.attempt(call, began);
        let span = span(request, &attempt);
        let waiting = Waiting { place: &mut place, patience: &mut patience };
        let made = call::make(request, &attempt, waiting, &mut ours).instrument(span.clone()).await;
        let (why, next) = match made {
            Err(NotMade { mut denied, may_pass }) => {
                headers::attempts(&mut denied.headers, plan.made());
                // A provider that is passed over says less than one that was asked, or than the preferred one.
                let is_told = match owed {
                    Owed::Nothing => true,
                    Owed::NotMade(_) => prepared.stands(&attempt) || denied.why != Why::ThisProvider,
                    Owed::Ended(_) => denied.why == Why::Request,
                };
                if is_told {
                    owed = Owed::NotMade(denied);
                }
                (may_pass, may_pass.and_then(|_| plan.pass_over(Instant::now())))
            }
            Ok(Forwarded { metered, answer, in_vain }) => {
                let next = in_vain.and_then(|it| plan.after(it.help, it.retry_after, Instant::now()));
                if next.is_none() {
                    drop(place);
                    let ended = Ended::of(&app, metered, answer, began).instrument(span).await;
                    return ended.tell(&mut ours).await;
                }
                let ended = Ended::of(&app, metered, answer, began).instrument(span).await;
                let next = next.filter(|_| ended.is_durable());
                owed = Owed::Ended(ended);
                (in_vain.map(|it| it.why), next)
            }
        };
        let (Some(why), Some(next)) = (why, next) else { break };
        crate::failpoint::reached("between-attempts");
        match is_wanted(&app, next.pause, &mut place, &mut ours).await {
            Wanted::Yes => count(request, &attempt, why, next),
            Wanted::No => break,
            Wanted::ButRevoked => {
                owed = Owed::NotMade(revoked(&attempt));
                break;
            }
        }
        call = CallId::from_uuid(Uuid::now_v7());
    }
    drop(place);
    match owed {
        Owed::Nothing => {}
        Owed::NotMade(Denied { failure, headers, .. }) => ours.fail(failure, headers),
        Owed::Ended(ended) => ended.tell(&mut ours).await,
    }
}

fn span(request: Request<'_>, attempt: &Attempt) -> Span {
    let Request { caller, prepared, .. } = request;
    let span = info_span!(
        "call", call.id = %attempt.call, key.id = %caller.key(), model = %prepared.chat.model,
        attempt = attempt.number, provider = Empty, cost_nanos = Empty, duration_ms = Empty, refusal.code = Empty
    );
    prepared.trace.adopt(&span);
    span
}

/// Whether somebody still waits for another attempt once the pause is over.
enum Wanted {
    Yes,
    /// The client left, or the node stops.
    No,
    /// The key was revoked meanwhile.
    ButRevoked,
}

async fn is_wanted(app: &App, pause: Duration, place: &mut Place<'_>, ours: &mut Ours) -> Wanted {
    let paused = async {
        if !pause.is_zero() {
            sleep(pause).await;
        }
    };
    tokio::select! {
        biased;
        cut = place.cut() => match cut {
            Cut::KeyRevoked => Wanted::ButRevoked,
            Cut::Stopping => Wanted::No,
        },
        () = ours.gone() => Wanted::No,
        () = paused => if app.lifecycle.why_no_calls().is_none() { Wanted::Yes } else { Wanted::No },
    }
}

fn revoked(last: &Attempt) -> Denied {
    let mut headers = headers::call(last.call);
    headers::attempts(&mut headers, last.number);
    Denied { failure: Failure::from(&Refusal::Revoked), headers, why: Why::Request }
}

fn count(request: Request<'_>, before: &Attempt, why: &'static str, next: Next) {
    let Ok(route) = request.prepared.route(before.route) else { return };
    let (provider, at) = (
        &route.provider.name,
        match next.at {
            Whose::Same => "same",
            Whose::Other => "other",
        },
    );
    info!(provider, why, next = at, "the request is tried again");
    request.app.metrics.provider.fell_back(provider, why, at);
}
