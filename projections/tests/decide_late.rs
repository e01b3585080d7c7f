//! The truth about a forfeited call, come late: it lowers the charge, once, and never raises it.

use nemo_events::key::{CallCorrected, Evidence};
use nemo_events::limits::WindowKind::{Day, Month, Total};
use nemo_events::{KeyEvent, Revision};
use nemo_projections::decide::{Correct, ForfeitCharge, Forfeiter};
use nemo_projections::testing::KeyHistory;

use crate::support::{
    HOLD, at, budgets, call, call_id, exceeded, forfeit, key, nanos, noon, reported, settle, state, tokens,
    void,
};

fn forfeited(charge: ForfeitCharge) -> KeyHistory {
    let mut key = key(budgets(&[(Day, HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&forfeit(1, charge, Forfeiter::Owner), noon()).unwrap();
    key
}

fn corrected(key: &mut KeyHistory, charged: i64) -> CallCorrected {
    match key.execute(&reported(1, 0, u64::try_from(charged / 10_000).unwrap()), noon()).unwrap().pop() {
        Some(KeyEvent::CallCorrected(event)) => event,
        other => panic!("not corrected but {other:?}"),
    }
}

#[test]
fn a_settlement_that_finds_its_call_forfeited_becomes_a_correction() {
    let mut key = forfeited(ForfeitCharge::Hold);
    let expected = CallCorrected {
        call: call_id(1),
        charged_before: nanos(HOLD),
        charged: nanos(400_000),
        ended_at: Revision(2),
        authorized_at: noon(),
        allotted: false,
        usage: Some(tokens(0, 40)),
        reason: "settled after it was forfeited".to_owned(),
    };
    assert_eq!(corrected(&mut key, 400_000), expected);
    assert_eq!(state(&key).windows.at(Day, noon()).settled, nanos(400_000));
    assert_eq!(state(&key).ended_calls[&call_id(1)].charged, nanos(400_000));
}

#[test]
fn an_estimate_that_comes_late_lowers_the_charge_too() {
    let mut key = forfeited(ForfeitCharge::Hold);
    let events = key.execute(&settle(1, tokens(10, 0), Evidence::Estimated), noon()).unwrap();
    assert!(matches!(events.as_slice(), [KeyEvent::CallCorrected(e)] if e.charged == nanos(10_000)));
}

#[test]
fn a_void_that_finds_its_call_forfeited_takes_the_charge_back() {
    let mut key = forfeited(ForfeitCharge::Hold);
    let events = key.execute(&void(1), noon()).unwrap();
    let [KeyEvent::CallCorrected(event)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.charged, event.usage), (nanos(0), None));
    assert_eq!(state(&key).windows.at(Day, noon()).settled, nanos(0));
    assert!(crate::support::admits(&key, &call(2), noon()));
}

#[test]
fn a_late_settlement_never_raises_the_charge() {
    for (charge, charged) in [(ForfeitCharge::Hold, HOLD), (ForfeitCharge::InputOnly, 100_000)] {
        let mut key = forfeited(charge);
        for output in [charged / 10_000, charged / 10_000 + 1, 1_000_000, i64::MAX] {
            let late = reported(1, 0, u64::try_from(output).unwrap());
            assert_eq!(key.execute(&late, noon()), Ok(vec![]), "{output}");
        }
        assert_eq!(state(&key).windows.at(Day, noon()).settled, nanos(charged));
    }
}

#[test]
fn the_truth_comes_once() {
    let mut key = forfeited(ForfeitCharge::Hold);
    corrected(&mut key, 400_000);
    key.when(&reported(1, 0, 40), noon()).then([]);
    key.when(&reported(1, 0, 1), noon()).then([]);
    key.when(&void(1), noon()).then([]);
    assert!(!state(&key).ended_calls[&call_id(1)].unconfirmed);
}

#[test]
fn after_an_operators_correction_a_late_settlement_changes_nothing() {
    let mut key = forfeited(ForfeitCharge::Hold);
    let correct = Correct {
        call: call_id(1),
        charged: nanos(500_000),
        reason: "provider's invoice".to_owned(),
        forgotten: None,
    };
    key.execute(&correct, noon()).unwrap();
    key.when(&reported(1, 0, 1), noon()).then([]);
}

#[test]
fn a_correction_moves_the_windows_of_the_calls_authorisation() {
    let (october, november) = (at("2026-10-31T23:59:59Z"), at("2026-11-01T00:00:10Z"));
    let mut key = key(budgets(&[(Day, HOLD)]));
    key.execute(&call(1), october).unwrap();
    key.execute(&forfeit(1, ForfeitCharge::Hold, Forfeiter::Owner), november).unwrap();
    key.execute(&call(2), november).unwrap();
    key.execute(&reported(2, 100, 100), november).unwrap();
    key.execute(&void(1), november).unwrap();
    let settled = |kind, moment| state(&key).windows.at(kind, moment).settled;
    assert_eq!(settled(Day, october), nanos(0));
    assert_eq!(settled(Month, october), nanos(0));
    assert_eq!(settled(Day, november), nanos(HOLD));
    assert_eq!(settled(Total, november), nanos(HOLD));
    exceeded(&key, &call(3), november);
}
