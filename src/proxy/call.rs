//! One call from leave to end: one attempt at a request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::Instant as Deadline;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug_span, error, info};

use super::admit::{Denied, Waiting, Why, admit};
use super::attempts::Attempt;
use super::client::{self, Ours};
use super::forward::{Dispatch, Forwarded, forward};
use super::headers::{self, Headers};
use super::metered::{Metered, millis};
use super::prepare::Prepared;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::Failure;
use crate::ledger::{Cut, CutSignal, EndAnswer, ExecuteError};

/// The owner cuts a call this long before its deadline, so that its end is written before anybody else
/// may write one.
pub(super) const CUT_BEFORE_DEADLINE_SECS: u64 = 5;
/// How long the last bytes of an answer wait for the store before the client is told.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// What every attempt at a request has in common.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) caller: &'a Caller,
    pub(super) prepared: &'a Prepared,
}

/// A call that is not made: what its client is told if nothing else comes of the request, and whether another
/// provider may be asked in place of this one.
pub(super) struct NotMade {
    pub(super) denied: Denied,
    /// Why, as it is counted, where another may be asked.
    pub(super) may_pass: Option<&'static str>,
}

/// Asks for leave and makes the call: one that is not made cost nothing, any other must be ended.
pub(super) async fn make(
    request: Request<'_>,
    attempt: &Attempt,
    waiting: Waiting<'_, '_>,
    ours: &mut Ours,
) -> Result<Forwarded, NotMade> {
    let Request { app, caller, prepared } = request;
    crate::failpoint::reached("before-authorize");
    admitted_by_breaker(app, prepared, attempt).map_err(|failure| {
        Span::current().record("refusal.code", failure.code);
        info!("not sent");
        let denied = Denied { failure, headers: headers::call(attempt.call), why: Why::ThisProvider };
        NotMade { denied, may_pass: Some("suspended") }
    })?;
    let signal = waiting.place.signal();
    let admitted = admit(app, caller, prepared, attempt, waiting, ours);
    let authorized = admitted.instrument(debug_span!("authorize")).await.map_err(|denied| {
        Span::current().record("refusal.code", denied.failure.code);
        info!("refused");
        let passes = denied.why == Why::ThisProvider && !prepared.stands(attempt);
        let may_pass = passes.then_some("refused");
        NotMade { denied, may_pass }
    })?;
    crate::failpoint::reached("after-authorize");
    let Ok(route) = prepared.route(attempt.route) else {
        let denied =
            Denied { failure: Failure::internal(), headers: headers::call(attempt.call), why: Why::Request };
        return Err(NotMade { denied, may_pass: None });
    };
    let limit = u64::from(attempt.deadline_secs).saturating_sub(CUT_BEFORE_DEADLINE_SECS);
    let interrupts = Interrupts { signal, deadline: Deadline::now() + Duration::from_secs(limit) };
    Span::current().record("provider", display(&route.provider.name));
    let tells_trace = app.config.telemetry.send_traceparent;
    let (metrics, breakers, rests) = (&app.metrics.provider, &app.breakers, &app.rests);
    let dispatch = Dispatch { prepared, route, interrupts, metrics, breakers, rests, tells_trace };
    let asking = debug_span!("provider", otel.kind = "client", status = Empty, first_byte_ms = Empty);
    Ok(forward(dispatch, authorized, ours).instrument(asking).await)
}

/// A call whose end is durable, or as good as: what its client is still owed.
pub(super) struct Ended {
    answer: Answer,
    headers: Headers,
    settled: Result<EndAnswer, ExecuteError>,
}

impl Ended {
    /// Ends a call that was made.
    pub(super) async fn of(app: &Arc<App>, metered: Metered, answer: Answer, began: Instant) -> Self {
        let headers = headers::made(metered.event());
        let settled = settle_in_time(app, metered).instrument(debug_span!("settle")).await;
        Span::current().record("duration_ms", millis(began));
        match &settled {
            Ok(end) => {
                Span::current().record("cost_nanos", end.charged.as_nanos());
                info!("settled");
            }
            Err(error) => error!(%error, "the call's end is not durable yet"),
        }
        Self { answer, headers, settled }
    }

    pub(super) const fn is_durable(&self) -> bool {
        self.settled.is_ok()
    }

    /// Hands over what is owed; nothing that was billed goes out before its bill is durable.
    pub(super) async fn tell(self, ours: &mut Ours) {
        let Self { answer, headers, settled } = self;
        match answer {
            Answer::Failure(failure) => client::fail_settled(ours, failure, settled.as_ref().ok(), headers),
            Answer::Whole(whole) => whole.finish(ours, settled),
            Answer::Stream(tail) => tail.finish(ours, settled).await,
        }
    }
}

/// Whether the provider may be tried at all. A model that nobody serves is left to the decision.
fn admitted_by_breaker(app: &App, prepared: &Prepared, attempt: &Attempt) -> Result<(), Failure> {
    let Ok(route) = prepared.route(attempt.route) else { return Ok(()) };
    let name = &route.provider.name;
    app.breakers.admits(name, Instant::now()).map_err(|wait| Failure::provider_suspended(name, wait))
}

/// Settles. Past the patience the end is still being written, and the client is told.
async fn settle_in_time(app: &Arc<App>, metered: Metered) -> Result<EndAnswer, ExecuteError> {
    let (sender, settled) = tokio::sync::oneshot::channel();
    app.ledger.spawn(async move {
        // Whoever stopped waiting is told by the ledger itself.
        let _ = sender.send(metered.settle().await);
    });
    match tokio::time::timeout(SETTLE_PATIENCE, settled).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ExecuteError::Unavailable("the node is stopping".to_owned())),
        Err(_) => Err(ExecuteError::Unavailable("the call's end could not be written in time".to_owned())),
    }
}

/// What may end a call from outside.
pub(super) struct Interrupts {
    signal: CutSignal,
    deadline: Deadline,
}

/// Why a call was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// The key was revoked, or the node stops.
    Cut(Cut),
    /// The deadline is near.
    Deadline,
}

impl Interrupts {
    /// Waits for the first interrupt.
    pub(super) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            biased;
            cut = self.signal.given() => Interrupt::Cut(cut),
            () = tokio::time::sleep_until(self.deadline) => Interrupt::Deadline,
        }
    }
}

impl Interrupt {
    /// How a call that was interrupted is said to have ended.
    pub(super) const fn ending(self) -> nemo_events::key::Ending {
        use nemo_events::key::Ending;
        match self {
            Self::Cut(Cut::KeyRevoked) => Ending::KeyRevoked,
            Self::Cut(Cut::Stopping) => Ending::Stopped,
            Self::Deadline => Ending::DeadlineReached,
        }
    }

    /// What its client is told.
    pub(super) fn failure(self, provider: &str) -> Failure {
        match self {
            Self::Cut(Cut::KeyRevoked) => Failure::from(&nemo_projections::Refusal::Revoked),
            Self::Cut(Cut::Stopping) => Failure::stopped(),
            Self::Deadline => Failure::provider_timeout(provider),
        }
    }
}

/// What the client is still owed once the call has ended.
pub(super) enum Answer {
    /// A failure, with the headers it goes out with.
    Failure(Failure),
    /// A whole answer.
    Whole(super::whole::Whole),
    /// The last events of a stream.
    Stream(super::stream::Tail),
}
