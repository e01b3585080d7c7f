use nemo_events::key::{AllotmentReceived, AllotmentRequired, AllotmentReturned, KeyRevoked};
use nemo_events::limits::WindowKind::{self, Month, Total};
use nemo_events::limits::{KeyLimits, WhenShort};
use nemo_events::org::{BudgetAllotted, OrgBudgetsSet, WindowSpent};
use nemo_events::{Day, KeyEvent, Revision};
use nemo_projections::Refusal;
use nemo_projections::decide::{
    Allot, ArchiveOrg, Authorize, CloseDay, CountSpend, CoverOverrun, Notice, Receive, Reclaim, Return,
    Revoke, SetOrgBudgets, SuspendOrg,
};
use nemo_projections::org::{OrgView, SlicesNeeded, Standing};
use nemo_projections::refusal::{AllotmentNeeded, BudgetOwner};
use nemo_projections::testing::KeyHistory;

use super::{OrgHistory, budgets, key_id, needed, short, today};
use crate::support::{
    HOLD, admits, ask, asking, at, call, granted, key, nanos, noon, reported, state, unlimited, void,
};

const SINCE: Revision = Revision(1);

/// An org whose budgets are in force, with nothing spent before.
fn org(all: &[(WindowKind, i64)]) -> OrgHistory {
    let mut org = OrgHistory::new(at("2026-01-01T00:00:00Z"));
    org.execute(&SetOrgBudgets { budgets: budgets(all) }, noon()).unwrap();
    org.execute(&CountSpend { since: SINCE, spent: Vec::new() }, noon()).unwrap();
    org
}

fn allot(need: i64, wish: i64) -> Allot {
    Allot { key: key_id(1), day: today(), received: nanos(0), need: nanos(need), wish: nanos(wish) }
}

fn allotted(org: &mut OrgHistory, allot: Allot) -> Result<i64, Refusal> {
    org.execute(&allot, noon())?;
    Ok(org.state().allotted.of(allot.key, allot.day).granted.as_nanos())
}

fn view(free: i64) -> OrgView {
    OrgView { standing: Standing::Active, slices: SlicesNeeded::Yes { since: SINCE, free: nanos(free) } }
}

fn drawing(n: u128) -> Authorize {
    Authorize { org: view(i64::MAX), ..call(n) }
}

/// A key with a slice of today.
fn with_slice(total: i64) -> KeyHistory {
    let mut key = key(unlimited());
    key.execute(&Notice { since: SINCE }, noon()).unwrap();
    key.execute(&Receive { day: today(), total: nanos(total) }, noon()).unwrap();
    key
}

fn idle(key: &KeyHistory, day: Day) -> i64 {
    state(key).slices.of(day).idle().as_nanos()
}

fn returned(day: Day, total: i64) -> KeyEvent {
    AllotmentReturned { day, total: nanos(total) }.into()
}

#[test]
fn budgets_are_replaced_as_a_whole_and_may_be_none() {
    let mut org = OrgHistory::new(noon());
    let wanted = budgets(&[(WindowKind::Day, 5), (Total, 9)]);
    let set = SetOrgBudgets { budgets: wanted.clone() };
    assert_eq!(org.execute(&set, noon()).unwrap(), [OrgBudgetsSet { budgets: wanted }.into()]);
    assert_eq!(org.execute(&set, noon()).unwrap(), []);
    assert_eq!(org.state().allotted.since(), Some(Revision(1)));
    org.execute(&SetOrgBudgets { budgets: budgets(&[(Total, 3)]) }, noon()).unwrap();
    assert_eq!(org.state().allotted.since(), Some(Revision(1)), "they go on being in force");
    org.execute(&SetOrgBudgets { budgets: Vec::new() }, noon()).unwrap();
    assert_eq!(org.state().allotted.since(), None);
    org.execute(&set, noon()).unwrap();
    assert_eq!(org.state().allotted.since(), Some(Revision(4)), "they are in force anew");
    let twice = SetOrgBudgets { budgets: budgets(&[(Total, 3), (Total, 4)]) };
    assert!(matches!(org.execute(&twice, noon()), Err(Refusal::Invalid(_))));
    let negative = SetOrgBudgets { budgets: budgets(&[(Total, -1)]) };
    assert!(matches!(org.execute(&negative, noon()), Err(Refusal::Invalid(_))));
    let mut told = SetOrgBudgets { budgets: budgets(&[(Total, 3)]) };
    told.budgets[0].alert_at_percent = Some(80);
    assert!(matches!(org.execute(&told, noon()), Err(Refusal::Invalid(_))), "no alert would be raised");
}

