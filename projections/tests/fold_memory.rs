//! What the fold forgets: calls that ended more than 24 hours ago, or 20,000 calls ago.

use nemo_projections::Refusal;
use nemo_projections::decide::{Correct, ForfeitCharge, Forfeiter};
use nemo_projections::testing::KeyHistory;

use crate::support::{call, call_id, forfeit, key, later, nanos, noon, reported, state, unlimited, void};

const DAY: i64 = 24 * 3_600_000_000;

/// A key whose only call was forfeited at noon.
fn with_forfeited_call() -> KeyHistory {
    let mut key = key(unlimited());
    key.execute(&call(1), later(noon(), -5)).unwrap();
    key.execute(&forfeit(1, ForfeitCharge::Hold, Forfeiter::Owner), noon()).unwrap();
    key
}

#[test]
fn an_ended_call_is_remembered_for_24_hours_after_its_end() {
    let mut key = with_forfeited_call();
    key.execute(&call(2), later(noon(), DAY)).unwrap();
    assert_eq!(key.when(&reported(1, 1, 1), later(noon(), DAY)).result().unwrap().len(), 1);
    key.execute(&call(3), later(noon(), DAY + 1)).unwrap();
    let unknown = Refusal::CallUnknown(call_id(1));
    let now = later(noon(), DAY + 1);
    key.when(&reported(1, 1, 1), now).then_refused(&unknown);
    key.when(&void(1), now).then_refused(&unknown);
    key.when(&forfeit(1, ForfeitCharge::Hold, Forfeiter::Owner), now).then_refused(&unknown);
    let correct = Correct { call: call_id(1), charged: nanos(0), reason: String::new() };
    key.when(&correct, now).then_refused(&unknown);
}

#[test]
fn only_an_authorisation_makes_the_fold_forget() {
    let mut key = with_forfeited_call();
    let late = later(noon(), 30 * DAY);
    assert_eq!(key.execute(&reported(1, 1, 1), late).unwrap().len(), 1);
    assert_eq!(state(&key).ended_calls.len(), 1);
}

#[test]
fn an_open_call_is_never_forgotten() {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    key.execute(&call(2), later(noon(), 400 * DAY)).unwrap();
    assert!(state(&key).open_calls.contains_key(&call_id(1)));
    assert_eq!(key.execute(&reported(1, 1, 1), later(noon(), 400 * DAY)).unwrap().len(), 1);
}

#[test]
fn forgetting_a_call_keeps_what_it_was_charged() {
    let mut key = with_forfeited_call();
    let before = state(&key).windows.at(nemo_events::limits::WindowKind::Total, noon()).settled;
    key.execute(&call(2), later(noon(), 2 * DAY)).unwrap();
    assert_eq!(state(&key).windows.at(nemo_events::limits::WindowKind::Total, noon()).settled, before);
    assert!(state(&key).ended_calls.is_empty() && state(&key).ended_order.is_empty());
}

#[test]
fn of_more_than_20_000_ended_calls_the_oldest_are_forgotten() {
    let mut key = key(unlimited());
    for n in 1..=20_001 {
        key.execute(&call(n), noon()).unwrap();
        key.execute(&void(n), noon()).unwrap();
    }
    assert!(state(&key).knows_call(call_id(1)), "the next authorisation forgets it");
    key.execute(&call(99_999), noon()).unwrap();
    assert!(!state(&key).knows_call(call_id(1)));
    assert!(state(&key).knows_call(call_id(2)));
    assert_eq!(state(&key).ended_calls.len(), 20_000);
}
