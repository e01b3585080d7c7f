//! Ends of calls: settled, voided, forfeited; each once, and exactly one of them.

use nemo_events::key::{CallForfeited, CallSettled, CallVoided, Evidence, ForfeitReason, VoidReason};
use nemo_events::limits::WindowKind::{Day, Total};
use nemo_events::{KeyEvent, Usage};
use nemo_projections::Refusal;
use nemo_projections::decide::{
    Authorize, ClearModel, Forfeit, ForfeitCharge, Forfeiter, KeyCommand, Revoke, Settle, Void,
};
use nemo_projections::testing::{KeyHistory, given};

use crate::support::{
    HOLD, ask, budgets, call, call_id, forfeit, key, later, nanos, noon, rate, reported, settle, state,
    tokens, unlimited, void, with_card,
};

const SECOND: i64 = 1_000_000;

fn with_open_call() -> KeyHistory {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    key
}

fn settled(command: &Settle) -> CallSettled {
    match with_open_call().when(command, noon()).result().unwrap().pop() {
        Some(KeyEvent::CallSettled(event)) => event,
        other => panic!("not settled but {other:?}"),
    }
}

fn anybody(n: u128) -> Forfeit {
    forfeit(n, ForfeitCharge::Hold, Forfeiter::Anybody)
}

fn owner(charge: ForfeitCharge) -> Forfeit {
    forfeit(1, charge, Forfeiter::Owner)
}

#[test]
fn a_reported_use_is_charged_exactly() {
    let expected = CallSettled {
        call: call_id(1),
        usage: tokens(90, 40),
        cost: nanos(90_000 + 400_000),
        evidence: Evidence::Reported,
        ending: nemo_events::key::Ending::Completed,
        over_hold: false,
        provider_request: Some("chatcmpl-1".to_owned()),
        status: Some(200),
        first_byte_ms: Some(180),
        duration_ms: 900,
    };
    assert_eq!(settled(&reported(1, 90, 40)), expected);
}

#[test]
fn a_use_of_exactly_the_hold_is_not_above_it_and_one_token_more_is() {
    let exact = settled(&reported(1, 100, 100));
    assert_eq!((exact.cost, exact.over_hold), (nanos(HOLD), false));
    let over = settled(&reported(1, 101, 100));
    assert_eq!((over.cost, over.over_hold), (nanos(HOLD + 1_000), true), "the truth, and flagged");
}

#[test]
fn an_estimate_is_charged_at_most_the_hold() {
    let below = settled(&settle(1, tokens(90, 40), Evidence::Estimated));
    assert_eq!((below.cost, below.evidence, below.over_hold), (nanos(490_000), Evidence::Estimated, false));
    let above = settled(&settle(1, tokens(100, 101), Evidence::Estimated));
    assert_eq!((above.cost, above.evidence, above.over_hold), (nanos(HOLD), Evidence::Estimated, false));
    let absurd = settled(&settle(1, tokens(0, u64::MAX), Evidence::Estimated));
    assert_eq!((absurd.cost, absurd.over_hold), (nanos(HOLD), false));
}

#[test]
fn a_report_that_cannot_be_priced_is_an_estimate_of_the_hold_and_flags_the_model() {
    let absurd = settled(&reported(1, 0, u64::MAX));
    assert_eq!((absurd.cost, absurd.evidence, absurd.over_hold), (nanos(HOLD), Evidence::Estimated, true));
}

#[test]
fn reports_that_do_not_add_up_never_stop_the_fold() {
    let mut key = with_open_call();
    key.execute(&call(2), noon()).unwrap();
    let most = u64::try_from(i64::MAX / 10_000 - 1_000).unwrap();
    key.execute(&reported(1, 0, most), noon()).unwrap();
    let KeyEvent::CallSettled(second) = key.execute(&reported(2, 0, most), noon()).unwrap().remove(0) else {
        panic!("not settled");
    };
    assert_eq!((second.cost, second.evidence, second.over_hold), (nanos(HOLD), Evidence::Estimated, true));
}

#[test]
fn a_model_flagged_by_one_call_can_be_cleared_and_used_again() {
    let mut key = with_open_call();
    key.execute(&reported(1, 100, 101), noon()).unwrap();
    key.when(&call(2), noon()).then_refused(&Refusal::ModelFlagged("large".to_owned()));
    let clear = ClearModel { provider: "acme".to_owned(), provider_model: "acme-large-1".to_owned() };
    key.execute(&clear, noon()).unwrap();
    assert!(crate::support::admits(&key, &call(2), noon()));
}

#[test]
fn a_flag_stays_with_the_key_whose_call_it_was() {
    let mut one = with_open_call();
    one.execute(&reported(1, 100, 101), noon()).unwrap();
    assert_eq!(state(&one).flagged_models.len(), 1);
    assert!(crate::support::admits(&key(unlimited()), &call(1), noon()));
}

