//! The overview against sums and states worked out from the events alone.

use std::collections::BTreeMap;

use nemo_events::key::Evidence;
use nemo_events::limits::{Budget, KeyLimits, WindowKind};
use nemo_events::{Actor, Nanos, StreamName, Timestamp};
use nemo_projections::budget::window_start;
use nemo_projections::key::Status;
use nemo_read_model::{
    CapLevel, KeyFilter, KeyRow, OverCause, Overview, OverviewQuery, PageRequest, Reader, RefusalQuery,
    RefusalSize, RefusalsOf, RefusalsPer,
};
use proptest::prelude::*;

use crate::applying::applied;
use crate::history::{Ask, History, key, labels, operator, org, time, usage};
use crate::naive;
use crate::random::{self, steps};

fn overview(reader: &Reader, now: Timestamp) -> Overview {
    reader.overview(&OverviewQuery { now, days: 30, keys: 100, deeds: 1000 }).unwrap().value
}

fn day(at: Timestamp) -> Timestamp {
    window_start(WindowKind::Day, at)
}

fn budget(window: WindowKind, limit: i64) -> KeyLimits {
    let budgets = vec![Budget { window, limit: Nanos::from_nanos(limit), alert_at_percent: None }];
    KeyLimits { budgets, ..KeyLimits::default() }
}

proptest! {
    #![proptest_config(random::cases(24))]

    #[test]
    fn days_and_jobs_are_sums_over_single_calls(steps in steps(300)) {
        let history = random::history(&steps);
        let place = applied(&history.records);
        let found = overview(&place.model.reader().unwrap(), history.now);
        let calls = naive::calls(&history.records);
        let from = day(history.now).plus_secs(-29 * 86_400);
        let expected = naive::sums(&calls, |call| {
            (call.authorized_at >= from).then(|| (day(call.authorized_at), call.labels.job.clone()))
        });
        let days: BTreeMap<_, _> = found.days.iter().map(|d| ((d.day, d.job.clone()), d.sums)).collect();
        prop_assert_eq!(days.len(), expected.len());
        for (at, sums) in expected {
            let got = days[&at];
            prop_assert_eq!((got.calls, got.voided, got.cost), (sums.calls, sums.voided, sums.cost));
        }
        let month = window_start(WindowKind::Month, history.now);
        let this = naive::sums(&calls, |call| (call.authorized_at >= month).then_some(()));
        let this = this.get(&()).copied().unwrap_or_default();
        prop_assert_eq!((found.month.calls, found.month.cost), (this.calls, this.cost));
    }

    #[test]
    fn caps_are_used_as_the_keys_own_folds_say(steps in steps(300)) {
        let history = random::history(&steps);
        let place = applied(&history.records);
        let reader = place.model.reader().unwrap();
        let found = overview(&reader, history.now);
        let rows = reader.keys(&KeyFilter::default(), &PageRequest::default()).unwrap().value.rows;
        for row in &rows {
            let state = history.state(row.key);
            for cap in row.caps(history.now) {
                let settled = state.windows.at(cap.window, history.now).settled;
                prop_assert_eq!(cap.spent, settled, "{} {}", row.key, cap.window);
            }
        }
        let living = |row: &&KeyRow| row.status != Status::Revoked;
        let worst = |row: &KeyRow| row.caps(history.now).iter().map(|cap| cap.level).max();
        let count = |level| rows.iter().filter(living).filter(|row| worst(row) == Some(level)).count() as u64;
        let alerts = &found.alerts;
        prop_assert_eq!(
            (alerts.over, alerts.used_up, alerts.near),
            (count(CapLevel::Over), count(CapLevel::UsedUp), count(CapLevel::Near))
        );
        let tightest = rows.iter().filter(living).filter_map(|row| row.caps(history.now).first().copied());
        let mut tightest: Vec<_> = tightest.filter(|cap| cap.spent > Nanos::ZERO).collect();
        tightest.sort_by(|a, b| b.cmp_by_use(a));
        let shares: Vec<_> = tightest.iter().map(|cap| cap.permille()).collect();
        prop_assert_eq!(found.closest.iter().map(|close| close.cap.permille()).collect::<Vec<_>>(), shares);
        let filter = KeyFilter { cap_alert_at: Some(history.now), ..KeyFilter::default() };
        let listed = reader.keys(&filter, &PageRequest::default()).unwrap().value.rows.len() as u64;
        prop_assert_eq!(listed, alerts.over + alerts.used_up + alerts.near);
    }

    #[test]
    fn refusals_of_all_keys_are_those_of_each(steps in steps(200)) {
        let history = random::history(&steps);
        let place = applied(&history.records);
        let reader = place.model.reader().unwrap();
        let (of, per, size) = (RefusalsOf::Everybody, RefusalsPer::Code, RefusalSize::Day);
        let from = Some(window_start(WindowKind::Month, history.now));
        let rows = reader.refusals(&RefusalQuery { of, per, size, from, to: None }).unwrap().value;
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        rows.into_iter().for_each(|row| *expected.entry(row.code).or_default() += row.count);
        let found = overview(&reader, history.now).refusals;
        prop_assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
    }
}

