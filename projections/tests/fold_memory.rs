//! What the fold forgets: calls that ended more than 24 hours ago, or 20,000 calls ago.

use nemo_events::limits::WindowKind::Total;
use nemo_events::{KeyEvent, Revision};
use nemo_projections::Refusal;
use nemo_projections::decide::{Correct, ForfeitCharge, Forfeiter, ForgottenCall};
use nemo_projections::testing::KeyHistory;

use crate::support::{
    HOLD, call, call_id, forfeit, key, later, nanos, noon, reported, state, unlimited, void,
};

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
    let correct = Correct { call: call_id(1), charged: nanos(0), reason: String::new(), forgotten: None };
    key.when(&correct, now).then_refused(&unknown);
}

/// A key whose call, charged 1,000,000 for a hold of that, was forgotten, and the call as its stream has it.
fn with_forgotten_call() -> (KeyHistory, Correct) {
    let mut key = with_forfeited_call();
    key.execute(&call(2), later(noon(), 2 * DAY)).unwrap();
    assert!(!state(&key).knows_call(call_id(1)));
    let forgotten = ForgottenCall {
        authorized_at: later(noon(), -5),
        hold: nanos(HOLD),
        charged: nanos(HOLD),
        ended_at: Revision(2),
        allotted: false,
        as_of: later(noon(), 2 * DAY),
    };
    let reason = "provider's invoice".to_owned();
    (key, Correct { call: call_id(1), charged: nanos(7), reason, forgotten: Some(forgotten) })
}

#[test]
fn a_forgotten_call_is_corrected_by_what_its_stream_says_and_names_the_revision_that_ended_it() {
    let (mut key, correct) = with_forgotten_call();
    let now = later(noon(), 2 * DAY);
    let total = |key: &KeyHistory| state(key).windows.at(Total, now).settled;
    assert_eq!(total(&key), nanos(HOLD));
    let events = key.execute(&correct, now).unwrap();
    let [KeyEvent::CallCorrected(event)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.charged_before, event.charged), (nanos(HOLD), nanos(7)));
    assert_eq!((event.ended_at, event.authorized_at), (Revision(2), later(noon(), -5)));
    assert_eq!(total(&key), nanos(7));
}

#[test]
fn a_second_correction_of_a_forgotten_call_starts_from_the_first_whatever_it_brings() {
    let (mut key, correct) = with_forgotten_call();
    let now = later(noon(), 2 * DAY);
    key.execute(&correct, now).unwrap();
    // It was looked up before the first one.
    key.when(&correct, now).then([]);
    key.when(&Correct { charged: nanos(8), ..correct.clone() }, now)
        .then_refused(&Refusal::CorrectionOutOfRange);
    let events = key.execute(&Correct { charged: nanos(5), ..correct.clone() }, now).unwrap();
    assert!(matches!(events.as_slice(), [KeyEvent::CallCorrected(e)] if e.charged_before == nanos(7)));
    // A day later it is forgotten again.
    key.execute(&call(3), later(now, DAY + 1)).unwrap();
    assert!(!state(&key).knows_call(call_id(1)));
}

#[test]
fn a_forgotten_call_is_corrected_downwards_only_and_never_above_its_hold() {
    let (key, correct) = with_forgotten_call();
    let now = later(noon(), 2 * DAY);
    for charged in [HOLD + 1, -1] {
        let correct = Correct { charged: nanos(charged), ..correct.clone() };
        key.when(&correct, now).then_refused(&Refusal::CorrectionOutOfRange);
    }
    let low_hold = ForgottenCall { hold: nanos(6), ..correct.forgotten.unwrap() };
    let correct = Correct { forgotten: Some(low_hold), ..correct };
    key.when(&correct, now).then_refused(&Refusal::CorrectionOutOfRange);
}

#[test]
fn what_was_looked_up_before_the_fold_forgot_is_not_believed() {
    let (mut key, correct) = with_forgotten_call();
    let now = later(noon(), 2 * DAY);
    for n in 10..20_011 {
        key.execute(&call(n), now).unwrap();
        key.execute(&void(n), now).unwrap();
    }
    assert!(matches!(key.when(&correct, now).result(), Err(Refusal::Invalid(_))));
    let fresh = ForgottenCall { as_of: later(now, 11_000_000), ..correct.forgotten.unwrap() };
    assert_eq!(key.when(&Correct { forgotten: Some(fresh), ..correct }, now).result().unwrap().len(), 1);
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
