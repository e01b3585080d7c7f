//! May this key make this call? The guards stand in the order in which they are checked.

use std::net::IpAddr;
use std::sync::Arc;

use nemo_events::key::{CallAuthorized, Client, Hold, KeyDigestRenewed, KeySecret};
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WhenShort, WindowKind};
use nemo_events::price::PriceCard;
use nemo_events::{CallId, Day, Digest, KeyEvent, Nanos, PepperId, PriceCardId, RequestId, Timestamp};

use super::KeyCommand;
use super::slices::{LetGo, and_return};
use crate::budget::window_end;
use crate::hold::{Ask, hold, largest_output_alone, largest_output_limit};
use crate::key::{HoldTokens, SecretState, Status};
use crate::org::{OrgView, SlicesNeeded, Standing};
use crate::refusal::{AllotmentNeeded, BudgetOwner, BudgetShort, PriceRefusal, SliceShort};
use crate::repeat::{Once, SameBody};
use crate::{KeyState, Refusal, network};

/// Output limit that a request without one gets, unless the key says otherwise.
const DEFAULT_OUTPUT_TOKENS: u64 = 4_096;
const DEFAULT_REASONING_OUTPUT_TOKENS: u64 = 16_384;
/// Below this a limit that the budget dictates would cut most answers short: refused instead.
const LEAST_OUTPUT_TOKENS: u64 = 1_024;
const LEAST_REASONING_OUTPUT_TOKENS: u64 = 8_192;

/// The digests of a presented key under every pepper in use.
#[derive(Clone, PartialEq, Eq)]
pub struct PresentedSecret {
    /// One digest for each pepper, the current pepper's first.
    pub digests: Vec<(PepperId, Digest)>,
}

impl std::fmt::Debug for PresentedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PresentedSecret(…)")
    }
}

/// A model at a provider, with its price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
    /// The card's name.
    pub card_id: PriceCardId,
    /// The card.
    pub card: Arc<PriceCard>,
}

/// Asks for one call.
#[derive(Debug, Clone)]
pub struct Authorize {
    /// The call.
    pub call: CallId,
    /// The request that it serves.
    pub request: RequestId,
    /// Which attempt at the request it is, from 1.
    pub attempt: u32,
    /// What the caller presented.
    pub presented: PresentedSecret,
    /// The key's org, as this node knows it.
    pub org: OrgView,
    /// Where the call comes from.
    pub address: IpAddr,
    /// What is recorded of the caller.
    pub client: Client,
    /// The route.
    pub endpoint: Endpoint,
    /// The model as the caller named it.
    pub model: String,
    /// The model's price, or why there is none.
    pub priced: Result<Priced, PriceRefusal>,
    /// What is asked for.
    pub ask: Ask,
    /// How long the call may take, in seconds.
    pub deadline_secs: u32,
    /// Claims of the caller, checked for number and length before.
    pub tags: Vec<String>,
    /// The answer streams.
    pub streams: bool,
    /// The provider runs tools or the like, so that output is hidden even for a plain model.
    pub hidden_output: bool,
    /// With an idempotency key: the request under every pepper in use, the current one first. Else empty.
    pub once: Vec<Once>,
}