#[test]
fn settlement_is_priced_by_the_tier_that_the_use_reached() {
    let mut tiered = crate::support::card();
    let dear = nemo_events::price::Rates { input: rate("2"), output: rate("15"), ..tiered.rates };
    tiered.tiers = vec![nemo_events::price::Tier { above_input_tokens: 50, rates: dear }];
    let mut key = key(unlimited());
    key.execute(&with_card(tiered.clone(), ask(100, 100)), noon()).unwrap();
    let charge = |input, cache_read| {
        let usage = Usage { input, cache_read, output: 10, ..Usage::default() };
        let command = Settle { card: tiered.clone().into(), ..settle(1, usage, Evidence::Reported) };
        match key.when(&command, noon()).result().unwrap().pop() {
            Some(KeyEvent::CallSettled(event)) => event.cost.as_nanos(),
            other => panic!("not settled but {other:?}"),
        }
    };
    assert_eq!(charge(50, 0), 50 * 1_000 + 10 * 10_000);
    assert_eq!(charge(51, 0), 51 * 2_000 + 10 * 15_000);
    assert_eq!(charge(50, 1), 51 * 2_000 + 10 * 15_000, "what the cache served counts as input");
}

#[test]
fn a_voided_call_costs_nothing() {
    let mut key = with_open_call();
    let command = Void { status: Some(429), reason: VoidReason::ProviderRefused, ..void(1) };
    let event = CallVoided {
        call: call_id(1),
        reason: VoidReason::ProviderRefused,
        status: Some(429),
        duration_ms: 3,
    };
    assert_eq!(key.execute(&command, noon()).unwrap(), [event.into()]);
    let window = state(&key).windows.at(Total, noon());
    assert_eq!((window.settled, window.held, window.open), (nanos(0), nanos(0), 0));
}

#[test]
fn a_forfeited_call_is_charged_its_hold_or_only_its_input() {
    for (charge, charged) in [(ForfeitCharge::Hold, HOLD), (ForfeitCharge::InputOnly, 100_000)] {
        let mut key = with_open_call();
        let event =
            CallForfeited { call: call_id(1), charged: nanos(charged), reason: ForfeitReason::TimedOut };
        assert_eq!(key.execute(&owner(charge), noon()).unwrap(), [event.into()]);
        assert_eq!(state(&key).windows.at(Day, noon()).settled, nanos(charged));
        assert!(state(&key).ended_calls[&call_id(1)].unconfirmed);
    }
}

#[test]
fn anybody_may_forfeit_a_call_30_s_after_its_deadline_and_its_owner_at_any_time() {
    let key = with_open_call();
    let overdue = (600 + 30) * SECOND;
    key.when(&anybody(1), later(noon(), overdue - 1)).then_refused(&Refusal::CallNotOverdue(call_id(1)));
    assert_eq!(key.when(&anybody(1), later(noon(), overdue)).result().unwrap().len(), 1);
    assert_eq!(key.when(&owner(ForfeitCharge::Hold), noon()).result().unwrap().len(), 1);
}

/// Every way to end call 1.
fn ends() -> Vec<Box<dyn KeyCommand>> {
    vec![
        Box::new(reported(1, 100, 100)),
        Box::new(settle(1, tokens(100, 100), Evidence::Estimated)),
        Box::new(void(1)),
        Box::new(owner(ForfeitCharge::Hold)),
        Box::new(anybody(1)),
    ]
}

fn decide(key: &KeyHistory, command: &dyn KeyCommand) -> Result<Vec<KeyEvent>, Refusal> {
    command.decide(key.state(), later(noon(), 631 * SECOND))
}

#[test]
fn a_call_that_settled_or_was_voided_has_no_second_end() {
    for first in [Box::new(reported(1, 9, 9)) as Box<dyn KeyCommand>, Box::new(void(1))] {
        let mut key = with_open_call();
        key.execute(&Boxed(first), noon()).unwrap();
        let before = state(&key).clone();
        for second in ends() {
            assert_eq!(decide(&key, second.as_ref()), Ok(vec![]));
        }
        assert_eq!(state(&key), &before);
    }
}

/// A command behind a pointer.
struct Boxed(Box<dyn KeyCommand>);

impl KeyCommand for Boxed {
    fn decide(
        &self,
        state: Option<&nemo_projections::KeyState>,
        now: nemo_events::Timestamp,
    ) -> Result<Vec<KeyEvent>, Refusal> {
        self.0.decide(state, now)
    }
}

#[test]
fn a_call_that_was_never_authorised_cannot_end() {
    for end in ends() {
        assert_eq!(decide(&key(unlimited()), end.as_ref()), Err(Refusal::CallUnknown(call_id(1))));
        assert_eq!(decide(&given([]), end.as_ref()), Err(Refusal::KeyUnknown));
    }
}

#[test]
fn calls_of_a_revoked_key_still_end() {
    let mut key = with_open_call();
    key.execute(&Revoke { reason: None }, noon()).unwrap();
    for end in ends() {
        assert_eq!(decide(&key, end.as_ref()).unwrap().len(), 1);
    }
}

#[test]
fn one_end_leaves_other_calls_open() {
    let mut key = key(budgets(&[(Day, 10 * HOLD)]));
    for n in 1..=3 {
        key.execute(&Authorize { call: call_id(n), ..call(n) }, noon()).unwrap();
    }
    key.execute(&void(2), noon()).unwrap();
    let open: Vec<_> = state(&key).open_calls.keys().copied().collect();
    assert_eq!(open, [call_id(1), call_id(3)]);
    let window = state(&key).windows.at(Day, noon());
    assert_eq!((window.held, window.open), (nanos(2 * HOLD), 2));
}
