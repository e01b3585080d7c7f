//! Authorize: asks the ledger for leave to make the call. Where only the cheap bound of the input stands
//! in the way, the model's own tokenizer is asked and the ledger is asked again.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use nemo_events::key::{BoundBasis, CallAuthorized};
use nemo_events::limits::Endpoint;
use nemo_events::{CallId, KeyId, OrgId};
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, Outlook, Priced};
use nemo_projections::hold::Ask;

use super::attempts::Attempt;
use super::client::Ours;
use super::headers::{self, Headers};
use super::prepare::Prepared;
use super::waiting;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::Failure;
use crate::ledger::{Authorized, ExecuteError, Lines, Place};
use crate::providers::Route;
use crate::providers::openai::exact_input_tokens;

/// Why a call is not made, and what the answer's headers tell of it, or of the call that was made before.
pub(super) struct Denied {
    pub(super) failure: Failure,
    pub(super) headers: Headers,
    pub(super) why: Why,
}

/// What it hangs on that a call is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its caller, or the request itself: it would be the same at any provider.
    Request,
    /// What it may cost there, or what the key allows there.
    ThisProvider,
    /// The ledger did not answer.
    NoAnswer,
}

/// What a call that waits for money needs: its place among the running ones, and what is left of the request's
/// patience.
pub(super) struct Waiting<'a, 'p> {
    pub(super) place: &'a mut Place<'p>,
    pub(super) patience: &'a mut Duration,
}

/// Authorises the call, or says why not. A refusal is counted.
pub(super) async fn admit(
    app: &App,
    caller: &Caller,
    prepared: &Prepared,
    attempt: &Attempt,
    waiting: Waiting<'_, '_>,
    ours: &mut Ours,
) -> Result<Authorized, Denied> {
    let error = match authorize(app, caller, prepared, attempt, waiting, ours).await {
        Ok(authorized) => return Ok(authorized),
        Err(error) => error,
    };
    let failure = Failure::from(&error);
    let ExecuteError::Refused(refusal) = &error else {
        return Err(Denied { failure, headers: headers::call(attempt.call), why: Why::NoAnswer });
    };
    let why = if concerns_the_request(refusal) { Why::Request } else { Why::ThisProvider };
    // A provider that is passed over is no refusal: its caller is told of what came of the attempts before.
    if prepared.stands(attempt) || why == Why::Request {
        app.ledger.count_refusal(caller.key(), refusal, prepared.client.address.as_deref());
    }
    let mut headers = told_of(refusal, attempt.call);
    // Whoever may use the key no more is not told what it has left.
    if failure.status != StatusCode::UNAUTHORIZED
        && let Ok(room) = app.ledger.room(caller.account()).await
    {
        headers::room(&mut headers, &room);
    }
    Err(Denied { failure, headers, why })
}

/// Whether a refusal stands whichever provider is asked.
const fn concerns_the_request(refusal: &Refusal) -> bool {
    use Refusal as R;
    matches!(
        refusal,
        R::InvalidKey
            | R::Revoked
            | R::Blocked
            | R::OrgSuspended
            | R::OrgArchived
            | R::SecretRotated
            | R::Expired
            | R::AddressNotAllowed
            | R::EndpointNotAllowed(_)
            | R::ModelNotAllowed(_)
            | R::IdempotencyKeyReused
            | R::CallRunning(_)
            | R::CallAlreadyBilled { .. }
    )
}

/// A request that was sent before is told of the call that it made then.
fn told_of(refusal: &Refusal, call: CallId) -> Headers {
    match refusal {
        Refusal::CallRunning(earlier) => headers::call(*earlier),
        Refusal::CallAlreadyBilled { call: earlier, charged, .. } => {
            let mut told = headers::call(*earlier);
            headers::cost(&mut told, *charged);
            told
        }
        _ => headers::call(call),
    }
}

async fn authorize(
    app: &App,
    caller: &Caller,
    prepared: &Prepared,
    attempt: &Attempt,
    waiting: Waiting<'_, '_>,
    ours: &mut Ours,
) -> Result<Authorized, ExecuteError> {
    let mut asking = Asking::of(app, caller, prepared, attempt).await?;
    if let Ok(priced) = &asking.command.priced {
        app.ledger.publish(priced.card_id, &priced.card).await?;
    }
    let (Waiting { place, patience }, began) = (waiting, Instant::now());
    let told = waiting::ask(&mut asking, *patience, place, ours).await;
    *patience = patience.saturating_sub(began.elapsed());
    told
}

