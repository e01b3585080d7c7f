//! The output limit that a call gets: its own, a default, or one lowered to what is free.

use nemo_events::limits::WindowKind::{Day, Month};
use nemo_events::limits::{KeyLimits, WhenShort};
use nemo_events::price::{PriceCard, Tier};
use nemo_projections::Refusal;
use nemo_projections::decide::Authorize;
use nemo_projections::testing::KeyHistory;

use crate::support::{
    admits, ask, asking, budgets, call_id, card, exceeded, granted, held, key, nanos, noon, rate, unlimited,
    void, with_card,
};

/// What so many tokens out cost.
const fn output(tokens: i64) -> i64 {
    tokens * 10_000
}

/// What the input of the calls here costs.
const INPUT: i64 = 100 * 1_000;

fn open_ended(n: u128) -> Authorize {
    asking(n, ask(100, None))
}

fn reasoning() -> PriceCard {
    PriceCard { reasoning: true, max_output_tokens: 65_536, ..card() }
}

fn limit(key: &KeyHistory, command: &Authorize) -> u64 {
    granted(key, command, noon()).output_limit
}

fn with_defaults(plain: u32, reasoning: u32) -> KeyLimits {
    KeyLimits {
        default_output_tokens: Some(plain),
        default_reasoning_output_tokens: Some(reasoning),
        ..unlimited()
    }
}

#[test]
fn a_request_without_a_limit_gets_4_096_or_16_384_for_reasoning_models() {
    let key = key(unlimited());
    assert_eq!(limit(&key, &open_ended(1)), 4_096);
    assert_eq!(limit(&key, &with_card(reasoning(), ask(100, None))), 16_384);
}

#[test]
fn the_key_can_have_other_defaults() {
    let key = key(with_defaults(500, 20_000));
    assert_eq!(limit(&key, &open_ended(1)), 500);
    assert_eq!(limit(&key, &with_card(reasoning(), ask(100, None))), 20_000);
}

#[test]
fn a_default_is_never_above_the_models_maximum() {
    let small = PriceCard { max_output_tokens: 300, ..card() };
    assert_eq!(limit(&key(unlimited()), &with_card(small, ask(100, None))), 300);
    assert_eq!(limit(&key(with_defaults(9_000, 1)), &open_ended(1)), 8_192);
}

#[test]
fn the_event_says_whether_the_limit_was_nemos() {
    let key = key(unlimited());
    assert!(granted(&key, &open_ended(1), noon()).output_limit_set);
    assert!(!granted(&key, &asking(1, ask(100, 4_096)), noon()).output_limit_set);
}

#[test]
fn a_default_takes_at_most_a_quarter_of_what_is_free() {
    let with_free = |free| key(budgets(&[(Day, free)]));
    assert_eq!(limit(&with_free(4 * output(4_096)), &open_ended(1)), 4_096);
    assert_eq!(limit(&with_free(4 * output(4_096) - 1), &open_ended(1)), 4_095);
    assert_eq!(limit(&with_free(4 * output(2_000) + 39_999), &open_ended(1)), 2_000);
}

#[test]
fn the_tightest_budget_counts() {
    let key = key(budgets(&[(Day, 4 * output(3_000)), (Month, 4 * output(2_000))]));
    assert_eq!(limit(&key, &open_ended(1)), 2_000);
}

#[test]
fn what_is_free_is_less_what_others_hold() {
    let mut key = key(budgets(&[(Day, 4 * output(2_000) + INPUT + output(100))]));
    key.execute(&asking(9, ask(100, 100)), noon()).unwrap();
    assert_eq!(limit(&key, &open_ended(1)), 2_000);
}

#[test]
fn a_quarter_is_shared_by_all_choices_and_priced_at_the_tier_that_the_call_reaches() {
    let key = key(budgets(&[(Day, 4 * output(4_000))]));
    let mut two = ask(100, None);
    two.choices = 2;
    assert_eq!(limit(&key, &asking(1, two)), 2_000);
    let mut tiered = card();
    let mut dear = tiered.rates;
    dear.output = rate("20");
    tiered.tiers = vec![Tier { above_input_tokens: 99, rates: dear }];
    assert_eq!(limit(&key, &with_card(tiered.clone(), ask(99, None))), 4_000);
    assert_eq!(limit(&key, &with_card(tiered, ask(100, None))), 2_000);
}

#[test]
fn a_default_below_1_024_is_refused_with_a_limit_that_fits() {
    let enough = 4 * output(1_024);
    assert_eq!(limit(&key(budgets(&[(Day, enough)])), &open_ended(1)), 1_024);
    let key = key(budgets(&[(Day, enough - 1)]));
    let short = exceeded(&key, &open_ended(1), noon());
    assert_eq!(short.needed, nanos(INPUT + output(1_024)));
    let fits = short.output_limit_that_fits.unwrap();
    assert_eq!(fits, 4_085, "an explicit limit may take all that is free");
    assert!(admits(&key, &asking(1, ask(100, fits)), noon()));
    assert!(!admits(&key, &asking(1, ask(100, fits + 1)), noon()));
}

