//! Alerts: raised with what reaches a budget's share, once for each window, and with refusals that are news.

use nemo_events::key::{BudgetAlertRaised, CallsRefused, Evidence, RefusalCount};
use nemo_events::limits::{Budget, KeyLimits, WindowKind};
use nemo_events::{KeyEvent, Timestamp};
use nemo_projections::alerts::ALERTING;
use nemo_projections::decide::{
    Correct, ForfeitCharge, Forfeiter, KeyCommand, RecordRefusals, Revoke, SetLimits,
};
use nemo_projections::testing::KeyHistory;

use crate::support::{
    HOLD, ask, asking, at, call, call_id, forfeit, key, later, nanos, noon, reported, settle, tokens, void,
};

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// Budgets that raise an alert at 80 %.
fn alerting(all: &[(WindowKind, i64)]) -> KeyLimits {
    let budget = |(window, limit): &(WindowKind, i64)| Budget {
        window: *window,
        limit: nanos(*limit),
        alert_at_percent: Some(80),
    };
    KeyLimits { budgets: all.iter().map(budget).collect(), ..KeyLimits::default() }
}

fn does(key: &mut KeyHistory, command: &impl KeyCommand, now: Timestamp) -> Vec<BudgetAlertRaised> {
    let alert = |event| match event {
        KeyEvent::BudgetAlertRaised(alert) => Some(alert),
        _ => None,
    };
    key.execute(command, now).unwrap().into_iter().filter_map(alert).collect()
}

/// A call that costs this much, from its leave to its bill.
fn costs(key: &mut KeyHistory, n: u128, cost: u64, now: Timestamp) -> Vec<BudgetAlertRaised> {
    let tokens = cost / 1_000;
    assert_eq!(does(key, &asking(n, ask(tokens, 1)), now), [], "a hold raises nothing");
    does(key, &reported(n, tokens, 0), now)
}

fn sets(key: &mut KeyHistory, limits: KeyLimits, now: Timestamp) -> Vec<BudgetAlertRaised> {
    does(key, &SetLimits { limits, bounds: None }, now)
}

fn refusals(code: &str) -> RecordRefusals {
    let count = RefusalCount { code: code.to_owned(), address: None, other_addresses: None, count: 3 };
    RecordRefusals { since: noon(), refusals: vec![count] }
}

/// The reasons that are news.
fn news(key: &mut KeyHistory, code: &str, now: Timestamp) -> Vec<String> {
    match key.execute(&refusals(code), now).unwrap().as_slice() {
        [KeyEvent::CallsRefused(CallsRefused { alerts, .. })] => alerts.clone(),
        other => panic!("refusals are one event, not {other:?}"),
    }
}

#[test]
fn the_charge_that_reaches_the_share_raises_an_alert_and_the_next_one_does_not() {
    // 80 % of 2,500,000 are 2,000,000.
    let mut key = key(alerting(&[(WindowKind::Month, 2_500_000)]));
    assert_eq!(costs(&mut key, 1, 1_000_000, noon()), []);
    assert_eq!(costs(&mut key, 2, 999_000, noon()), [], "one token below the share");
    let raised = BudgetAlertRaised {
        window: WindowKind::Month,
        window_start: at("2026-11-01T00:00:00Z"),
        limit: nanos(2_500_000),
        percent: 80,
        settled: nanos(2_000_000),
    };
    let key_before = key.clone();
    assert_eq!(costs(&mut key, 3, 1_000, noon()), std::slice::from_ref(&raised));
    assert_eq!(costs(&mut key, 4, 1_000, noon()), []);
    let mut other = key_before;
    let [beyond] = &costs(&mut other, 3, 2_000, noon())[..] else {
        panic!("beyond the share is reached too")
    };
    assert_eq!(beyond, &BudgetAlertRaised { settled: nanos(2_001_000), ..raised });
}

#[test]
fn a_budget_that_names_no_share_raises_none() {
    let mut limits = alerting(&[(WindowKind::Day, 1_200_000)]);
    limits.budgets[0].alert_at_percent = None;
    assert_eq!(costs(&mut key(limits), 1, 1_100_000, noon()), []);
}

#[test]
fn an_alert_is_in_the_append_of_what_reaches_the_share() {
    let mut key = key(alerting(&[(WindowKind::Day, HOLD)]));
    key.execute(&call(1), noon()).unwrap();
    let end = key.when(&settle(1, tokens(1_000, 0), Evidence::Estimated), noon()).result().unwrap();
    assert!(matches!(&end[..], [KeyEvent::CallSettled(_), KeyEvent::BudgetAlertRaised(_)]), "{end:?}");
    let lost = forfeit(1, ForfeitCharge::Hold, Forfeiter::Owner);
    let end = key.when(&lost, noon()).result().unwrap();
    assert!(matches!(&end[..], [KeyEvent::CallForfeited(_), KeyEvent::BudgetAlertRaised(_)]), "{end:?}");
    assert_eq!(does(&mut key, &void(1), noon()), [], "what costs nothing reaches nothing");
}

#[test]
fn each_budget_raises_its_own_and_a_new_window_another() {
    let mut key = key(alerting(&[(WindowKind::Total, 5_000_000), (WindowKind::Day, 1_250_000)]));
    let windows = |alerts: Vec<BudgetAlertRaised>| alerts.iter().map(|a| a.window).collect::<Vec<_>>();
    let days = ["2026-11-18", "2026-11-19", "2026-11-20", "2026-11-21"];
    let raised: Vec<_> = (1..)
        .zip(days)
        .map(|(n, day)| windows(costs(&mut key, n, 1_000_000, at(&format!("{day}T12:00:00Z")))))
        .collect();
    let day = vec![WindowKind::Day];
    assert_eq!(raised, [day.clone(), day.clone(), day, vec![WindowKind::Total, WindowKind::Day]]);
}

