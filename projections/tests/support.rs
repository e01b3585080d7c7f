//! Small words for the tests: one key, one card, one call, and how they vary.
//!
//! The card costs 1,000 nano-dollars for a token in and 10,000 for a token out, so that most sums
//! can be done in the head.

use std::net::IpAddr;
use std::sync::Arc;

use nemo_events::key::{
    BoundBasis, CallAuthorized, Client, Ending, Evidence, ForfeitReason, KeyCreated, KeySecret, Labels,
    VoidReason,
};
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WindowKind};
use nemo_events::price::{PriceCard, Rates};
use nemo_events::{CallId, Digest, KeyEvent, Nanos, OrgId, Rate, RequestId, Timestamp, Usage};
use nemo_projections::decide::{
    Authorize, Forfeit, ForfeitCharge, Forfeiter, KeyCommand, PresentedSecret, Priced, Settle, Void,
};
use nemo_projections::hold::Ask;
use nemo_projections::org::Standing;
use nemo_projections::refusal::BudgetShort;
use nemo_projections::repeat::Once;
use nemo_projections::testing::{KeyHistory, given};
use nemo_projections::{KeyState, Refusal};
use proptest::test_runner::Config;
use uuid::Uuid;

/// So many cases of a property, or as many as `PROPTEST_CASES` says, for a long night.
pub(crate) fn cases(few: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").map_or(few, |cases| cases.parse().unwrap());
    Config::with_cases(cases)
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A Wednesday in the middle of a month.
pub(crate) fn noon() -> Timestamp {
    at("2026-11-18T12:00:00Z")
}

pub(crate) fn later(moment: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(moment.as_micros() + micros)
}

pub(crate) fn nanos(amount: i64) -> Nanos {
    Nanos::from_nanos(amount)
}

pub(crate) fn rate(dollars_per_million: &str) -> Rate {
    dollars_per_million.parse().unwrap()
}

pub(crate) fn call_id(n: u128) -> CallId {
    CallId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn org_id() -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(0x0e9))
}

pub(crate) fn labels(name: &str) -> Labels {
    Labels { name: name.to_owned(), ..Labels::default() }
}

pub(crate) fn unlimited() -> KeyLimits {
    KeyLimits { unlimited: true, ..KeyLimits::default() }
}

pub(crate) fn budget(window: WindowKind, limit: i64) -> Budget {
    Budget { window, limit: nanos(limit), alert_at_percent: None }
}

pub(crate) fn budgets(all: &[(WindowKind, i64)]) -> KeyLimits {
    let budgets = all.iter().map(|(window, limit)| budget(*window, *limit)).collect();
    KeyLimits { budgets, ..KeyLimits::default() }
}

pub(crate) fn secret(version: u32) -> KeySecret {
    KeySecret {
        version,
        digest: Digest::of(&version.to_be_bytes()),
        pepper: "pepper-1".parse().unwrap(),
        last_four: format!("aa{version:02}"),
    }
}

pub(crate) fn presented(version: u32) -> PresentedSecret {
    let KeySecret { pepper, digest, .. } = secret(version);
    PresentedSecret { digests: vec![(pepper, digest)] }
}

pub(crate) fn created(limits: KeyLimits) -> KeyEvent {
    KeyCreated { org: org_id(), labels: labels("nightly"), limits, secret: secret(1) }.into()
}

/// A key that was created long ago.
pub(crate) fn key(limits: KeyLimits) -> KeyHistory {
    given([(at("2026-01-01T00:00:00Z"), created(limits))])
}

pub(crate) fn card() -> PriceCard {
    PriceCard {
        provider: "acme".to_owned(),
        model: "acme-large-1".to_owned(),
        rates: Rates { input: rate("1"), output: rate("10"), ..Rates::default() },
        tiers: Vec::new(),
        context_window: 100_000,
        max_output_tokens: 8_192,
        reasoning: false,
        tokenizer: None,
        source: "test".to_owned(),
    }
}

pub(crate) fn priced(card: PriceCard) -> Priced {
    Priced {
        provider: card.provider.clone(),
        provider_model: card.model.clone(),
        card_id: card.id().unwrap(),
        card: Arc::new(card),
    }
}

