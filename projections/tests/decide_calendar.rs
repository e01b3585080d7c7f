//! Windows: midnight, Monday, month's end, leap day; calls that are open while a window changes.

use nemo_events::Timestamp;
use nemo_events::limits::WindowKind::{self, Day, Month, Total, Week};
use nemo_projections::decide::SetLimits;
use nemo_projections::testing::given;

use crate::support::{
    HOLD, admits, at, budgets, call, created, exceeded, held, key, nanos, reported, state, unlimited,
};

/// A budget of exactly one hold that one call used up at `before`.
fn used_up(kind: WindowKind, before: Timestamp) -> nemo_projections::testing::KeyHistory {
    let mut key = given([(at("2020-01-01T00:00:00Z"), created(budgets(&[(kind, HOLD)])))]);
    key.execute(&call(1), before).unwrap();
    key.execute(&reported(1, 100, 100), before).unwrap();
    key
}

/// A budget is used up until the last microsecond before `end`, says so, and is new at `end`.
fn resets(kind: WindowKind, spent: &str, last: &str, end: &str) {
    let key = used_up(kind, at(spent));
    let short = exceeded(&key, &call(2), at(last));
    assert_eq!(short.resets_at, Some(at(end)), "{kind} of {spent}");
    assert!(admits(&key, &call(2), at(end)), "{kind} is new at {end}");
}

#[test]
fn a_day_ends_at_utc_midnight() {
    resets(Day, "2026-11-18T00:00:00Z", "2026-11-18T23:59:59.999999Z", "2026-11-19T00:00:00Z");
    resets(Day, "2026-12-31T00:00:00Z", "2026-12-31T23:59:59.999999Z", "2027-01-01T00:00:00Z");
}

#[test]
fn a_week_goes_from_monday_to_sunday() {
    resets(Week, "2026-11-16T00:00:00Z", "2026-11-22T23:59:59.999999Z", "2026-11-23T00:00:00Z");
    resets(Week, "2026-12-28T00:00:00Z", "2027-01-03T23:59:59.999999Z", "2027-01-04T00:00:00Z");
    let key = used_up(Week, at("2026-11-15T23:59:59.999999Z"));
    assert!(admits(&key, &call(2), at("2026-11-16T00:00:00Z")), "Sunday's spend is last week's");
}

#[test]
fn a_month_ends_with_its_last_day() {
    resets(Month, "2026-11-01T00:00:00Z", "2026-11-30T23:59:59.999999Z", "2026-12-01T00:00:00Z");
    resets(Month, "2026-12-01T00:00:00Z", "2026-12-31T23:59:59.999999Z", "2027-01-01T00:00:00Z");
    resets(Month, "2027-01-31T12:00:00Z", "2027-01-31T23:59:59.999999Z", "2027-02-01T00:00:00Z");
}

#[test]
fn a_leap_day_belongs_to_february() {
    resets(Day, "2028-02-28T12:00:00Z", "2028-02-28T23:59:59.999999Z", "2028-02-29T00:00:00Z");
    resets(Day, "2028-02-29T00:00:00Z", "2028-02-29T23:59:59.999999Z", "2028-03-01T00:00:00Z");
    resets(Month, "2028-02-01T00:00:00Z", "2028-02-29T23:59:59.999999Z", "2028-03-01T00:00:00Z");
    resets(Month, "2100-02-01T00:00:00Z", "2100-02-28T23:59:59.999999Z", "2100-03-01T00:00:00Z");
}

#[test]
fn a_total_never_resets() {
    let key = used_up(Total, at("2026-11-18T12:00:00Z"));
    let short = exceeded(&key, &call(2), at("9999-12-31T23:59:59.999999Z"));
    assert_eq!(short.resets_at, None);
}

#[test]
fn a_call_open_over_midnight_counts_in_the_day_of_its_authorisation() {
    let (before, after) = (at("2026-11-18T23:59:59.999999Z"), at("2026-11-19T00:00:00Z"));
    let mut key = key(budgets(&[(Day, HOLD)]));
    key.execute(&call(1), before).unwrap();
    key.execute(&call(2), after).unwrap();
    assert!(!admits(&key, &call(3), after), "its own day is full");
    key.execute(&reported(1, 100, 100), after).unwrap();
    assert_eq!(state(&key).windows.at(Day, before).settled, nanos(HOLD));
    assert_eq!(state(&key).windows.at(Day, after).settled, nanos(0));
    assert_eq!(state(&key).windows.at(Day, after).held, nanos(HOLD));
    let short = held(&key, &call(3), after);
    assert_eq!((short.settled, short.held), (nanos(0), nanos(HOLD)));
}

#[test]
fn a_call_open_over_months_keeps_its_windows() {
    let (before, after) = (at("2026-01-31T23:00:00Z"), at("2026-11-18T12:00:00Z"));
    let mut key = given([(before, created(unlimited()))]);
    key.execute(&call(1), before).unwrap();
    for (n, month) in (2..).zip(2..=10) {
        let then = at(&format!("2026-{month:02}-15T12:00:00Z"));
        key.execute(&call(n), then).unwrap();
        key.execute(&reported(n, 0, 0), then).unwrap();
    }
    key.execute(&reported(1, 100, 0), after).unwrap();
    assert_eq!(state(&key).windows.at(Month, before).settled, nanos(100_000));
    assert_eq!(state(&key).windows.at(Month, after).settled, nanos(0));
    assert_eq!(state(&key).windows.at(Total, after).settled, nanos(100_000));
}

#[test]
fn a_budget_added_mid_month_counts_what_the_month_already_spent() {
    let mut key = key(unlimited());
    let may = ["2026-04-30T23:59:59Z", "2026-05-01T00:00:00Z", "2026-05-10T08:00:00Z"];
    for (n, when) in (1..).zip(may) {
        key.execute(&call(n), at(when)).unwrap();
        key.execute(&reported(n, 100, 100), at(when)).unwrap();
    }
    let now = at("2026-05-20T08:00:00Z");
    key.execute(&call(4), now).unwrap();
    key.execute(&SetLimits { limits: budgets(&[(Month, 4 * HOLD - 1)]), bounds: None }, now).unwrap();
    let short = held(&key, &call(5), now);
    assert_eq!((short.settled, short.held), (nanos(2 * HOLD), nanos(HOLD)));
    key.execute(&SetLimits { limits: budgets(&[(Month, 4 * HOLD)]), bounds: None }, now).unwrap();
    assert!(admits(&key, &call(5), now));
}

#[test]
fn each_kind_of_window_counts_whether_or_not_it_has_a_budget() {
    let mut key = key(unlimited());
    // Tuesday 30 June, Wednesday 1 July, Monday 6 July, Tuesday 7 July
    let moments =
        ["2026-06-30T01:00:00Z", "2026-07-01T01:00:00Z", "2026-07-06T01:00:00Z", "2026-07-07T01:00:00Z"];
    for (n, moment) in (1..).zip(moments) {
        key.execute(&call(n), at(moment)).unwrap();
        key.execute(&reported(n, 100, 100), at(moment)).unwrap();
    }
    let holds = |kind| state(&key).windows.at(kind, at(moments[3])).settled.as_nanos() / HOLD;
    assert_eq!(WindowKind::ALL.map(holds), [4, 1, 2, 3]);
}