#[test]
fn nothing_is_allotted_before_what_was_spent_is_counted() {
    let mut org = OrgHistory::new(noon());
    org.execute(&SetOrgBudgets { budgets: budgets(&[(Month, 100)]) }, noon()).unwrap();
    let count = |amount| {
        let spent =
            WindowSpent { window: Month, start: "2026-11-01".parse().unwrap(), amount: nanos(amount) };
        let ended = WindowSpent { start: "2026-10-01".parse().unwrap(), ..spent };
        CountSpend { since: SINCE, spent: vec![spent, ended] }
    };
    let uncounted = Refusal::Allotment(AllotmentNeeded::Count(SINCE));
    assert_eq!(allotted(&mut org, allot(1, 1)), Err(uncounted));
    assert_eq!(org.execute(&CountSpend { since: Revision(7), ..count(90) }, noon()).unwrap(), []);
    assert_eq!(org.execute(&count(90), noon()).unwrap().len(), 1);
    assert_eq!(org.execute(&count(90), noon()).unwrap(), [], "the same again");
    assert_eq!(allotted(&mut org, allot(10, 10)), Ok(10));
    assert!(allotted(&mut org, Allot { received: nanos(10), ..allot(1, 1) }).is_err());
    // A call that was open ended for less.
    assert_eq!(org.execute(&count(80), noon()).unwrap().len(), 1);
    assert_eq!(allotted(&mut org, Allot { received: nanos(10), ..allot(10, 10) }), Ok(20));
}

#[test]
fn the_last_nano_of_an_orgs_budget_is_allotted_and_not_one_more() {
    let mut org = org(&[(WindowKind::Day, 100), (Month, 1_000)]);
    assert_eq!(allotted(&mut org, allot(99, 99)), Ok(99));
    let other = Allot { key: key_id(2), ..allot(1, 1) };
    assert_eq!(allotted(&mut org, other), Ok(1));
    let Err(Refusal::BudgetExceeded(short)) = allotted(&mut org, Allot { key: key_id(3), ..allot(1, 1) })
    else {
        panic!("the budget was exceeded")
    };
    assert_eq!((short.of, short.window, short.limit), (BudgetOwner::Org, WindowKind::Day, nanos(100)));
    assert_eq!((short.settled, short.resets_at), (nanos(100), Some(at("2026-11-19T00:00:00Z"))));
    let tomorrow = Allot { day: today().plus(1), ..allot(100, 100) };
    assert_eq!(allotted(&mut org, tomorrow), Ok(100), "another day's budget");
}

#[test]
fn a_wish_is_granted_up_to_a_fair_share_of_what_is_free() {
    assert_eq!(allotted(&mut org(&[(Total, 1_600)]), allot(10, 90)), Ok(90));
    assert_eq!(allotted(&mut org(&[(Total, 1_600)]), allot(10, 900)), Ok(100));
    assert_eq!(allotted(&mut org(&[(Total, 1_600)]), allot(700, 900)), Ok(700), "what is needed in any case");
    assert_eq!(allotted(&mut org(&[(Total, 1_600), (Month, 160)]), allot(1, 90)), Ok(10), "the tightest");
}

#[test]
fn what_is_on_its_way_is_not_allotted_again() {
    let mut org = org(&[(Total, 1_000)]);
    assert_eq!(allotted(&mut org, allot(30, 30)), Ok(30));
    assert_eq!(org.execute(&allot(30, 60), noon()).unwrap(), []);
    assert_eq!(allotted(&mut org, allot(50, 50)), Ok(50), "the key has received none of it");
    assert_eq!(allotted(&mut org, Allot { received: nanos(50), ..allot(5, 5) }), Ok(55));
}