pub(crate) fn ask(input_tokens: u64, output_limit: impl Into<Option<u64>>) -> Ask {
    Ask { input_tokens, basis: BoundBasis::Bytes, output_limit: output_limit.into(), choices: 1 }
}

/// A request with this idempotency key and this body.
pub(crate) fn once(key: &str, body: &str) -> Once {
    Once { key: Digest::of(key.as_bytes()), body: Digest::of(body.as_bytes()) }
}

/// A plain call: 100 tokens in, at most 100 out; its hold is [`HOLD`].
pub(crate) fn call(n: u128) -> Authorize {
    Authorize {
        call: call_id(n),
        request: RequestId::from_uuid(Uuid::from_u128(n)),
        attempt: 1,
        presented: presented(1),
        org: Standing::Active.into(),
        address: IpAddr::from([203, 0, 113, 7]),
        client: Client::default(),
        endpoint: Endpoint::ChatCompletions,
        model: "large".to_owned(),
        priced: Ok(priced(card())),
        ask: ask(100, 100),
        deadline_secs: 600,
        tags: Vec::new(),
        streams: false,
        hidden_output: false,
        once: Vec::new(),
    }
}

/// What [`call`] holds.
pub(crate) const HOLD: i64 = 100 * 1_000 + 100 * 10_000;

/// A call that asks for something else.
pub(crate) fn asking(n: u128, ask: Ask) -> Authorize {
    Authorize { ask, ..call(n) }
}

/// A call with another card.
pub(crate) fn with_card(card: PriceCard, ask: Ask) -> Authorize {
    Authorize { priced: Ok(priced(card)), ask, ..call(1) }
}

pub(crate) fn tokens(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

pub(crate) fn settle(n: u128, usage: Usage, evidence: Evidence) -> Settle {
    Settle {
        call: call_id(n),
        card: Arc::new(card()),
        usage,
        evidence,
        ending: Ending::Completed,
        provider_request: Some("chatcmpl-1".to_owned()),
        status: Some(200),
        first_byte_ms: Some(180),
        duration_ms: 900,
    }
}

pub(crate) fn reported(n: u128, input: u64, output: u64) -> Settle {
    settle(n, tokens(input, output), Evidence::Reported)
}

pub(crate) fn void(n: u128) -> Void {
    Void { call: call_id(n), reason: VoidReason::NotConnected, status: None, duration_ms: 3 }
}

pub(crate) fn forfeit(n: u128, charge: ForfeitCharge, by: Forfeiter) -> Forfeit {
    Forfeit { call: call_id(n), charge, reason: ForfeitReason::TimedOut, by }
}

/// The authorisation that a command leads to.
pub(crate) fn granted(key: &KeyHistory, command: &Authorize, now: Timestamp) -> CallAuthorized {
    match key.when(command, now).result().unwrap().pop() {
        Some(KeyEvent::CallAuthorized(event)) => event,
        other => panic!("no authorisation but {other:?}"),
    }
}

/// The refusal that a command leads to.
pub(crate) fn refused(key: &KeyHistory, command: &impl KeyCommand, now: Timestamp) -> Refusal {
    match key.when(command, now).result() {
        Err(refusal) => refusal,
        Ok(events) => panic!("not refused: {events:?}"),
    }
}

/// What stood in the way of a call that must wait for others.
pub(crate) fn held(key: &KeyHistory, command: &impl KeyCommand, now: Timestamp) -> BudgetShort {
    match refused(key, command, now) {
        Refusal::BudgetHeld(short) => short,
        other => panic!("not held but {other:?}"),
    }
}

/// What stood in the way of a call that cannot fit.
pub(crate) fn exceeded(key: &KeyHistory, command: &impl KeyCommand, now: Timestamp) -> BudgetShort {
    match refused(key, command, now) {
        Refusal::BudgetExceeded(short) => short,
        other => panic!("not exceeded but {other:?}"),
    }
}

pub(crate) fn admits(key: &KeyHistory, command: &Authorize, now: Timestamp) -> bool {
    key.when(command, now).result().is_ok_and(|events| !events.is_empty())
}

pub(crate) fn state(key: &KeyHistory) -> &KeyState {
    key.state().unwrap()
}
