//! Calls at the same time, requests per minute, tokens per minute.

use nemo_events::limits::KeyLimits;
use nemo_projections::Refusal;
use nemo_projections::decide::{Authorize, ForfeitCharge, Forfeiter, SetLimits};
use nemo_projections::testing::KeyHistory;

use crate::support::{
    admits, ask, asking, call, forfeit, key, later, noon, refused, reported, state, unlimited, void,
};

const SECOND: i64 = 1_000_000;

fn rpm(limit: u32) -> KeyLimits {
    KeyLimits { requests_per_minute: Some(limit), ..unlimited() }
}

fn tpm(limit: u64) -> KeyLimits {
    KeyLimits { tokens_per_minute: Some(limit), ..unlimited() }
}

fn wait(key: &KeyHistory, n: u128, micros: i64) -> u64 {
    match refused(key, &call(n), later(noon(), micros)) {
        Refusal::RequestRate { retry_after_micros, .. } | Refusal::TokenRate { retry_after_micros, .. } => {
            retry_after_micros
        }
        other => panic!("no wait but {other:?}"),
    }
}

#[test]
fn calls_are_open_at_the_same_time_up_to_the_limit_and_any_end_makes_room() {
    let mut key = key(KeyLimits { concurrent_calls: Some(3), ..unlimited() });
    for n in 1..=3 {
        key.execute(&call(n), noon()).unwrap();
    }
    key.when(&call(4), noon()).then_refused(&Refusal::Concurrency { limit: 3 });
    key.execute(&reported(1, 1, 1), noon()).unwrap();
    key.execute(&call(4), noon()).unwrap();
    key.execute(&void(2), noon()).unwrap();
    key.execute(&call(5), noon()).unwrap();
    key.execute(&forfeit(3, ForfeitCharge::Hold, Forfeiter::Owner), noon()).unwrap();
    key.execute(&call(6), noon()).unwrap();
    key.when(&call(7), noon()).then_refused(&Refusal::Concurrency { limit: 3 });
}

#[test]
fn further_attempts_at_a_request_are_no_further_requests_but_calls_and_tokens() {
    let again = |n: u128, attempt: u32| Authorize { attempt, ..call(n) };
    let mut key = key(KeyLimits { concurrent_calls: Some(1), tokens_per_minute: Some(400), ..rpm(1) });
    key.execute(&call(1), noon()).unwrap();
    key.when(&again(2, 2), noon()).then_refused(&Refusal::Concurrency { limit: 1 });
    key.execute(&void(1), noon()).unwrap();
    key.execute(&again(2, 2), noon()).unwrap();
    assert_eq!(state(&key).request_rate.remaining(1, noon()), 0);
    key.execute(&void(2), noon()).unwrap();
    assert!(matches!(refused(&key, &call(3), noon()), Refusal::RequestRate { limit: 1, .. }));
    key.execute(&call(3), later(noon(), 60 * SECOND)).unwrap();
}

#[test]
fn a_request_more_is_admitted_in_the_very_microsecond_in_which_there_is_room() {
    let mut key = key(rpm(3));
    for n in 1..=3 {
        key.execute(&call(n), noon()).unwrap();
    }
    let refusal = Refusal::RequestRate { limit: 3, retry_after_micros: 20_000_000 };
    key.when(&call(4), noon()).then_refused(&refusal);
    assert_eq!(wait(&key, 4, 20 * SECOND - 1), 1);
    key.execute(&call(4), later(noon(), 20 * SECOND)).unwrap();
    assert_eq!(wait(&key, 5, 20 * SECOND), 20_000_000);
}

#[test]
fn a_wait_that_is_no_whole_microsecond_is_rounded_up() {
    let mut key = key(rpm(7));
    for n in 1..=7 {
        key.execute(&call(n), noon()).unwrap();
    }
    assert_eq!(wait(&key, 8, 0), 8_571_429, "60 s / 7 = 8,571,428.57 µs");
    assert!(!admits(&key, &call(8), later(noon(), 8_571_428)));
    assert!(admits(&key, &call(8), later(noon(), 8_571_429)));
}

#[test]
fn refusals_and_repetitions_do_not_count_as_requests() {
    let mut key = key(KeyLimits { concurrent_calls: Some(1), ..rpm(2) });
    key.execute(&call(1), noon()).unwrap();
    for _ in 0..5 {
        key.execute(&call(1), noon()).unwrap();
        assert!(key.execute(&call(2), noon()).is_err());
    }
    key.execute(&void(1), noon()).unwrap();
    assert!(admits(&key, &call(2), noon()));
}

#[test]
fn a_voided_call_still_was_a_request() {
    let mut key = key(rpm(1));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&void(1), noon()).unwrap();
    assert_eq!(wait(&key, 2, 0), 60_000_000);
}

#[test]
fn a_call_that_alone_is_above_the_limit_of_tokens_is_told_so() {
    assert!(admits(&key(tpm(200)), &call(1), noon()));
    let refusal = Refusal::TokensAboveRate { needed: 200, limit: 199 };
    key(tpm(199)).when(&call(1), noon()).then_refused(&refusal);
    let mut two = ask(100, 100);
    two.choices = 2;
    let refusal = Refusal::TokensAboveRate { needed: 300, limit: 299 };
    key(tpm(299)).when(&asking(1, two), noon()).then_refused(&refusal);
}

