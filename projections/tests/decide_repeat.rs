//! A request with an idempotency key makes one call within 24 hours, however often it is sent.

use nemo_events::limits::WindowKind::Day;
use nemo_events::{CallId, Digest};
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, Correct, ForfeitCharge, Forfeiter, SetLimits};
use nemo_projections::repeat::REPEATS_KEPT;
use nemo_projections::testing::KeyHistory;

use crate::support::{
    HOLD, admits, budget, call, call_id, forfeit, key, later, nanos, noon, once, presented, reported, state,
    unlimited, void,
};

const DAY: i64 = 24 * 3_600_000_000;

/// The `n`-th call, of a request that is to be made once.
fn with(n: u128, key: &str, body: &str) -> Authorize {
    Authorize { once: vec![once(key, body)], ..call(n) }
}

/// A key whose first call was made at noon with the idempotency key `k` and the body `b`.
fn made() -> KeyHistory {
    let mut key = key(unlimited());
    key.execute(&with(1, "k", "b"), noon()).unwrap();
    key
}

fn billed(call: CallId, charged: i64, status: impl Into<Option<u16>>) -> Refusal {
    Refusal::CallAlreadyBilled { call, charged: nanos(charged), status: status.into() }
}

#[test]
fn while_the_call_runs_the_same_request_is_told_which_it_is() {
    made().when(&with(2, "k", "b"), noon()).then_refused(&Refusal::CallRunning(call_id(1)));
}

#[test]
fn once_the_call_has_ended_the_same_request_is_told_what_it_cost() {
    let mut key = made();
    key.execute(&reported(1, 10, 5), noon()).unwrap();
    key.when(&with(2, "k", "b"), noon()).then_refused(&billed(call_id(1), 10 * 1_000 + 5 * 10_000, 200));
}

#[test]
fn a_call_that_nobody_knows_the_cost_of_is_not_made_again_either() {
    let mut key = made();
    key.execute(&forfeit(1, ForfeitCharge::Hold, Forfeiter::Owner), noon()).unwrap();
    key.when(&with(2, "k", "b"), noon()).then_refused(&billed(call_id(1), HOLD, None));
    let correct =
        Correct { call: call_id(1), charged: nanos(7), reason: "invoice".to_owned(), forgotten: None };
    key.execute(&correct, noon()).unwrap();
    key.when(&with(2, "k", "b"), noon()).then_refused(&billed(call_id(1), 7, None));
}

#[test]
fn another_body_under_the_same_key_is_refused_however_the_call_ended() {
    let mut key = made();
    key.when(&with(2, "k", "c"), noon()).then_refused(&Refusal::IdempotencyKeyReused);
    key.execute(&reported(1, 10, 5), noon()).unwrap();
    key.when(&with(2, "k", "c"), noon()).then_refused(&Refusal::IdempotencyKeyReused);
}

#[test]
fn a_call_that_cost_nothing_may_be_made_again_with_any_body() {
    let mut key = made();
    key.execute(&void(1), noon()).unwrap();
    key.execute(&with(2, "k", "c"), noon()).unwrap();
    key.when(&with(3, "k", "c"), noon()).then_refused(&Refusal::CallRunning(call_id(2)));
    // A void that comes again for the first call does not set the second one free.
    key.execute(&void(1), noon()).unwrap();
    key.when(&with(3, "k", "c"), noon()).then_refused(&Refusal::CallRunning(call_id(2)));
}

#[test]
fn requests_without_a_key_and_with_another_key_are_made() {
    let key = made();
    assert!(admits(&key, &call(2), noon()) && admits(&key, &with(2, "other", "b"), noon()));
}

#[test]
fn a_refused_request_is_not_remembered() {
    let mut key = key(unlimited());
    let poor = SetLimits {
        limits: nemo_events::limits::KeyLimits { budgets: vec![budget(Day, 1)], ..Default::default() },
        bounds: None,
    };
    key.execute(&poor, noon()).unwrap();
    assert!(!admits(&key, &with(1, "k", "b"), noon()));
    key.execute(&SetLimits { limits: unlimited(), bounds: None }, noon()).unwrap();
    assert!(admits(&key, &with(2, "k", "c"), noon()));
}

#[test]
fn a_key_is_remembered_for_24_hours_from_the_calls_authorisation_to_the_microsecond() {
    let mut key = made();
    key.execute(&reported(1, 10, 5), later(noon(), 9_000_000)).unwrap();
    assert!(!admits(&key, &with(2, "k", "b"), later(noon(), DAY)));
    assert!(admits(&key, &with(2, "k", "c"), later(noon(), DAY + 1)));
    key.execute(&with(2, "k", "c"), later(noon(), DAY + 1)).unwrap();
    assert_eq!(state(&key).repeats.len(), 1);
}

#[test]
fn a_call_made_under_an_earlier_pepper_is_found() {
    let mut key = key(unlimited());
    key.execute(&with(1, "k, old pepper", "b, old pepper"), noon()).unwrap();
    let again = |body: &str| Authorize {
        once: vec![once("k, new pepper", "b, new pepper"), once("k, old pepper", body)],
        ..call(2)
    };
    key.when(&again("b, old pepper"), noon()).then_refused(&Refusal::CallRunning(call_id(1)));
    key.when(&again("c, old pepper"), noon()).then_refused(&Refusal::IdempotencyKeyReused);
}

#[test]
fn whoever_does_not_hold_the_key_learns_nothing() {
    let stranger = Authorize { presented: presented(9), ..with(2, "k", "b") };
    made().when(&stranger, noon()).then_refused(&Refusal::InvalidKey);
}

#[test]
fn of_more_than_20_000_within_24_hours_the_oldest_are_forgotten() {
    let mut key = made();
    for n in 2..=REPEATS_KEPT as u128 {
        let once =
            vec![nemo_projections::repeat::Once { key: Digest::of(&n.to_le_bytes()), body: Digest::ZERO }];
        key.execute(&Authorize { once, ..call(n) }, noon()).unwrap();
        key.execute(&void(n), noon()).unwrap();
    }
    assert!(!admits(&key, &with(99_999, "k", "b"), noon()), "there is still room for it");
    key.execute(&with(99_999, "another", "b"), noon()).unwrap();
    assert!(admits(&key, &with(100_000, "k", "b"), noon()));
    assert_eq!(state(&key).repeats.len(), REPEATS_KEPT);
}