/// A call that leave is asked for, once or more often.
pub(super) struct Asking<'a> {
    app: &'a App,
    caller: &'a Caller,
    prepared: &'a Prepared,
    route: Option<&'a Route>,
    command: Authorize,
    /// Nothing smaller can be said of its input.
    is_exact: bool,
}

impl<'a> Asking<'a> {
    pub(super) async fn of(
        app: &'a App,
        caller: &'a Caller,
        prepared: &'a Prepared,
        attempt: &Attempt,
    ) -> Result<Self, ExecuteError> {
        let route = prepared.route(attempt.route);
        let org = caller.account().glance(|account| account.key.as_ref().map(|key| key.org));
        let command = Authorize {
            call: attempt.call,
            request: prepared.request,
            attempt: attempt.number,
            presented: caller.presented().clone(),
            org: app.ledger.org_view(org).await?,
            address: caller.address(),
            client: prepared.client.clone(),
            endpoint: Endpoint::ChatCompletions,
            model: prepared.chat.model.clone(),
            priced: route.as_ref().map(|route| route.priced()).map_err(Clone::clone),
            ask: prepared.ask,
            deadline_secs: attempt.deadline_secs,
            tags: prepared.claims.clone(),
            streams: prepared.chat.streams,
            hidden_output: false,
            once: prepared.once.clone(),
        };
        let is_exact = prepared.ask.basis != BoundBasis::Bytes;
        Ok(Self { app, caller, prepared, route: route.ok(), command, is_exact })
    }

    pub(super) fn key(&self) -> KeyId {
        self.caller.key()
    }

    pub(super) fn org(&self) -> Option<OrgId> {
        self.caller.account().glance(|account| account.key.as_ref().map(|key| key.org))
    }

    pub(super) fn lines(&self) -> &'a Lines {
        &self.app.ledger.lines
    }

    /// Asks for leave now.
    pub(super) async fn ask(&mut self) -> Result<Authorized, ExecuteError> {
        let (ledger, account) = (&self.app.ledger, self.caller.account());
        let told = ledger.authorize(account, self.command.clone()).await;
        match self.gets_smaller(&told).await {
            true => ledger.authorize(account, self.command.clone()).await,
            false => told,
        }
    }

    /// What leave would be given now.
    pub(super) async fn consider(&mut self) -> Result<CallAuthorized, ExecuteError> {
        let (ledger, account) = (&self.app.ledger, self.caller.account());
        let told = ledger.consider(account, self.command.clone()).await;
        match self.gets_smaller(&told).await {
            true => ledger.consider(account, self.command.clone()).await,
            false => told,
        }
    }

    /// What it would be given and all that stands in its way, for a call that would be refused.
    pub(super) async fn outlook(&self) -> Result<Option<Outlook>, ExecuteError> {
        self.app.ledger.outlook(self.caller.account(), self.command.clone()).await
    }

    /// Where it would go first, and at what price.
    pub(super) fn priced(&self) -> Option<&Priced> {
        self.command.priced.as_ref().ok()
    }

    /// Where the bound of the input may be what stands in the way: whether there is a smaller one, once.
    async fn gets_smaller<T>(&mut self, told: &Result<T, ExecuteError>) -> bool {
        let Err(ExecuteError::Refused(refusal)) = told else { return false };
        if !hangs_on_the_bound(refusal) || std::mem::replace(&mut self.is_exact, true) {
            return false;
        }
        let Some(ask) = exact_ask(self.prepared, self.route).await else { return false };
        self.command.ask = ask;
        true
    }
}

/// Whether a smaller bound of the input could change a refusal.
fn hangs_on_the_bound(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::BudgetExceeded(_)
            | Refusal::BudgetHeld(_)
            | Refusal::CallTooDear { .. }
            | Refusal::TokensAboveRate { .. }
            | Refusal::TokenRate { .. }
    )
}

/// The same request with its input counted by the model's tokenizer, if there is one and it helps.
async fn exact_ask(prepared: &Prepared, route: Option<&Route>) -> Option<Ask> {
    let tokenizer = route?.card.tokenizer?;
    let (body, chat) = (prepared.body.clone(), prepared.chat.clone());
    // Counting a long text takes milliseconds, and the first time loads the tokenizer's tables.
    let counted = tokio::task::spawn_blocking(move || exact_input_tokens(&body, &chat, tokenizer)).await;
    let input_tokens = counted.ok().flatten().filter(|tokens| *tokens < prepared.ask.input_tokens)?;
    Some(Ask { input_tokens, basis: BoundBasis::Tokenizer, ..prepared.ask })
}