#[test]
fn tokens_count_by_bound_while_a_call_is_open_and_by_use_once_it_settled() {
    let mut key = key(tpm(400));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&call(2), noon()).unwrap();
    let refusal = Refusal::TokenRate { limit: 400, retry_after_micros: 30_000_000 };
    key.when(&call(3), noon()).then_refused(&refusal);
    key.execute(&reported(1, 40, 10), noon()).unwrap();
    assert_eq!(wait(&key, 3, 0), 7_500_000, "250 + 200 are 50 too many, at 400 a minute");
    assert!(!admits(&key, &call(3), later(noon(), 7_500_000 - 1)));
    assert!(admits(&key, &call(3), later(noon(), 7_500_000)));
}

#[test]
fn a_voided_call_used_no_tokens_and_a_forfeited_one_all_of_its_bound() {
    let mut key = key(tpm(200));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&void(1), noon()).unwrap();
    key.execute(&call(2), noon()).unwrap();
    key.execute(&forfeit(2, ForfeitCharge::InputOnly, Forfeiter::Owner), noon()).unwrap();
    assert_eq!(wait(&key, 3, 0), 60_000_000);
}

#[test]
fn a_limit_that_comes_later_gives_nothing_back_for_calls_that_it_never_counted() {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    key.execute(&SetLimits { limits: tpm(200), bounds: None }, noon()).unwrap();
    key.execute(&call(2), noon()).unwrap();
    key.execute(&void(1), noon()).unwrap();
    assert_eq!(wait(&key, 3, 0), 60_000_000, "call 2 still holds all of it");
}

#[test]
fn long_calls_that_end_late_do_not_lend_their_room_to_others() {
    let mut key = key(tpm(200));
    for n in 1..=5 {
        key.execute(&call(n), later(noon(), 60 * SECOND * i64::try_from(n).unwrap())).unwrap();
    }
    let end = 300 * SECOND;
    for n in 1..=4 {
        key.execute(&reported(n, 1, 0), later(noon(), end)).unwrap();
    }
    assert_eq!(wait(&key, 6, end), 60_000_000, "what they did not use drained long ago");
}

#[test]
fn an_end_gives_back_what_has_not_drained_yet() {
    let mut key = key(tpm(400));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&call(2), noon()).unwrap();
    // After 15 s 100 of the first call's 200 have drained; the other 100 can come back.
    let now = later(noon(), 15 * SECOND);
    key.execute(&void(1), now).unwrap();
    assert_eq!(state(&key).token_rate.remaining(400, now), 200);
    key.execute(&void(2), now).unwrap();
    assert_eq!(state(&key).token_rate.remaining(400, now), 400);
}

#[test]
fn calls_that_end_in_another_order_than_they_began_get_back_the_same() {
    let mut key = key(tpm(600));
    for n in 1..=3 {
        key.execute(&call(n), noon()).unwrap();
    }
    for n in [2, 3, 1] {
        key.execute(&reported(n, 0, 10), noon()).unwrap();
    }
    assert_eq!(state(&key).token_rate.remaining(600, noon()), 570);
}

#[test]
fn use_beyond_the_bound_counts_but_fills_the_rate_at_most_once_more() {
    let mut key = key(KeyLimits { tokens_per_minute: Some(400), ..unlimited() });
    key.execute(&call(1), noon()).unwrap();
    key.execute(&reported(1, 100, 150), noon()).unwrap();
    assert_eq!(state(&key).token_rate.remaining(400, noon()), 150);
    key.execute(
        &crate::support::settle(2, crate::support::tokens(1, 1), nemo_events::key::Evidence::Reported),
        noon(),
    )
    .unwrap_err();

    let mut lied_to = crate::support::key(tpm(400));
    lied_to.execute(&call(1), noon()).unwrap();
    lied_to.execute(&reported(1, 0, u64::MAX), noon()).unwrap();
    assert_eq!(state(&lied_to).token_rate.remaining(400, later(noon(), 90 * SECOND)), 400);
}

#[test]
fn another_limit_drains_what_was_counted_from_the_moment_it_is_set() {
    let mut key = key(rpm(60));
    for n in 1..=60 {
        key.execute(&call(n), noon()).unwrap();
    }
    // 30 of 60 have drained by then; at 6 a minute it takes 10 s for each of the rest beyond 6.
    let half = later(noon(), 30 * SECOND);
    key.execute(&SetLimits { limits: rpm(6), bounds: None }, half).unwrap();
    assert_eq!(wait(&key, 99, 30 * SECOND), 250_000_000, "30 + 1 - 6 = 25 too many");
    key.execute(&SetLimits { limits: rpm(31), bounds: None }, half).unwrap();
    assert!(admits(&key, &call(99), half));
}

#[test]
fn without_a_limit_nothing_is_counted() {
    let mut key = key(rpm(1));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&SetLimits { limits: unlimited(), bounds: None }, noon()).unwrap();
    for n in 2..=9 {
        key.execute(&call(n), noon()).unwrap();
    }
    key.execute(&SetLimits { limits: rpm(1), bounds: None }, noon()).unwrap();
    assert!(admits(&key, &call(10), noon()));
}
