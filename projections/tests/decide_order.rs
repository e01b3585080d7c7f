//! The guards' order: where several refusals apply, the one that DESIGN section 4 lists first wins.

use nemo_events::limits::{Endpoint, KeyLimits, WindowKind};
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, Block, Revoke, Rotate, SetLimits};
use nemo_projections::org::Standing;
use nemo_projections::refusal::PriceRefusal;
use nemo_projections::testing::KeyHistory;

use crate::support::{
    HOLD, ask, asking, budget, call, card, key, nanos, noon, once, presented, priced, refused, reported,
    secret, unlimited,
};

/// What can be wrong with a call, in the order in which it is found out.
const ORDER: [&str; 20] = [
    "invalid_api_key",
    "key_revoked",
    "key_blocked",
    "org_suspended",
    "key_rotated",
    "key_expired",
    "address_not_allowed",
    "endpoint_not_allowed",
    "model_not_allowed",
    "idempotency_key_reused",
    "model_not_priced",
    "model_flagged",
    "output_limit_too_high",
    "call_too_dear",
    "concurrency_limit_exceeded",
    "rate_limit_exceeded",
    "tokens_above_rate",
    "token_limit_exceeded",
    "budget_exceeded",
    "budget_held",
];

/// A key and a call with all of these wrong, and nothing else.
fn scenario(wrong: &[&str]) -> (KeyHistory, Authorize) {
    let is = |code: &str| wrong.contains(&code);
    let before =
        KeyLimits { requests_per_minute: Some(100), tokens_per_minute: Some(1_000_000), ..unlimited() };
    let mut key = key(before);
    // One call is open, so that there is something to be held by; another may flag a model.
    let before = if is("idempotency_key_reused") { vec![once("key", "another body")] } else { Vec::new() };
    key.execute(&Authorize { once: before, ..call(900) }, noon()).unwrap();
    if is("model_flagged") {
        key.execute(&call(901), noon()).unwrap();
        key.execute(&reported(901, 100, 101), noon()).unwrap();
    }
    key.execute(&SetLimits { limits: limits(&key, wrong), bounds: None }, noon()).unwrap();
    if is("key_rotated") {
        key.execute(&Rotate { secret: secret(2), overlap_secs: 0, leaked: false }, noon()).unwrap();
    }
    if is("key_blocked") {
        key.execute(&Block { reason: None }, noon()).unwrap();
    }
    if is("key_revoked") {
        key.execute(&Revoke { reason: None }, noon()).unwrap();
    }
    (key, command(wrong))
}

fn limits(key: &KeyHistory, wrong: &[&str]) -> KeyLimits {
    let is = |code: &str| wrong.contains(&code);
    let settled = key.state().unwrap().windows.at(WindowKind::Day, noon()).settled.as_nanos();
    let mut limits = KeyLimits::default();
    if is("budget_exceeded") {
        limits.budgets.push(budget(WindowKind::Month, settled + HOLD - 1));
    }
    if is("budget_held") {
        limits.budgets.push(budget(WindowKind::Day, settled + HOLD));
    }
    limits.unlimited = limits.budgets.is_empty();
    limits.expires_at = is("key_expired").then(noon);
    limits.addresses = is("address_not_allowed").then(|| vec!["10.0.0.0/8".parse().unwrap()]);
    limits.endpoints = is("endpoint_not_allowed").then(|| vec![Endpoint::Messages]);
    limits.models = is("model_not_allowed").then(|| vec!["small".to_owned()]);
    limits.max_call_cost = is("call_too_dear").then(|| nanos(HOLD - 1));
    limits.concurrent_calls = is("concurrency_limit_exceeded").then_some(1);
    limits.requests_per_minute = is("rate_limit_exceeded").then_some(1);
    limits.tokens_per_minute = is("token_limit_exceeded").then_some(399);
    if is("tokens_above_rate") {
        limits.tokens_per_minute = Some(199);
    }
    limits
}

fn command(wrong: &[&str]) -> Authorize {
    let is = |code: &str| wrong.contains(&code);
    let mut command = call(1);
    command.presented = presented(if is("invalid_api_key") { 9 } else { 1 });
    command.org = if is("org_suspended") { Standing::Suspended } else { Standing::Active }.into();
    command.priced =
        if is("model_not_priced") { Err(PriceRefusal::ModelNotPriced) } else { Ok(priced(card())) };
    command.once = vec![once("key", "body")];
    if is("output_limit_too_high") {
        command.ask.output_limit = Some(8_193);
    }
    command
}

fn code(wrong: &[&str]) -> &'static str {
    let (key, command) = scenario(wrong);
    refused(&key, &command, noon()).code()
}