#[test]
fn a_cap_is_over_because_it_was_lowered_or_because_a_provider_reported_more() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 2);
    for number in 0..2 {
        history.set_limits(key(number), budget(WindowKind::Month, 1000));
    }
    let spend = |history: &mut History, number, cost| {
        let call = history.authorize(key(number), &Ask::default());
        history.settle(call, cost, usage(1, 1), Evidence::Reported);
    };
    spend(&mut history, 0, 900);
    spend(&mut history, 1, 1300);
    let alerts = |history: &History| {
        let place = applied(&history.records);
        overview(&place.model.reader().unwrap(), history.now).alerts
    };
    let before = alerts(&history);
    assert_eq!((before.over, before.used_up, before.near), (1, 0, 1));
    assert_eq!(before.over_caps[0].cause, Some(OverCause::ProviderReportedMore));

    history.set_limits(key(0), budget(WindowKind::Month, 800));
    // Raising a cap, though not enough, is no cause.
    history.set_limits(key(1), budget(WindowKind::Month, 1200));
    let after = alerts(&history);
    let causes: Vec<_> = after.over_caps.iter().map(|alert| (alert.of.key, alert.cause)).collect();
    assert_eq!(
        causes,
        [(key(0), Some(OverCause::CapLowered)), (key(1), Some(OverCause::ProviderReportedMore))],
        "the worst first"
    );
    history.revoke(key(0));
    history.now = time("2026-12-01T00:00:00Z");
    let next_month = alerts(&history);
    assert_eq!((next_month.over, next_month.near), (0, 0), "in a new month nothing of it is spent");
}

#[test]
fn this_month_is_compared_with_the_days_that_last_month_has_too() {
    let mut history = History::with_keys("2026-01-31T12:00:00Z", 1);
    let mut spend = |at: &str, cost| {
        history.now = time(at);
        let call = history.authorize(key(0), &Ask::default());
        history.settle(call, cost, usage(1, 1), Evidence::Reported);
    };
    spend("2026-02-01T00:00:00Z", 1);
    spend("2026-02-28T23:59:59Z", 10);
    spend("2026-03-01T00:00:00Z", 100);
    spend("2026-03-28T23:59:59Z", 1000);
    spend("2026-03-29T00:00:00Z", 10_000);
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let compared = |now| {
        let found = overview(&reader, time(now)).compared?;
        Some((found.days, found.last.cost.as_nanos(), found.this.cost.as_nanos()))
    };
    assert_eq!(compared("2026-03-01T15:00:00Z"), None, "no day is over");
    assert_eq!(compared("2026-03-02T00:00:00Z"), Some((1, 1, 100)));
    assert_eq!(compared("2026-03-31T12:00:00Z"), Some((28, 11, 1100)));
}

#[test]
fn deeds_are_what_managers_did_and_nothing_of_calls() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 1);
    history.actor = operator();
    history.relabel(key(0), labels("second", &[]));
    history.actor = Actor::MasterKey { id: "AAAAAAAAAAA".parse().unwrap() };
    history.rename_org(0, "Acme");
    let call = history.authorize(key(0), &Ask::default());
    history.actor = Actor::System;
    history.settle(call, 5, usage(1, 1), Evidence::Reported);
    let place = applied(&history.records);
    let deeds = overview(&place.model.reader().unwrap(), history.now).deeds;
    let told: Vec<_> = deeds.iter().map(|deed| (deed.event_type.as_str(), deed.name.as_deref())).collect();
    assert_eq!(told, [("OrgRenamed", Some("Acme")), ("KeyRelabelled", Some("the second key"))]);
    assert_eq!(deeds[1].actor, operator());
    assert_eq!(deeds[1].stream, StreamName::Key(key(0)));
}

#[test]
fn an_org_is_told_what_its_own_keys_come_to() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 2);
    history.create_org(1);
    history.create_key(2, 1);
    for number in 0..3 {
        let call = history.authorize(key(number), &Ask::default());
        history.settle(call, 5, usage(1, 1), Evidence::Reported);
    }
    history.now = time("2026-12-01T00:00:00Z");
    let call = history.authorize(key(0), &Ask::default());
    history.settle(call, 7, usage(1, 1), Evidence::Reported);
    let _open = history.authorize(key(0), &Ask::default());
    history.revoke(key(1));
    let place = applied(&history.records);
    let found = place.model.reader().unwrap().org_use(org(0), history.now).unwrap().value;
    assert_eq!((found.active, found.blocked, found.revoked), (1, 0, 1));
    assert_eq!((found.total.as_nanos(), found.month.as_nanos(), found.open_calls), (17, 7, 1));
    assert_eq!(found.last_used_at, Some(history.now));
}

#[test]
fn keys_are_counted_by_what_may_be_done_with_them() {
    let mut history = History::with_keys("2026-09-01T00:00:00Z", 5);
    history.revoke(key(0));
    history.block(key(1));
    let past = KeyLimits { expires_at: Some(time("2026-10-01T00:00:00Z")), ..budget(WindowKind::Day, 5) };
    history.set_limits(key(2), past);
    history.now = time("2026-11-01T00:00:00Z");
    let _open = history.authorize(key(3), &Ask::default());
    let place = applied(&history.records);
    let keys = overview(&place.model.reader().unwrap(), time("2026-11-22T00:00:00Z")).keys;
    assert_eq!((keys.active, keys.idle, keys.blocked, keys.expired, keys.revoked), (2, 1, 1, 1, 1));
}