#[test]
fn an_org_that_is_suspended_archived_or_without_budgets_allots_nothing() {
    let mut suspended = org(&[(Total, 100)]);
    suspended.execute(&SuspendOrg { reason: None }, noon()).unwrap();
    assert_eq!(allotted(&mut suspended, allot(1, 1)), Err(Refusal::OrgSuspended));
    let mut archived = org(&[(Total, 100)]);
    allotted(&mut archived, allot(5, 5)).unwrap();
    archived.execute(&ArchiveOrg { reason: None }, noon()).unwrap();
    assert_eq!(allotted(&mut archived, allot(1, 1)), Err(Refusal::OrgArchived));
    let back = Reclaim { key: key_id(1), day: today(), total: nanos(5) };
    assert_eq!(archived.execute(&back, noon()).unwrap().len(), 1, "and goes on taking back");
    let mut removed = org(&[(Total, 100)]);
    removed.execute(&SetOrgBudgets { budgets: Vec::new() }, noon()).unwrap();
    let unlimited = Refusal::Allotment(AllotmentNeeded::LaterView);
    assert_eq!(allotted(&mut removed, allot(1, 1)), Err(unlimited));
}

#[test]
fn only_days_around_now_are_allotted_of_and_none_that_was_closed() {
    let mut org = org(&[(Total, 100)]);
    for (days, ok) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let done = allotted(&mut org, Allot { day: today().plus(days), ..allot(1, 1) });
        assert_eq!(done.is_ok(), ok, "{days}");
    }
    let yesterday = today().plus(-1);
    assert_eq!(org.execute(&CloseDay { day: yesterday }, noon()).unwrap().len(), 1);
    assert_eq!(org.execute(&CloseDay { day: yesterday }, noon()).unwrap(), []);
    assert_eq!(org.execute(&CloseDay { day: today() }, noon()).unwrap(), [], "it is not over");
    let more = Allot { day: yesterday, received: nanos(1), ..allot(1, 1) };
    assert_eq!(allotted(&mut org, more), Err(Refusal::Allotment(AllotmentNeeded::AnotherDay(today()))));
    let late = Reclaim { key: key_id(1), day: yesterday, total: nanos(1) };
    assert_eq!(org.execute(&late, noon()).unwrap().len(), 1, "a correction came");
    assert_eq!(org.state().allotted.out(Total, today()), nanos(2));
}

#[test]
fn what_comes_back_late_or_twice_counts_once_and_never_above_what_was_given() {
    let mut org = org(&[(Total, 100)]);
    allotted(&mut org, allot(50, 50)).unwrap();
    let back = |total| Reclaim { key: key_id(1), day: today(), total: nanos(total) };
    for (total, out) in [(20, 30), (20, 30), (10, 30), (30, 20), (51, 20)] {
        org.execute(&back(total), noon()).unwrap();
        assert_eq!(org.state().allotted.out(Total, today()), nanos(out));
    }
}

#[test]
fn an_overrun_counts_whether_or_not_there_is_room_for_it() {
    let mut org = org(&[(Total, 100)]);
    allotted(&mut org, allot(100, 100)).unwrap();
    let cover = CoverOverrun { key: key_id(1), day: today(), total: nanos(130) };
    let event = BudgetAllotted { key: key_id(1), day: today(), total: nanos(130) };
    assert_eq!(org.execute(&cover, noon()).unwrap(), [event.into()]);
    assert_eq!(org.execute(&cover, noon()).unwrap(), []);
    assert_eq!(org.state().allotted.free(&org.state().budgets[0], today()), nanos(-30));
}