impl KeyCommand for Authorize {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.ok_or(Refusal::InvalidKey)?;
        if key.knows_call(self.call) {
            return Ok(Vec::new());
        }
        let secret_version = authenticate(key, &self.presented, self.org.standing, now)?;
        self.guard_scope(&key.limits)?;
        self.guard_repeat(key, now)?;
        let priced = self.priced.as_ref().map_err(|why| Refusal::Price(why.clone()))?;
        self.guard_flag(key, priced)?;
        let granted = grant(key, &priced.card, self, now)?;
        let allotted = guard_slice(key, self.org.slices, granted.hold.amount, now)?;
        let event = CallAuthorized {
            call: self.call,
            request: self.request,
            attempt: self.attempt,
            secret_version,
            endpoint: self.endpoint,
            model: self.model.clone(),
            provider: priced.provider.clone(),
            provider_model: priced.provider_model.clone(),
            price_card: priced.card_id,
            hold: granted.hold,
            output_limit: granted.output_limit,
            output_limit_set: self.ask.output_limit != Some(granted.output_limit),
            deadline: now.plus_secs(i64::from(self.deadline_secs)),
            labels_revision: key.labels_revision,
            client: self.client.clone(),
            tags: self.tags.clone(),
            streams: self.streams,
            hidden_output: self.hidden_output || priced.card.reasoning || self.ask.choices > 1,
            idempotency_key: self.once.first().map(|once| once.key),
            body: self.once.first().map(|once| once.body),
            allotted,
        };
        // Written with the call that proves the secret, so that it costs no append and delays nothing.
        let renewed = renewal(key, &self.presented).map(KeyEvent::from);
        let events = renewed.into_iter().chain([event.into()]).collect();
        Ok(and_return(key, events, now, if allotted { LetGo::Expired } else { LetGo::All }))
    }
}

impl Authorize {
    fn guard_scope(&self, limits: &KeyLimits) -> Result<(), Refusal> {
        guard_address(limits, self.address)?;
        self.guard_endpoint(limits)?;
        self.guard_model(limits)
    }

    pub(super) fn guard_endpoint(&self, limits: &KeyLimits) -> Result<(), Refusal> {
        match &limits.endpoints {
            Some(allowed) if !allowed.contains(&self.endpoint) => {
                Err(Refusal::EndpointNotAllowed(self.endpoint))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn guard_model(&self, limits: &KeyLimits) -> Result<(), Refusal> {
        match &limits.models {
            Some(allowed) if !allowed.iter().any(|pattern| model_matches(pattern, &self.model)) => {
                Err(Refusal::ModelNotAllowed(self.model.clone()))
            }
            _ => Ok(()),
        }
    }

    /// A request that was sent before gets no second call, whatever has become of prices and budgets since.
    pub(super) fn guard_repeat(&self, key: &KeyState, now: Timestamp) -> Result<(), Refusal> {
        let Some((made, same_body)) = key.repeats.find(&self.once, now) else { return Ok(()) };
        if same_body == SameBody::No {
            return Err(Refusal::IdempotencyKeyReused);
        }
        let Some(billed) = made.billed else { return Err(Refusal::CallRunning(made.call)) };
        // It may have been corrected since.
        let charged = key.ended_calls.get(&made.call).map_or(billed.charged, |ended| ended.charged);
        Err(Refusal::CallAlreadyBilled { call: made.call, charged, status: billed.status })
    }

    pub(super) fn guard_flag(&self, key: &KeyState, priced: &Priced) -> Result<(), Refusal> {
        let flagged = key
            .flagged_models
            .iter()
            .any(|(provider, model)| *provider == priced.provider && *model == priced.provider_model);
        if flagged { Err(Refusal::ModelFlagged(self.model.clone())) } else { Ok(()) }
    }
}

/// Finds the version of the presented secret and checks that the key may be used at all. Named
/// refusals come only once the secret matched.
///
/// # Errors
/// The refusal, by name.
pub fn authenticate(
    key: &KeyState,
    presented: &PresentedSecret,
    org: Standing,
    now: Timestamp,
) -> Result<u32, Refusal> {
    let secret = presented_secret(key, presented).ok_or(Refusal::InvalidKey)?;
    match key.status {
        Status::Revoked => return Err(Refusal::Revoked),
        Status::Blocked => return Err(Refusal::Blocked),
        Status::Active => {}
    }
    match org {
        Standing::Suspended => return Err(Refusal::OrgSuspended),
        Standing::Archived => return Err(Refusal::OrgArchived),
        Standing::Active => {}
    }
    if !secret.works_at(now) {
        return Err(Refusal::SecretRotated);
    }
    if key.limits.expires_at.is_some_and(|expiry| now >= expiry) {
        return Err(Refusal::Expired);
    }
    Ok(secret.secret.version)
}

/// Checks that the key may be used from an address.
///
/// # Errors
/// [`Refusal::AddressNotAllowed`]
pub fn guard_address(limits: &KeyLimits, address: IpAddr) -> Result<(), Refusal> {
    match &limits.addresses {
        Some(nets) if !nets.iter().any(|net| network::contains(net, address)) => {
            Err(Refusal::AddressNotAllowed)
        }
        _ => Ok(()),
    }
}

fn presented_secret<'key>(key: &'key KeyState, presented: &PresentedSecret) -> Option<&'key SecretState> {
    key.secrets.iter().find(|s| presented.digests.iter().any(|(pepper, digest)| s.is(pepper, digest)))
}

/// The presented secret's digest under the current pepper, if the key still has it under an older one. A
/// pepper that the caller's node does not know is newer than its own, and is left alone.
fn renewal(key: &KeyState, presented: &PresentedSecret) -> Option<KeyDigestRenewed> {
    let kept = &presented_secret(key, presented)?.secret;
    let ((current, digest), older) = presented.digests.split_first()?;
    let under_older = older.iter().any(|(pepper, _)| *pepper == kept.pepper);
    under_older.then(|| KeyDigestRenewed {
        secret: KeySecret { digest: *digest, pepper: current.clone(), ..kept.clone() },
    })
}

/// Whether a model's name matches a pattern in which `*` stands for any run of characters.
#[must_use]
pub fn model_matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(found) = name.find(part) else { return false };
        name = name.get(found.saturating_add(part.len())..).unwrap_or_default();
    }
    name.ends_with(last)
}

