//! Corrections on evidence: downwards only, never above the hold.

use nemo_events::Revision;
use nemo_events::key::{CallCorrected, Evidence};
use nemo_events::limits::WindowKind::Day;
use nemo_projections::Refusal;
use nemo_projections::decide::{Correct, ForfeitCharge, Forfeiter, Revoke};
use nemo_projections::testing::{KeyHistory, given};

use crate::support::{
    HOLD, call, call_id, forfeit, key, nanos, noon, reported, settle, state, tokens, unlimited,
};

fn correct(charged: i64) -> Correct {
    Correct {
        call: call_id(1),
        charged: nanos(charged),
        reason: "provider's invoice of May".to_owned(),
        forgotten: None,
    }
}

/// A call that was settled by an estimate of 500,000 nano-dollars.
fn estimated() -> KeyHistory {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    key.execute(&settle(1, tokens(0, 50), Evidence::Estimated), noon()).unwrap();
    key
}

#[test]
fn a_charge_is_lowered_down_to_zero() {
    for charged in [499_999, 1, 0] {
        let mut key = estimated();
        let event = CallCorrected {
            call: call_id(1),
            charged_before: nanos(500_000),
            charged: nanos(charged),
            ended_at: Revision(2),
            authorized_at: noon(),
            allotted: false,
            usage: None,
            reason: "provider's invoice of May".to_owned(),
        };
        assert_eq!(key.execute(&correct(charged), noon()).unwrap(), [event.into()]);
        assert_eq!(state(&key).windows.at(Day, noon()).settled, nanos(charged));
    }
}

#[test]
fn a_charge_is_not_raised_and_not_below_zero() {
    for charged in [500_001, HOLD, HOLD + 1, -1] {
        estimated().when(&correct(charged), noon()).then_refused(&Refusal::CorrectionOutOfRange);
    }
}

#[test]
fn the_same_charge_again_is_no_change() {
    let mut key = estimated();
    key.when(&correct(500_000), noon()).then([]);
    key.execute(&correct(7), noon()).unwrap();
    key.when(&correct(7), noon()).then([]);
}

#[test]
fn a_second_correction_starts_from_the_first_and_names_the_same_end() {
    let mut key = estimated();
    key.execute(&correct(300_000), noon()).unwrap();
    let event = CallCorrected {
        call: call_id(1),
        charged_before: nanos(300_000),
        charged: nanos(200_000),
        ended_at: Revision(2),
        authorized_at: noon(),
        allotted: false,
        usage: None,
        reason: "provider's invoice of May".to_owned(),
    };
    key.when(&correct(200_000), noon()).then([event.into()]);
    key.when(&correct(300_001), noon()).then_refused(&Refusal::CorrectionOutOfRange);
}

#[test]
fn a_call_billed_above_its_hold_is_corrected_to_the_hold_or_less() {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    key.execute(&reported(1, 100, 200), noon()).unwrap();
    key.when(&correct(HOLD + 1_000_000), noon()).then([]);
    key.when(&correct(HOLD + 1), noon()).then_refused(&Refusal::CorrectionOutOfRange);
    assert_eq!(key.when(&correct(HOLD), noon()).result().unwrap().len(), 1);
}

#[test]
fn a_forfeited_call_is_confirmed_by_its_correction() {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    key.execute(&forfeit(1, ForfeitCharge::Hold, Forfeiter::Owner), noon()).unwrap();
    key.execute(&correct(1), noon()).unwrap();
    assert!(!state(&key).ended_calls[&call_id(1)].unconfirmed);
}

#[test]
fn calls_of_a_revoked_key_can_be_corrected() {
    let mut key = estimated();
    key.execute(&Revoke { reason: None }, noon()).unwrap();
    assert_eq!(key.when(&correct(1), noon()).result().unwrap().len(), 1);
}

#[test]
fn an_open_call_an_unknown_call_and_an_unknown_key_cannot_be_corrected() {
    let mut open = key(unlimited());
    open.execute(&call(1), noon()).unwrap();
    open.when(&correct(1), noon()).then_refused(&Refusal::CallNotEnded(call_id(1)));
    key(unlimited()).when(&correct(1), noon()).then_refused(&Refusal::CallUnknown(call_id(1)));
    given([]).when(&correct(1), noon()).then_refused(&Refusal::KeyUnknown);
}

#[test]
fn a_reason_is_given_and_has_at_most_512_bytes() {
    let why = Refusal::Invalid("reason: say why, and on what evidence".to_owned());
    estimated().when(&Correct { reason: " ".to_owned(), ..correct(1) }, noon()).then_refused(&why);
    let because = |n: usize| Correct { reason: "a".repeat(n), ..correct(1) };
    assert!(estimated().when(&because(512), noon()).result().is_ok());
    let too_long = Refusal::Invalid("reason: at most 512 bytes".to_owned());
    estimated().when(&because(513), noon()).then_refused(&too_long);
}