#[test]
fn a_reasoning_default_below_8_192_is_refused() {
    let asked = with_card(reasoning(), ask(100, None));
    let enough = 4 * output(8_192);
    assert_eq!(limit(&key(budgets(&[(Day, enough)])), &asked), 8_192);
    let short = exceeded(&key(budgets(&[(Day, enough - 1)])), &asked, noon());
    assert_eq!(short.needed, nanos(INPUT + output(8_192)));
}

#[test]
fn a_key_or_model_with_less_than_the_least_needs_only_that() {
    let limits = KeyLimits {
        budgets: budgets(&[(Day, 4 * output(10))]).budgets,
        unlimited: false,
        ..with_defaults(10, 10)
    };
    let dear_input = key(limits);
    assert_eq!(limit(&dear_input, &asking(1, ask(1, None))), 10);
    let tiny = PriceCard { max_output_tokens: 10, ..card() };
    let poor = key(budgets(&[(Day, 4 * output(10) - 1)]));
    assert_eq!(exceeded(&poor, &with_card(tiny, ask(1, None)), noon()).needed, nanos(1_000 + output(10)));
}

#[test]
fn the_limit_that_fits_is_never_above_the_models_maximum() {
    let small = PriceCard { max_output_tokens: 2_000, ..card() };
    let key = key(budgets(&[(Day, 4 * output(1_024) - 1)]));
    let short = exceeded(&key, &with_card(small, ask(100, None)), noon());
    assert_eq!(short.output_limit_that_fits, Some(2_000));
}

#[test]
fn a_default_that_would_be_useful_but_for_calls_in_flight_is_held() {
    let limit = 4 * output(1_024);
    let mut key = key(budgets(&[(Day, limit)]));
    key.execute(&asking(9, ask(1, 0)), noon()).unwrap();
    assert_eq!(held(&key, &open_ended(1), noon()).held, nanos(1_000));
    key.execute(&void(9), noon()).unwrap();
    assert!(admits(&key, &open_ended(1), noon()));
}

#[test]
fn a_default_that_never_was_useful_is_exceeded_even_with_calls_in_flight() {
    let mut key = key(budgets(&[(Day, 4 * output(1_024) - 1)]));
    key.execute(&asking(9, ask(1, 0)), noon()).unwrap();
    exceeded(&key, &open_ended(1), noon());
}

#[test]
fn a_budget_that_a_default_can_never_use_is_named_before_one_that_is_held() {
    let mut key = key(budgets(&[(Day, 4 * output(1_024)), (Month, 4 * output(1_024) - 1)]));
    key.execute(&asking(9, ask(1, 0)), noon()).unwrap();
    assert_eq!(exceeded(&key, &open_ended(1), noon()).window, Month);
}

#[test]
fn output_that_costs_nothing_needs_no_quarter() {
    let mut free = card();
    free.rates.output = rate("0");
    let key = key(budgets(&[(Day, INPUT)]));
    assert_eq!(limit(&key, &with_card(free, ask(100, None))), 4_096);
}

fn clamping(limits: KeyLimits) -> KeyHistory {
    key(KeyLimits { when_short: WhenShort::Clamp, ..limits })
}

#[test]
fn a_clamping_key_lowers_an_explicit_limit_to_what_is_free_and_says_so() {
    let key = clamping(budgets(&[(Day, INPUT + output(70)), (Month, INPUT + output(60) + 9_999)]));
    let event = granted(&key, &asking(1, ask(100, 100)), noon());
    assert_eq!((event.output_limit, event.output_limit_set), (60, true));
    assert_eq!(event.hold.amount, nanos(INPUT + output(60)));
    let untouched = granted(&key, &asking(1, ask(100, 60)), noon());
    assert_eq!((untouched.output_limit, untouched.output_limit_set), (60, false));
}

#[test]
fn a_clamping_key_lowers_to_its_limit_for_one_call_too() {
    let key = clamping(KeyLimits { max_call_cost: Some(nanos(INPUT + output(7))), ..unlimited() });
    assert_eq!(limit(&key, &asking(1, ask(100, 100))), 7);
}

#[test]
fn a_clamping_key_refuses_where_not_one_token_fits() {
    let short =
        exceeded(&clamping(budgets(&[(Day, INPUT + output(1) - 1)])), &asking(1, ask(100, 100)), noon());
    assert_eq!(short.needed, nanos(INPUT + output(100)));
    assert_eq!(limit(&clamping(budgets(&[(Day, INPUT + output(1))])), &asking(1, ask(100, 100))), 1);
}

#[test]
fn a_clamping_key_does_not_clamp_defaults_below_the_useful() {
    exceeded(&clamping(budgets(&[(Day, 4 * output(1_024) - 1)])), &open_ended(1), noon());
}

#[test]
fn clamping_never_forgives_a_limit_above_the_models() {
    let refusal = Refusal::OutputLimitTooHigh { asked: 8_193, model_max: 8_192 };
    clamping(budgets(&[(Day, INPUT)])).when(&asking(1, ask(100, 8_193)), noon()).then_refused(&refusal);
}

#[test]
fn a_clamped_call_takes_what_others_left() {
    let mut key = clamping(budgets(&[(Day, 2 * INPUT + output(150))]));
    key.execute(&asking(1, ask(100, 100)), noon()).unwrap();
    let second = Authorize { call: call_id(2), ..asking(2, ask(100, 100)) };
    assert_eq!(limit(&key, &second), 50);
}
