//! One call from leave to end, in a task of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nemo_events::CallId;
use tokio::time::Instant as Deadline;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug_span, error, info, info_span};

use super::admit::{Denied, admit};
use super::client::Ours;
use super::forward::{Dispatch, forward};
use super::metered::millis;
use super::prepare::Prepared;
use super::{client, headers};
use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::Failure;
use crate::ledger::{Cut, EndAnswer, ExecuteError, Place};

/// The owner cuts a call this long before its deadline, so that its end is written before anybody else
/// may write one.
const CUT_BEFORE_DEADLINE_SECS: u64 = 5;
/// How long the last bytes of an answer wait for the store before the client is told.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);

/// Makes the call and sees it to its end, whatever its client does meanwhile.
pub(super) async fn run(app: Arc<App>, caller: Caller, prepared: Prepared, ours: Ours) {
    let span = info_span!(
        "call", call.id = %prepared.call, key.id = %caller.key(), model = %prepared.chat.model,
        provider = Empty, cost_nanos = Empty, duration_ms = Empty, refusal.code = Empty
    );
    prepared.trace.adopt(&span);
    life(app, caller, prepared, ours).instrument(span).await;
}

async fn life(app: Arc<App>, caller: Caller, prepared: Prepared, mut ours: Ours) {
    let started = Instant::now();
    // On the list before the authorisation, so that a revoke can never fall between the two.
    let mut place = app.ledger.running.enter(caller.key(), prepared.call);
    crate::failpoint::reached("before-authorize");
    if let Err(failure) = admitted_by_breaker(&app, &prepared) {
        Span::current().record("refusal.code", failure.code);
        info!("not sent");
        return ours.fail(failure, headers::call(prepared.call));
    }
    let admitted = admit(&app, &caller, &prepared, &mut place, &mut ours);
    let authorized = match admitted.instrument(debug_span!("authorize")).await {
        Ok(authorized) => authorized,
        Err(Denied { failure, headers }) => {
            Span::current().record("refusal.code", failure.code);
            info!("refused");
            return ours.fail(failure, headers);
        }
    };
    crate::failpoint::reached("after-authorize");
    let Ok(route) = &prepared.route else {
        return ours.fail(Failure::internal(), headers::call(prepared.call));
    };
    let limit = u64::from(prepared.deadline_secs).saturating_sub(CUT_BEFORE_DEADLINE_SECS);
    let interrupts = Interrupts { place, deadline: Deadline::now() + Duration::from_secs(limit) };
    Span::current().record("provider", display(&route.provider.name));
    let tells_trace = app.config.telemetry.send_traceparent;
    let (metrics, breakers) = (&app.metrics.provider, &app.breakers);
    let dispatch = Dispatch { prepared: &prepared, route, interrupts, metrics, breakers, tells_trace };
    let asking = debug_span!("provider", otel.kind = "client", status = Empty, first_byte_ms = Empty);
    let (metered, answer) = forward(dispatch, authorized, &mut ours).instrument(asking).await;
    let settled = settle_in_time(&app, metered).instrument(debug_span!("settle")).await;
    Span::current().record("duration_ms", millis(started));
    match &settled {
        Ok(end) => {
            Span::current().record("cost_nanos", end.charged.as_nanos());
            info!("settled");
        }
        Err(error) => error!(%error, "the call's end is not durable yet"),
    }
    answer.finish(&mut ours, settled, prepared.call).await;
}

/// Whether the provider may be tried at all. A model that nobody serves is left to the decision.
fn admitted_by_breaker(app: &App, prepared: &Prepared) -> Result<(), Failure> {
    let Ok(route) = &prepared.route else { return Ok(()) };
    let name = &route.provider.name;
    app.breakers.admits(name, Instant::now()).map_err(|wait| Failure::provider_suspended(name, wait))
}

/// Settles. Past the patience the end is still being written, and the client is told.
async fn settle_in_time(app: &Arc<App>, metered: super::metered::Metered) -> Result<EndAnswer, ExecuteError> {
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
pub(super) struct Interrupts<'a> {
    place: Place<'a>,
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

impl Interrupts<'_> {
    /// Waits for the first interrupt.
    pub(super) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            biased;
            cut = self.place.cut() => Interrupt::Cut(cut),
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

impl Answer {
    /// Hands over what is owed; nothing that was billed goes out before its bill is durable.
    async fn finish(self, ours: &mut Ours, settled: Result<EndAnswer, ExecuteError>, call: CallId) {
        match self {
            Self::Failure(failure) => client::fail_settled(ours, failure, settled.as_ref().ok(), call),
            Self::Whole(whole) => whole.finish(ours, settled),
            Self::Stream(tail) => tail.finish(ours, settled).await,
        }
    }
}