#[test]
fn a_call_draws_on_its_slice_to_the_last_nano() {
    let mut key = with_slice(HOLD);
    let authorized = granted(&key, &drawing(1), noon());
    assert!(authorized.allotted);
    key.execute(&drawing(1), noon()).unwrap();
    assert_eq!(idle(&key, today()), 0);
    let short = short(&key, &drawing(2), noon());
    assert_eq!((short.day, short.received), (today(), nanos(HOLD)));
    assert_eq!((short.idle, short.hold), (nanos(0), nanos(HOLD)));
    key.execute(&reported(1, 100, 50), noon()).unwrap();
    assert_eq!(idle(&key, today()), 500_000);
    assert!(!admits(&with_slice(HOLD - 1), &drawing(1), noon()));
    assert!(state(&key).slices.outside().all().is_empty(), "nothing was spent outside of slices");
}

#[test]
fn a_key_is_told_of_budgets_first_and_then_never_calls_without_a_slice() {
    let mut key = key(unlimited());
    key.execute(&call(1), noon()).unwrap();
    assert_eq!(needed(&key, &drawing(2), noon()), AllotmentNeeded::Notice(SINCE));
    let told = key.execute(&Notice { since: SINCE }, noon()).unwrap();
    assert_eq!(told, [AllotmentRequired { since: SINCE }.into()]);
    assert_eq!(key.execute(&Notice { since: SINCE }, noon()).unwrap(), []);
    let stale = |as_of| {
        let slices = SlicesNeeded::No { as_of };
        Authorize { org: OrgView { standing: Standing::Active, slices }, ..call(2) }
    };
    for as_of in [None, Some(Revision(0))] {
        assert_eq!(needed(&key, &stale(as_of), noon()), AllotmentNeeded::LaterView);
    }
    assert!(!granted(&key, &stale(Some(Revision(3))), noon()).allotted, "they were removed since");
    key.execute(&Notice { since: Revision(5) }, noon()).unwrap();
    assert_eq!(needed(&key, &drawing(2), noon()), AllotmentNeeded::LaterView, "they were set again since");
    assert_eq!(state(&key).slices.outside().at(Total, noon()).held, nanos(HOLD));
}

#[test]
fn what_is_received_late_or_twice_counts_once() {
    let mut key = with_slice(10);
    for (total, idle_then) in [(10, 10), (5, 10), (30, 30)] {
        key.execute(&Receive { day: today(), total: nanos(total) }, noon()).unwrap();
        assert_eq!(idle(&key, today()), idle_then);
    }
}

#[test]
fn a_key_returns_what_is_idle_and_no_more() {
    let mut key = with_slice(HOLD + 100);
    key.execute(&drawing(1), noon()).unwrap();
    let some = Return { day: today(), wanted: Some(nanos(10)) };
    assert_eq!(key.execute(&some, noon()).unwrap(), [returned(today(), 50)], "half, to save further asking");
    let more = Return { day: today(), wanted: Some(nanos(40)) };
    assert_eq!(key.execute(&more, noon()).unwrap(), [returned(today(), 90)]);
    let all = Return { day: today(), wanted: None };
    assert_eq!(key.execute(&all, noon()).unwrap(), [returned(today(), 100)]);
    assert_eq!(key.execute(&all, noon()).unwrap(), []);
    key.execute(&void(1), noon()).unwrap();
    assert_eq!(key.execute(&all, noon()).unwrap(), [returned(today(), 100 + HOLD)]);
}

#[test]
fn a_slice_ends_at_midnight_and_is_returned_with_whatever_is_decided_next() {
    let mut key = with_slice(3 * HOLD);
    let (before, after) = (at("2026-11-18T23:59:59.999999Z"), at("2026-11-19T00:00:00Z"));
    key.execute(&drawing(1), before).unwrap();
    let short = short(&key, &drawing(2), after);
    assert_eq!((short.day, short.idle), (today().plus(1), nanos(0)));
    let received = key.execute(&Receive { day: short.day, total: nanos(HOLD) }, after).unwrap();
    let next = AllotmentReceived { day: short.day, total: nanos(HOLD) };
    assert_eq!(received, [next.into(), returned(today(), 2 * HOLD)]);
    // A call that was open at midnight ends against its own day.
    let ended = key.execute(&reported(1, 0, 50), after).unwrap();
    assert_eq!(ended[1..], [returned(today(), 3 * HOLD - 500_000)]);
    assert_eq!((idle(&key, today()), idle(&key, short.day)), (0, HOLD));
}

