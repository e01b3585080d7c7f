//! Budgets: what fits, what is exceeded, what is merely held, and what the caller is told.

use nemo_events::key::Evidence;
use nemo_events::limits::KeyLimits;
use nemo_events::limits::WindowKind::{Day, Month, Total, Week};
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, ForfeitCharge, Forfeiter, SetLimits};
use nemo_projections::refusal::{BudgetOwner, BudgetShort};
use nemo_projections::testing::KeyHistory;

use crate::support::{
    HOLD, admits, ask, asking, at, budgets, call, call_id, card, exceeded, forfeit, held, key, nanos, noon,
    rate, refused, reported, settle, state, tokens, unlimited, void, with_card,
};

fn free_of_charge(n: u128) -> Authorize {
    asking(n, ask(0, 0))
}

fn set(key: &mut KeyHistory, limits: KeyLimits) {
    key.execute(&SetLimits { limits, bounds: None }, noon()).unwrap();
}

#[test]
fn a_hold_fits_a_budget_exactly_and_not_one_nano_dollar_less() {
    assert!(admits(&key(budgets(&[(Day, HOLD)])), &call(1), noon()));
    let short = BudgetShort {
        of: BudgetOwner::Key,
        window: Day,
        limit: nanos(HOLD - 1),
        settled: nanos(0),
        held: nanos(0),
        needed: nanos(HOLD),
        resets_at: Some(at("2026-11-19T00:00:00Z")),
        output_limit_that_fits: Some(99),
    };
    key(budgets(&[(Day, HOLD - 1)])).when(&call(1), noon()).then_refused(&Refusal::BudgetExceeded(short));
}

#[test]
fn each_window_has_its_own_budget_and_any_one_can_refuse() {
    for kind in [Total, Day, Week, Month] {
        let short = exceeded(&key(budgets(&[(kind, HOLD - 1)])), &call(1), noon());
        assert_eq!(short.window, kind);
        let generous = [Total, Day, Week, Month].map(|k| (k, if k == kind { HOLD - 1 } else { 9 * HOLD }));
        assert_eq!(exceeded(&key(budgets(&generous)), &call(1), noon()).window, kind);
    }
}

