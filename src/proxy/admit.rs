//! Authorize: asks the ledger for leave to make the call. Where only the cheap bound of the input stands
//! in the way, the model's own tokenizer is asked and the ledger is asked again.

use nemo_events::CallId;
use nemo_events::key::BoundBasis;
use nemo_events::limits::Endpoint;
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, Priced};
use nemo_projections::hold::Ask;

use super::headers::{self, Headers};
use super::prepare::Prepared;
use crate::app::App;
use crate::auth::caller::Caller;
use crate::error::Failure;
use crate::ledger::{Authorized, ExecuteError};
use crate::providers::openai::exact_input_tokens;

/// Why a call is not made, and what the answer's headers tell of it, or of the call that was made before.
pub(super) struct Denied {
    pub(super) failure: Failure,
    pub(super) headers: Headers,
}

/// Authorises the call, or says why not. A refusal is counted.
pub(super) async fn admit(app: &App, caller: &Caller, prepared: &Prepared) -> Result<Authorized, Denied> {
    authorize(app, caller, prepared).await.map_err(|error| {
        let failure = Failure::from(&error);
        let ExecuteError::Refused(refusal) = &error else {
            return Denied { failure, headers: headers::call(prepared.call) };
        };
        app.ledger.count_refusal(caller.key(), refusal, prepared.client.address.as_deref());
        Denied { failure, headers: told_of(refusal, prepared.call) }
    })
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

async fn authorize(app: &App, caller: &Caller, prepared: &Prepared) -> Result<Authorized, ExecuteError> {
    let org = caller.account().glance(|account| account.key.as_ref().map(|key| key.org));
    let org = app.ledger.standing(org).await?;
    let mut command = Authorize {
        call: prepared.call,
        request: prepared.request,
        attempt: 1,
        presented: caller.presented().clone(),
        org,
        address: caller.address(),
        client: prepared.client.clone(),
        endpoint: Endpoint::ChatCompletions,
        model: prepared.chat.model.clone(),
        priced: prepared.route.as_ref().map_err(Clone::clone).map(|route| Priced {
            provider: route.provider.name.clone(),
            provider_model: route.provider_model.clone(),
            card_id: route.card_id,
            card: route.card.clone(),
        }),
        ask: prepared.ask,
        deadline_secs: prepared.deadline_secs,
        tags: prepared.claims.clone(),
        streams: prepared.chat.streams,
        hidden_output: false,
        once: prepared.once.clone(),
    };
    if let Ok(priced) = &command.priced {
        app.ledger.publish(priced.card_id, &priced.card).await?;
    }
    let result = app.ledger.authorize(caller.account(), command.clone()).await;
    match result {
        Err(ExecuteError::Refused(refusal)) if hangs_on_the_bound(&refusal) => {
            let Some(ask) = exact_ask(prepared).await else { return Err(ExecuteError::Refused(refusal)) };
            command.ask = ask;
            app.ledger.authorize(caller.account(), command).await
        }
        result => result,
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
async fn exact_ask(prepared: &Prepared) -> Option<Ask> {
    let tokenizer = prepared.route.as_ref().ok()?.card.tokenizer?;
    if prepared.ask.basis != BoundBasis::Bytes {
        return None;
    }
    let (body, chat) = (prepared.body.clone(), prepared.chat.clone());
    // Counting a long text takes milliseconds, and the first time loads the tokenizer's tables.
    let counted = tokio::task::spawn_blocking(move || exact_input_tokens(&body, &chat, tokenizer)).await;
    let input_tokens = counted.ok().flatten().filter(|tokens| *tokens < prepared.ask.input_tokens)?;
    Some(Ask { input_tokens, basis: BoundBasis::Tokenizer, ..prepared.ask })
}