#[test]
fn a_revoked_key_returns_everything_and_goes_on_returning() {
    let mut key = with_slice(3 * HOLD);
    key.execute(&drawing(1), noon()).unwrap();
    let revoked = key.execute(&Revoke { reason: None }, noon()).unwrap();
    assert_eq!(revoked, [KeyRevoked { reason: None }.into(), returned(today(), 2 * HOLD)]);
    let late = key.execute(&Receive { day: today(), total: nanos(3 * HOLD + 7) }, noon()).unwrap();
    assert_eq!(late[1..], [returned(today(), 2 * HOLD + 7)], "what was on its way");
    let ended = key.execute(&void(1), noon()).unwrap();
    assert_eq!(ended[1..], [returned(today(), 3 * HOLD + 7)]);
}

#[test]
fn a_key_whose_org_has_no_budgets_any_more_returns_its_slice_with_the_next_call() {
    let mut key = with_slice(HOLD);
    let slices = SlicesNeeded::No { as_of: Some(Revision(9)) };
    let freed = Authorize { org: OrgView { standing: Standing::Active, slices }, ..call(1) };
    let events = key.execute(&freed, noon()).unwrap();
    assert_eq!(events[1..], [returned(today(), HOLD)]);
}

#[test]
fn an_overrun_leaves_less_than_nothing_and_the_key_needs_that_much_more() {
    let mut key = with_slice(HOLD);
    key.execute(&drawing(1), noon()).unwrap();
    key.execute(&reported(1, 100, 150), noon()).unwrap();
    assert_eq!(idle(&key, today()), -500_000);
    key.execute(
        &nemo_projections::decide::ClearModel {
            provider: "acme".to_owned(),
            provider_model: "acme-large-1".to_owned(),
        },
        noon(),
    )
    .unwrap();
    assert_eq!(short(&key, &drawing(2), noon()).idle, nanos(-500_000));
    assert_eq!(key.execute(&Return { day: today(), wanted: None }, noon()).unwrap(), []);
    let slice = state(&key).slices.of(today());
    assert_eq!(slice.used_and_returned(), Some(nanos(HOLD + 500_000)));
}

#[test]
fn what_is_received_after_its_slice_was_forgotten_begins_none() {
    let mut key = with_slice(HOLD);
    key.execute(&drawing(1), noon()).unwrap();
    key.execute(&reported(1, 100, 100), noon()).unwrap();
    let later = at("2026-12-30T12:00:00Z");
    key.execute(&Receive { day: Day::of(later), total: nanos(1) }, later).unwrap();
    assert!(state(&key).slices.all().all(|slice| slice.day != today()), "it is forgotten");
    assert_eq!(key.execute(&Receive { day: today(), total: nanos(HOLD) }, later).unwrap(), []);
}

#[test]
fn a_request_without_an_output_limit_gets_a_quarter_of_what_the_org_has_free() {
    let key = with_slice(20_000_000);
    let limit = |free| {
        let mut command = Authorize { org: view(free), ..call(1) };
        command.ask.output_limit = None;
        granted(&key, &command, noon()).output_limit
    };
    // 10,000 nano-dollars for a token; the least that is useful is 1,024.
    assert_eq!(limit(40_000_000), 1_500);
    assert_eq!(limit(-1), 1_024);
}

#[test]
fn a_clamping_key_asks_for_what_one_call_may_cost_though_its_org_has_nothing_left_to_allot() {
    let limits = KeyLimits { when_short: WhenShort::Clamp, max_call_cost: Some(nanos(HOLD)), ..unlimited() };
    let mut key = key(limits);
    let since = Revision(1);
    key.execute(&Notice { since }, noon()).unwrap();
    let slices = SlicesNeeded::Yes { since, free: nanos(0) };
    let org = OrgView { standing: Standing::Active, slices };
    let command = Authorize { org, ..asking(1, ask(100, 200)) };
    assert_eq!(short(&key, &command, noon()).hold, nanos(HOLD));
}