#[test]
fn nothing_wrong_is_admitted() {
    let (key, command) = scenario(&[]);
    assert!(crate::support::admits(&key, &command, noon()));
}

#[test]
fn each_refusal_comes_alone_where_only_it_applies() {
    for wrong in ORDER {
        assert_eq!(code(&[wrong]), wrong);
    }
}

#[test]
fn of_all_refusals_that_apply_the_earliest_wins() {
    for first in 0..ORDER.len() {
        assert_eq!(code(&ORDER[first..]), ORDER[first]);
    }
}

#[test]
fn of_any_two_refusals_that_apply_the_earlier_wins() {
    for (earlier, first) in ORDER.iter().enumerate() {
        for second in &ORDER[earlier + 1..] {
            assert_eq!(code(&[first, second]), *first, "{first} before {second}");
        }
    }
}

/// What whoever asks beforehand is told of all that is wrong: of what a secret may be used for and of the tokens the
/// first, and nothing behind what leaves the call without a size.
fn foreseen(wrong: &[&str]) -> Vec<&'static str> {
    let mut told: Vec<&str> = Vec::new();
    for (place, code) in ORDER.iter().enumerate().filter(|(_, code)| wrong.contains(code)) {
        let is_said = (place < 6 && !told.is_empty())
            || (*code == "token_limit_exceeded" && told.contains(&"tokens_above_rate"));
        if !is_said {
            told.push(code);
        }
        if ["model_not_priced", "output_limit_too_high"].contains(code) {
            break;
        }
    }
    told
}

#[test]
fn whoever_asks_beforehand_is_told_all_of_them_and_first_what_the_call_would_be_told() {
    let suffixes = (0..ORDER.len()).map(|first| ORDER[first..].to_vec());
    let pairs = (0..ORDER.len())
        .flat_map(|first| (first..ORDER.len()).map(move |second| vec![ORDER[first], ORDER[second]]));
    for wrong in suffixes.chain(pairs) {
        let (key, command) = scenario(&wrong);
        let outlook = command.outlook(key.state().unwrap(), noon());
        let codes: Vec<_> = outlook.obstacles.iter().map(Refusal::code).collect();
        assert_eq!(codes, foreseen(&wrong), "{wrong:?}");
        assert_eq!(outlook.obstacles[0], refused(&key, &command, noon()), "{wrong:?}");
        let is_sized = !wrong.iter().any(|code| ["model_not_priced", "output_limit_too_high"].contains(code));
        assert_eq!(outlook.size.map(|size| size.hold.amount), is_sized.then(|| nanos(HOLD)), "{wrong:?}");
    }
    let (key, command) = scenario(&[]);
    assert_eq!(command.outlook(key.state().unwrap(), noon()).obstacles, []);
}

#[test]
fn a_call_without_an_output_limit_passes_the_same_guards_before_its_budgets() {
    let poor = |limits: KeyLimits| KeyLimits {
        budgets: vec![budget(WindowKind::Day, 1_000)],
        unlimited: false,
        ..limits
    };
    let asked = asking(1, ask(100, None));
    // With nothing free the least useful output limit is 1,024, and the call is judged by that.
    let needed = 100 * 1_000 + 1_024 * 10_000;
    let dear = poor(KeyLimits { max_call_cost: Some(nanos(needed - 1)), ..unlimited() });
    let too_dear = Refusal::CallTooDear { needed: nanos(needed), limit: nanos(needed - 1) };
    key(dear).when(&asked, noon()).then_refused(&too_dear);
    let small = poor(KeyLimits { tokens_per_minute: Some(1_123), ..unlimited() });
    let above = Refusal::TokensAboveRate { needed: 1_124, limit: 1_123 };
    key(small).when(&asked, noon()).then_refused(&above);

    let mut busy = key(KeyLimits { requests_per_minute: Some(1), ..unlimited() });
    busy.execute(&call(900), noon()).unwrap();
    let limits = poor(KeyLimits { requests_per_minute: Some(1), ..unlimited() });
    busy.execute(&SetLimits { limits: limits.clone(), bounds: None }, noon()).unwrap();
    assert_eq!(refused(&busy, &asked, noon()).code(), "rate_limit_exceeded");
    let limits = KeyLimits { concurrent_calls: Some(1), ..limits };
    busy.execute(&SetLimits { limits, bounds: None }, noon()).unwrap();
    assert_eq!(refused(&busy, &asked, noon()).code(), "concurrency_limit_exceeded");

    assert_eq!(refused(&key(poor(unlimited())), &asked, noon()).code(), "budget_exceeded");
}