#[test]
fn a_call_that_ends_after_midnight_reaches_the_share_of_its_own_day() {
    let mut key = key(alerting(&[(WindowKind::Day, 1_250_000)]));
    let (before, after) = (at("2026-11-18T23:59:59Z"), at("2026-11-19T00:00:01Z"));
    key.execute(&call(1), before).unwrap();
    let [alert] = &does(&mut key, &reported(1, 1_000, 0), after)[..] else { panic!("no alert") };
    assert_eq!(alert.window_start, at("2026-11-18T00:00:00Z"));
    let [today] = &costs(&mut key, 2, 1_000_000, after)[..] else { panic!("the new day has its own") };
    assert_eq!(today.window_start, at("2026-11-19T00:00:00Z"));
}

#[test]
fn limits_that_put_the_share_below_what_is_charged_raise_it_at_once() {
    let mut key = key(alerting(&[(WindowKind::Month, 10_000_000)]));
    costs(&mut key, 1, 1_000_000, noon());
    let [alert] = &sets(&mut key, alerting(&[(WindowKind::Month, 1_250_000)]), noon())[..] else {
        panic!("no alert")
    };
    assert_eq!((alert.limit, alert.settled), (nanos(1_250_000), nanos(1_000_000)));
    let lower = alerting(&[(WindowKind::Month, 1_100_000)]);
    assert_eq!(sets(&mut key, lower, noon()), [], "it was reached before");
    // A budget that is new in a window counts what the window already spent.
    let two = alerting(&[(WindowKind::Month, 1_100_000), (WindowKind::Day, 1_000_000)]);
    assert_eq!(sets(&mut key, two, noon()).len(), 1);
}

#[test]
fn limits_arm_a_budget_again_only_where_its_share_is_not_reached_any_more() {
    let mut key = key(alerting(&[(WindowKind::Month, 1_250_000)]));
    assert_eq!(costs(&mut key, 1, 1_000_000, noon()).len(), 1);
    // 80 % of 2,500,000 are reached by two.
    assert_eq!(sets(&mut key, alerting(&[(WindowKind::Month, 2_500_000)]), noon()), []);
    assert_eq!(costs(&mut key, 2, 999_000, noon()), []);
    assert_eq!(costs(&mut key, 3, 1_000, noon()).len(), 1);
}

#[test]
fn a_correction_raises_nothing_and_arms_nothing() {
    let mut key = key(alerting(&[(WindowKind::Month, 1_250_000)]));
    key.execute(&call(1), noon()).unwrap();
    assert_eq!(does(&mut key, &settle(1, tokens(1_000, 0), Evidence::Estimated), noon()).len(), 1);
    let correct =
        Correct { call: call_id(1), charged: nanos(0), reason: "no bill".to_owned(), forgotten: None };
    assert_eq!(does(&mut key, &correct, noon()), []);
    assert_eq!(costs(&mut key, 2, 1_000_000, noon()), []);
}

#[test]
fn a_call_that_ends_after_a_revoke_raises_its_alert_still() {
    let mut key = key(alerting(&[(WindowKind::Month, 1_250_000)]));
    key.execute(&call(1), noon()).unwrap();
    key.execute(&Revoke { reason: None }, noon()).unwrap();
    assert_eq!(does(&mut key, &reported(1, 1_000, 0), noon()).len(), 1);
}

#[test]
fn a_reason_is_news_at_first_then_after_a_quiet_hour() {
    let mut key = key(alerting(&[(WindowKind::Month, 1)]));
    let after = |micros| later(noon(), micros);
    assert_eq!(news(&mut key, "budget_exceeded", noon()), ["budget_exceeded"]);
    assert_eq!(news(&mut key, "rate_limit_exceeded", noon()), ["rate_limit_exceeded"], "each by itself");
    assert_eq!(news(&mut key, "budget_exceeded", after(MICROS_PER_HOUR - 1)), [""; 0]);
    // It was met in between: the hour begins again.
    assert_eq!(news(&mut key, "budget_exceeded", after(MICROS_PER_HOUR)), [""; 0]);
    assert_eq!(news(&mut key, "budget_exceeded", after(2 * MICROS_PER_HOUR)), ["budget_exceeded"]);
}

#[test]
fn a_reason_that_never_falls_quiet_is_news_every_day() {
    let mut key = key(alerting(&[(WindowKind::Month, 1)]));
    let mut days = Vec::new();
    for minute in 0..3 * 24 * 60 {
        let now = later(noon(), minute * 60_000_000);
        if !news(&mut key, "key_blocked", now).is_empty() {
            days.push(now.to_string());
        }
    }
    let midnight = |day| format!("2026-11-{day}T00:00:00.000000Z");
    assert_eq!(days, [noon().to_string(), midnight(19), midnight(20), midnight(21)]);
}

#[test]
fn what_a_caller_gets_wrong_is_no_news() {
    let mut key = key(alerting(&[(WindowKind::Month, 1)]));
    for code in ["call_already_billed", "model_not_found", "output_limit_too_high"] {
        assert_eq!(news(&mut key, code, noon()), [""; 0]);
    }
    assert!(ALERTING.is_sorted());
}