/// What a call is given: its output limit and its hold.
pub(super) struct Granted {
    pub(super) output_limit: u64,
    pub(super) hold: Hold,
}

fn grant(key: &KeyState, card: &PriceCard, asked: &Authorize, now: Timestamp) -> Result<Granted, Refusal> {
    let granted = size(key, card, asked, now)?;
    guard_size(&key.limits, &granted.hold)?;
    guard_concurrency(key)?;
    guard_requests(key, asked.attempt, now)?;
    guard_tokens(key, &granted.hold, now)?;
    guard_budgets(key, card, asked, &granted, now)?;
    if key.windows.has_room(now, granted.hold.amount) { Ok(granted) } else { Err(out_of_range()) }
}

/// What the call is given if nothing else stands in its way.
pub(super) fn size(
    key: &KeyState,
    card: &PriceCard,
    asked: &Authorize,
    now: Timestamp,
) -> Result<Granted, Refusal> {
    let (ask, slices) = (&asked.ask, asked.org.slices);
    if let Some(asked) = ask.output_limit.filter(|asked| *asked > card.max_output_tokens) {
        return Err(Refusal::OutputLimitTooHigh { asked, model_max: card.max_output_tokens });
    }
    let output_limit = match ask.output_limit {
        None => least_default(key, slices, card, ask, now),
        Some(asked) if key.limits.when_short == WhenShort::Clamp => {
            // Where the org has nothing to allot, others may have some of it idle: it is asked for what the key may.
            let fits = fitting_output_limit(key, slices, card, ask, now)
                .or_else(|| fitting_output_limit(key, SlicesNeeded::Assumed, card, ask, now));
            // At least one token, or it is refused with the limit that was asked for.
            fits.map_or(asked, |fits| fits.min(asked))
        }
        Some(asked) => asked,
    };
    Ok(Granted { output_limit, hold: checked_hold(card, ask, output_limit)? })
}

fn default_output_limit(limits: &KeyLimits, card: &PriceCard) -> u64 {
    let (chosen, plain) = if card.reasoning {
        (limits.default_reasoning_output_tokens, DEFAULT_REASONING_OUTPUT_TOKENS)
    } else {
        (limits.default_output_tokens, DEFAULT_OUTPUT_TOKENS)
    };
    chosen.map_or(plain, u64::from).min(card.max_output_tokens)
}