#[test]
fn what_calls_hold_counts_until_they_end_and_what_they_cost_after() {
    let mut key = key(budgets(&[(Day, 2 * HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&call(2), noon()).unwrap();
    assert!(!admits(&key, &call(3), noon()));
    key.execute(&reported(1, 100, 99), noon()).unwrap();
    assert!(!admits(&key, &call(3), noon()), "10,000 nano-dollars are too little");
    key.execute(&void(2), noon()).unwrap();
    assert!(admits(&key, &call(3), noon()));
    let window = state(&key).windows.at(Day, noon());
    assert_eq!((window.settled, window.held, window.open), (nanos(HOLD - 10_000), nanos(0), 0));
}

#[test]
fn a_forfeited_call_keeps_counting() {
    let mut key = key(budgets(&[(Day, HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&forfeit(1, ForfeitCharge::Hold, Forfeiter::Owner), noon()).unwrap();
    assert_eq!(exceeded(&key, &call(2), noon()).settled, nanos(HOLD));
}

#[test]
fn a_call_that_would_fit_but_for_calls_in_flight_is_held() {
    let mut key = key(budgets(&[(Day, 2 * HOLD - 1)]));
    key.execute(&call(1), noon()).unwrap();
    let short = held(&key, &call(2), noon());
    assert_eq!((short.settled, short.held, short.needed), (nanos(0), nanos(HOLD), nanos(HOLD)));
    assert_eq!(short.output_limit_that_fits, Some(99));
}

#[test]
fn a_call_fits_but_for_calls_in_flight_up_to_the_last_nano_dollar() {
    let mut key = key(budgets(&[(Day, 2 * HOLD)]));
    key.execute(&asking(1, ask(1, 0)), noon()).unwrap();
    key.execute(&reported(1, 1, 0), noon()).unwrap();
    key.execute(&call(2), noon()).unwrap();
    set(&mut key, budgets(&[(Day, HOLD + 999)]));
    exceeded(&key, &call(3), noon());
    set(&mut key, budgets(&[(Day, HOLD + 1_000)]));
    held(&key, &call(3), noon());
}

#[test]
fn without_calls_in_flight_a_call_is_never_held() {
    let mut key = key(budgets(&[(Day, 2 * HOLD - 1)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&reported(1, 100, 100), noon()).unwrap();
    exceeded(&key, &call(2), noon());
}

#[test]
fn a_call_in_flight_in_another_window_does_not_make_a_budget_held() {
    let mut key = key(budgets(&[(Day, HOLD)]));
    key.execute(&call(1), at("2026-11-17T23:59:59Z")).unwrap();
    key.execute(&call(2), noon()).unwrap();
    key.execute(&reported(2, 100, 100), noon()).unwrap();
    exceeded(&key, &call(3), noon());
}

#[test]
fn a_budget_that_can_never_take_the_call_is_named_before_one_that_is_held() {
    let mut key = key(budgets(&[(Total, 2 * HOLD - 1), (Day, 10 * HOLD), (Month, 10 * HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    assert_eq!(held(&key, &call(2), noon()).window, Total);
    set(&mut key, budgets(&[(Total, 2 * HOLD - 1), (Day, 10 * HOLD), (Month, HOLD - 1)]));
    assert_eq!(exceeded(&key, &call(2), noon()).window, Month);
}

#[test]
fn of_several_budgets_that_are_short_the_first_in_the_order_of_kinds_is_named() {
    let all = [(Month, HOLD - 1), (Week, HOLD - 1), (Day, HOLD - 1), (Total, HOLD - 1)];
    for (first, kind) in [(0, Total), (1, Day), (2, Week), (3, Month)] {
        let kinds = [Total, Day, Week, Month];
        let some: Vec<_> = all.iter().copied().filter(|(k, _)| kinds[first..].contains(k)).collect();
        assert_eq!(exceeded(&key(budgets(&some)), &call(1), noon()).window, kind);
    }
}

#[test]
fn the_output_limit_in_the_message_fits_every_budget_and_one_more_does_not() {
    let limits =
        KeyLimits { max_call_cost: Some(nanos(5 * HOLD)), ..budgets(&[(Day, 900_000), (Month, 700_000)]) };
    let key = key(limits);
    let short = exceeded(&key, &call(1), noon());
    assert_eq!(short.window, Day);
    let fits = short.output_limit_that_fits.unwrap();
    assert_eq!(fits, 60, "700,000 less 100,000 for the input");
    assert!(admits(&key, &asking(1, ask(100, fits)), noon()));
    assert!(!admits(&key, &asking(1, ask(100, fits + 1)), noon()));
}

#[test]
fn no_output_limit_is_named_where_not_even_the_input_fits() {
    let fits = |limit| exceeded(&key(budgets(&[(Day, limit)])), &call(1), noon()).output_limit_that_fits;
    assert_eq!(fits(99_999), None);
    assert_eq!(fits(109_999), None, "a limit of zero is no answer");
    assert_eq!(fits(110_000), Some(1));
}

#[test]
fn a_limit_lowered_below_what_is_spent_stops_every_call_even_one_without_a_cost() {
    let mut key = key(budgets(&[(Day, 3 * HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&reported(1, 100, 100), noon()).unwrap();
    set(&mut key, budgets(&[(Day, HOLD)]));
    assert!(admits(&key, &free_of_charge(2), noon()), "a budget that is just used up");
    set(&mut key, budgets(&[(Day, HOLD - 1)]));
    let short = exceeded(&key, &free_of_charge(2), noon());
    assert_eq!((short.settled, short.needed), (nanos(HOLD), nanos(0)));
    assert_eq!(short.output_limit_that_fits, None);
}

#[test]
fn a_limit_lowered_below_what_is_held_holds_calls_back_until_there_is_room() {
    let mut key = key(budgets(&[(Day, 3 * HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&call(2), noon()).unwrap();
    set(&mut key, budgets(&[(Day, HOLD)]));
    let short = held(&key, &call(3), noon());
    assert_eq!((short.limit, short.held), (nanos(HOLD), nanos(2 * HOLD)));
    held(&key, &free_of_charge(3), noon());
    key.execute(&void(1), noon()).unwrap();
    held(&key, &call(3), noon());
    key.execute(&void(2), noon()).unwrap();
    assert!(admits(&key, &call(3), noon()));
}

#[test]
fn a_budget_of_nothing_lets_only_calls_without_a_cost_pass() {
    let key = key(budgets(&[(Total, 0)]));
    assert!(admits(&key, &free_of_charge(1), noon()));
    exceeded(&key, &asking(1, ask(1, 0)), noon());
}

#[test]
fn a_raised_limit_binds_at_once() {
    let mut key = key(budgets(&[(Day, HOLD - 1)]));
    assert!(!admits(&key, &call(1), noon()));
    set(&mut key, budgets(&[(Day, HOLD)]));
    assert!(admits(&key, &call(1), noon()));
}

#[test]
fn a_provider_that_bills_more_than_the_hold_leaves_the_budget_over_its_limit_and_stops_the_key() {
    let mut key = key(budgets(&[(Day, HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&settle(1, tokens(100, 101), Evidence::Reported), noon()).unwrap();
    let mut elsewhere = card();
    elsewhere.provider = "other".to_owned();
    let other = Authorize { call: call_id(2), ..with_card(elsewhere, ask(0, 0)) };
    let short = exceeded(&key, &other, noon());
    assert_eq!(short.settled, nanos(HOLD + 10_000));
}

#[test]
fn one_call_may_cost_up_to_the_keys_limit_for_one_call() {
    let limited = |limit| key(KeyLimits { max_call_cost: Some(nanos(limit)), ..unlimited() });
    assert!(admits(&limited(HOLD), &call(1), noon()));
    let refusal = Refusal::CallTooDear { needed: nanos(HOLD), limit: nanos(HOLD - 1) };
    limited(HOLD - 1).when(&call(1), noon()).then_refused(&refusal);
}

#[test]
fn amounts_beyond_64_bits_are_refused_even_to_an_unlimited_key() {
    let mut key = key(unlimited());
    let huge = |n, input_tokens: u64| {
        let mut dear = card();
        dear.rates.input = rate("9000000000");
        dear.context_window = input_tokens;
        Authorize { call: call_id(n), ..with_card(dear, ask(input_tokens, 0)) }
    };
    assert_eq!(refused(&key, &huge(1, 2_000_000), noon()).code(), "request_not_priceable");
    key.execute(&huge(1, 1_000_000), noon()).unwrap();
    assert_eq!(refused(&key, &huge(2, 1_000_000), noon()).code(), "request_not_priceable", "not two of them");
    let tomorrow = at("2026-11-19T12:00:00Z");
    assert!(!admits(&key, &huge(2, 1_000_000), tomorrow), "the total would not add up");
    assert!(admits(&key, &call(2), noon()));
}
