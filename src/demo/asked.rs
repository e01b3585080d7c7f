//! From what is planned to the ledger's own commands.

use std::sync::Arc;

use nemo_events::Usage;
use nemo_events::key::{BoundBasis, Client, Ending, Evidence, ForfeitReason, KeySecret, VoidReason};
use nemo_events::limits::Endpoint;
use nemo_events::org::OrgLimits;
use nemo_projections::decide::{
    Authorize, Block, ClearModel, Create, CreateOrg, Forfeit, ForfeitCharge, Forfeiter, PresentedSecret,
    Relabel, ResumeOrg, Revoke, Rotate, SetLimits, Settle, SuspendOrg, Void,
};
use nemo_projections::hold::Ask;
use nemo_projections::org::{OrgView, Standing};

use super::OPENAI;
use super::cast::Role;
use super::plan::{Call, Change, End};
use crate::ledger::{Authorized, Context, EndAnswer, ExecuteError, Ledger};
use crate::providers::Route;

/// As the configuration has it unless told otherwise.
const DEADLINE_SECS: u32 = 600;
/// How many times the output that it was allowed a provider reports that does not keep to it: enough to
/// outweigh what the bound of the input had to spare.
const OVER_BOUND: u64 = 20;
/// Tokens that an estimate adds for what was not seen.
const UNSEEN: u64 = 256;

pub(super) fn authorize(call: &Call, route: &Route, presented: PresentedSecret, org: OrgView) -> Authorize {
    let client = Client { address: Some(call.address.to_string()), user_agent: Some(call.agent.to_owned()) };
    Authorize {
        call: call.id,
        request: call.request,
        attempt: 1,
        presented,
        org,
        address: call.address.into(),
        client,
        endpoint: Endpoint::ChatCompletions,
        model: call.model.to_owned(),
        priced: Ok(route.priced()),
        ask: Ask {
            input_tokens: call.input_bound,
            basis: BoundBasis::Bytes,
            output_limit: call.output_limit,
            choices: 1,
        },
        deadline_secs: DEADLINE_SECS,
        tags: Vec::new(),
        streams: call.streams,
        hidden_output: false,
        once: Vec::new(),
    }
}

/// Whether nobody will know what a call cost.
pub(super) fn stays_unconfirmed(call: &Call) -> bool {
    call.end == End::Silence
}

/// Ends a call as its provider and its client have it.
pub(super) async fn end(call: Call, leave: Box<Authorized>, route: Route) -> Result<EndAnswer, ExecuteError> {
    let limit = leave.event().output_limit;
    let used = |output: u64| {
        let reasoning = if route.card.reasoning { output / 2 } else { 0 };
        Usage { output, reasoning, ..call.usage }
    };
    let settle = |usage, evidence, ending| Settle {
        call: call.id,
        card: Arc::clone(&route.card),
        usage,
        evidence,
        ending,
        provider_request: Some(format!("simulated-{}", call.request)),
        status: Some(200),
        first_byte_ms: Some(call.first_byte_ms),
        duration_ms: call.duration_ms,
    };
    let void = |reason, status| Void { call: call.id, reason, status, duration_ms: call.first_byte_ms };
    match call.end {
        End::Completed => {
            leave
                .settle(settle(used(call.usage.output.min(limit)), Evidence::Reported, Ending::Completed))
                .await
        }
        End::AboveItsBound => {
            leave
                .settle(settle(used(limit.saturating_mul(OVER_BOUND)), Evidence::Reported, Ending::Completed))
                .await
        }
        End::ClientLeft => {
            let seen = (call.usage.output / 3).saturating_add(UNSEEN).min(limit);
            leave.settle(settle(used(seen), Evidence::Estimated, Ending::ClientLeft)).await
        }
        End::ProviderRefused(status) => leave.void(void(VoidReason::ProviderRefused, Some(status))).await,
        End::ProviderFailed(status) => leave.void(void(VoidReason::ProviderFailed, Some(status))).await,
        End::NotConnected => leave.void(void(VoidReason::NotConnected, None)).await,
        End::Silence => {
            let charge = if call.streams { ForfeitCharge::InputOnly } else { ForfeitCharge::Hold };
            let (reason, by) = (ForfeitReason::TimedOut, Forfeiter::Owner);
            leave.forfeit(Forfeit { call: call.id, charge, reason, by }).await
        }
    }
}

pub(super) fn create(role: &Role, secret: KeySecret) -> Create {
    Create {
        org: role.org.id(),
        standing: Standing::Active,
        labels: role.labels(),
        limits: role.limits.to_ledger(),
        bounds: None,
        secret,
    }
}

pub(super) const fn rotate(secret: KeySecret, overlap_secs: u32) -> Rotate {
    Rotate { secret, overlap_secs, leaked: false }
}

/// Makes a manager's change.
pub(super) async fn change(ledger: &Ledger, by: Context, change: Change) -> anyhow::Result<()> {
    let why = |text: &str| Some(text.to_owned());
    match change {
        Change::CreateOrg(org) => {
            let command = CreateOrg { name: org.name.to_owned(), limits: OrgLimits::default() };
            ledger.manage_org(org.id(), command, by).await?;
        }
        Change::Suspend(org, reason) => {
            ledger.manage_org(org.id(), SuspendOrg { reason: why(reason) }, by).await?;
        }
        Change::Resume(org) => drop(ledger.manage_org(org.id(), ResumeOrg, by).await?),
        Change::Relabel(role, labels) => drop(ledger.manage_key(role.key()?, Relabel { labels }, by).await?),
        Change::SetLimits(role, limits) => {
            ledger
                .manage_key(role.key()?, SetLimits { limits: limits.to_ledger(), bounds: None }, by)
                .await?;
        }
        Change::Block(role, reason) => {
            ledger.manage_key(role.key()?, Block { reason: why(reason) }, by).await?;
        }
        Change::Revoke(role, reason) => {
            ledger.revoke_key(role.key()?, Revoke { reason: why(reason) }, by).await?;
        }
        Change::ClearModel(role, model) => {
            let (provider, provider_model) = (OPENAI.to_owned(), model.to_owned());
            ledger.manage_key(role.key()?, ClearModel { provider, provider_model }, by).await?;
        }
    }
    Ok(())
}