fn checked_hold(card: &PriceCard, ask: &Ask, output_limit: u64) -> Result<Hold, Refusal> {
    hold(card, ask, output_limit).map_err(|_| out_of_range())
}

fn out_of_range() -> Refusal {
    Refusal::Price(PriceRefusal::NotPriceable("the call's cost is out of range".to_owned()))
}

/// The limit for a request without one: the least of model's maximum, key's default and what a
/// quarter of what is free pays for; but no lower than is useful, and then the budgets refuse it.
fn least_default(key: &KeyState, slices: SlicesNeeded, card: &PriceCard, ask: &Ask, now: Timestamp) -> u64 {
    let wanted = default_output_limit(&key.limits, card);
    let least = if card.reasoning { LEAST_REASONING_OUTPUT_TOKENS } else { LEAST_OUTPUT_TOKENS };
    let free = key.limits.budgets.iter().map(|budget| free(key, budget, now));
    let quarters = free.chain(free_of_org(key, slices, now)).map(|free| a_quarter_pays(card, ask, free));
    quarters.fold(wanted, u64::min).max(least.min(wanted))
}

/// The largest output limit whose output alone costs at most a quarter of an amount.
fn a_quarter_pays(card: &PriceCard, ask: &Ask, amount: Nanos) -> u64 {
    let quarter = Nanos::from_nanos(amount.as_nanos().checked_div(4).unwrap_or_default());
    largest_output_alone(card, ask, quarter)
}

/// The largest output limit whose hold fits every budget and the key's limit for one call; at least 1.
fn fitting_output_limit(
    key: &KeyState,
    slices: SlicesNeeded,
    card: &PriceCard,
    ask: &Ask,
    now: Timestamp,
) -> Option<u64> {
    let budgets = key.limits.budgets.iter().map(|budget| free(key, budget, now));
    let amounts = budgets.chain(key.limits.max_call_cost).chain(free_of_org(key, slices, now));
    let limits = amounts.map(|amount| largest_output_limit(card, ask, amount).unwrap_or_default());
    Some(limits.fold(card.max_output_tokens, u64::min)).filter(|limit| *limit > 0)
}

pub(super) fn guard_size(limits: &KeyLimits, hold: &Hold) -> Result<(), Refusal> {
    match limits.max_call_cost {
        Some(limit) if hold.amount > limit => Err(Refusal::CallTooDear { needed: hold.amount, limit }),
        _ => Ok(()),
    }
}

pub(super) fn guard_concurrency(key: &KeyState) -> Result<(), Refusal> {
    let open = u64::try_from(key.open_calls.len()).unwrap_or(u64::MAX);
    match key.limits.concurrent_calls {
        Some(limit) if open >= u64::from(limit) => Err(Refusal::Concurrency { limit }),
        _ => Ok(()),
    }
}

/// Further attempts serve a request that was counted: the rate of requests does not bind them.
pub(super) fn guard_requests(key: &KeyState, attempt: u32, now: Timestamp) -> Result<(), Refusal> {
    let Some(limit) = key.limits.requests_per_minute.filter(|_| attempt <= 1) else { return Ok(()) };
    let admitted = key.request_rate.admits(u64::from(limit), 1, now);
    admitted.map_err(|retry_after_micros| Refusal::RequestRate { limit, retry_after_micros })
}

pub(super) fn guard_tokens(key: &KeyState, hold: &Hold, now: Timestamp) -> Result<(), Refusal> {
    let Some(limit) = key.limits.tokens_per_minute else { return Ok(()) };
    let needed = hold.tokens();
    if needed > limit {
        return Err(Refusal::TokensAboveRate { needed, limit });
    }
    let admitted = key.token_rate.admits(limit, needed, now);
    admitted.map_err(|retry_after_micros| Refusal::TokenRate { limit, retry_after_micros })
}

/// Checks every budget. A call that one of them can never take is told so, even where another is merely held.
fn guard_budgets(
    key: &KeyState,
    card: &PriceCard,
    asked: &Authorize,
    granted: &Granted,
    now: Timestamp,
) -> Result<(), Refusal> {
    let mut held = None;
    for short in short_budgets(key, card, asked, granted, now) {
        if matches!(short, Refusal::BudgetExceeded(_)) {
            return Err(short);
        }
        held.get_or_insert(short);
    }
    held.map_or(Ok(()), Err)
}

/// The key's budgets that do not take the call now, in the order of [`WindowKind::ALL`].
pub(super) fn short_budgets(
    key: &KeyState,
    card: &PriceCard,
    asked: &Authorize,
    granted: &Granted,
    now: Timestamp,
) -> impl Iterator<Item = Refusal> {
    let (ask, slices) = (&asked.ask, asked.org.slices);
    let takes = move |amount: Nanos| {
        let quarter_keeps = || granted.output_limit <= a_quarter_pays(card, ask, amount);
        granted.hold.amount <= amount && (ask.output_limit.is_some() || quarter_keeps())
    };
    let budgets = WindowKind::ALL.iter().filter_map(|k| key.limits.budgets.iter().find(|b| b.window == *k));
    budgets.filter(move |budget| !takes(free(key, budget, now))).map(move |budget| {
        let window = key.windows.at(budget.window, now);
        let short = BudgetShort {
            of: BudgetOwner::Key,
            window: budget.window,
            limit: budget.limit,
            settled: window.settled,
            held: window.held,
            needed: granted.hold.amount,
            resets_at: window_end(budget.window, window.start),
            output_limit_that_fits: fitting_output_limit(key, slices, card, ask, now),
        };
        if budget.limit.checked_sub(window.settled).is_some_and(takes) {
            Refusal::BudgetHeld(short)
        } else {
            Refusal::BudgetExceeded(short)
        }
    })
}

/// What a budget has left: its limit less what settled and what is held. Below zero where the limit
/// was lowered or a provider reported too much: then not even a call without a cost fits.
fn free(key: &KeyState, budget: &Budget, now: Timestamp) -> Nanos {
    let window = key.windows.at(budget.window, now);
    let used = window.settled.checked_add(window.held).unwrap_or(Nanos::MAX);
    budget.limit.checked_sub(used).unwrap_or(Nanos::from_nanos(i64::MIN))
}

/// What could be had of the org's budgets: what is idle in the key's slice, and what is free, as this node knows it.
fn free_of_org(key: &KeyState, slices: SlicesNeeded, now: Timestamp) -> Option<Nanos> {
    match slices {
        SlicesNeeded::Yes { free, .. } => {
            let idle = key.slices.of(Day::of(now)).idle();
            Some(idle.checked_add(free.max(Nanos::ZERO)).unwrap_or(Nanos::MAX))
        }
        SlicesNeeded::No { .. } | SlicesNeeded::Assumed => None,
    }
}

/// Whether the call draws on today's slice of the org's budgets, which must have the hold idle. The last guard:
/// what is missing costs the org's stream an event.
fn guard_slice(key: &KeyState, slices: SlicesNeeded, hold: Nanos, now: Timestamp) -> Result<bool, Refusal> {
    let known = key.slices.required_since();
    let since = match slices {
        SlicesNeeded::Assumed => return Ok(true),
        SlicesNeeded::No { as_of } if known > as_of => {
            return Err(Refusal::Allotment(AllotmentNeeded::LaterView));
        }
        SlicesNeeded::No { .. } => return Ok(false),
        SlicesNeeded::Yes { since, .. } => Some(since),
    };
    if known > since {
        return Err(Refusal::Allotment(AllotmentNeeded::LaterView));
    }
    if let Some(since) = since.filter(|_| known < since) {
        return Err(Refusal::Allotment(AllotmentNeeded::Notice(since)));
    }
    let day = Day::of(now);
    let slice = key.slices.of(day);
    let idle = slice.idle();
    if hold <= idle {
        return Ok(true);
    }
    Err(Refusal::Allotment(AllotmentNeeded::Slice(SliceShort { day, received: slice.received, idle, hold })))
}
