//! Spend from rollups against sums over single calls.

use std::collections::BTreeMap;

use nemo_events::key::Evidence;
use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, Timestamp};
use nemo_projections::budget::window_start;
use nemo_read_model::{
    Every, Group, GroupBy, Reader, RefusalQuery, RefusalSize, RefusalsOf, RefusalsPer, Spend, SpendFilter,
    SpendQuery, SpendSums,
};
use proptest::prelude::*;

use crate::applying::applied;
use crate::history::{Ask, History, key, labels, org, time, usage};
use crate::naive::{self, NaiveCall};
use crate::random::{self, steps};

fn spend(reader: &Reader, query: &SpendQuery) -> Spend {
    reader.spend(query).unwrap().value
}

type Named = BTreeMap<(Option<Timestamp>, Group), SpendSums>;

fn rows(spend: &Spend) -> Named {
    spend.rows.iter().map(|row| ((row.start, row.group.clone()), row.sums)).collect()
}

fn group(call: &NaiveCall, by: GroupBy) -> Group {
    match by {
        GroupBy::Nothing => Group::Everything,
        // Names are today's: they are not compared here.
        GroupBy::Key => Group::Key(call.key, String::new()),
        GroupBy::Org => Group::Org(call.org, None),
        GroupBy::App => Group::Label(call.labels.app.clone()),
        GroupBy::Job => Group::Label(call.labels.job.clone()),
        GroupBy::Env => Group::Label(call.labels.env.clone()),
        GroupBy::CostCentre => Group::Label(call.labels.cost_centre.clone()),
        GroupBy::Tags => Group::Tags(call.labels.tags.clone()),
        GroupBy::Provider => Group::Provider("openai".into()),
        GroupBy::Model => Group::Model("openai".into(), call.model.clone()),
        GroupBy::Endpoint => Group::Endpoint(nemo_events::limits::Endpoint::ChatCompletions),
    }
}

fn nameless(rows: Named) -> Named {
    let nameless = |group| match group {
        Group::Key(key, _) => Group::Key(key, String::new()),
        Group::Org(org, _) => Group::Org(org, None),
        other => other,
    };
    rows.into_iter().map(|((start, group), sums)| ((start, nameless(group)), sums)).collect()
}

fn start(at: Timestamp, every: Every) -> Option<Timestamp> {
    let floor = |secs: i64| Timestamp::from_micros(at.as_micros() - at.as_micros() % (secs * 1_000_000));
    match every {
        Every::Whole => None,
        Every::QuarterHour => Some(floor(900)),
        Every::Hour => Some(floor(3600)),
        Every::Day => Some(window_start(WindowKind::Day, at)),
        Every::Week => Some(window_start(WindowKind::Week, at)),
        Every::Month => Some(window_start(WindowKind::Month, at)),
    }
}

const GROUPS: [GroupBy; 11] = [
    GroupBy::Nothing,
    GroupBy::Key,
    GroupBy::Org,
    GroupBy::App,
    GroupBy::Job,
    GroupBy::Env,
    GroupBy::CostCentre,
    GroupBy::Tags,
    GroupBy::Provider,
    GroupBy::Model,
    GroupBy::Endpoint,
];

const EVERY: [Every; 6] =
    [Every::Whole, Every::QuarterHour, Every::Hour, Every::Day, Every::Week, Every::Month];

proptest! {
    #![proptest_config(random::cases(10))]

    #[test]
    fn rollups_equal_naive_sums_for_every_group_and_stretch(
        steps in steps(300),
        from in 0_i64..400,
        quarters in 1_i64..3000,
    ) {
        let history = random::history(&steps);
        let place = applied(&history.records);
        let reader = place.model.reader().unwrap();
        let calls = naive::calls(&history.records);
        let from = time("2026-11-28T00:00:00Z").plus_secs(from * 900);
        let ranges = [
            (None, None),
            (Some(from), Some(from.plus_secs(quarters * 900))),
            (Some(time("2026-11-30T00:00:00Z")), Some(time("2026-12-02T00:00:00Z"))),
            (Some(time("2026-12-01T00:00:00Z")), None),
        ];
        for (from, to) in ranges {
            for group_by in GROUPS {
                for every in EVERY {
                    let query = SpendQuery { group_by, every, from, to, ..SpendQuery::default() };
                    let spend = spend(&reader, &query);
                    let expected = naive::sums(&calls, |call| {
                        let counts = from.is_none_or(|from| call.authorized_at >= from)
                            && to.is_none_or(|to| call.authorized_at < to);
                        counts.then(|| (start(call.authorized_at, every), group(call, group_by)))
                    });
                    prop_assert_eq!(spend.rows.len(), expected.len());
                    prop_assert_eq!(nameless(rows(&spend)), expected);
                    let sum = spend.rows.iter().fold(SpendSums::default(), |sum, row| naive::plus(&sum, &row.sums));
                    prop_assert_eq!(spend.total, sum);
                }
            }
        }
    }

    #[test]
    fn filters_leave_out_what_does_not_match(steps in steps(200)) {
        let history = random::history(&steps);
        let place = applied(&history.records);
        let reader = place.model.reader().unwrap();
        let calls = naive::calls(&history.records);
        let total = |filter: SpendFilter| {
            spend(&reader, &SpendQuery { filter, group_by: GroupBy::Model, ..SpendQuery::default() }).total
        };
        let expect = |counts: &dyn Fn(&NaiveCall) -> bool| {
            naive::sums(&calls, |call| counts(call).then_some(())).remove(&()).unwrap_or_default()
        };
        let text = |text: &str| Some(text.to_owned());
        let none = SpendFilter::default;
        prop_assert_eq!(total(SpendFilter { key: Some(key(1)), ..none() }), expect(&|c| c.key == key(1)));
        prop_assert_eq!(total(SpendFilter { org: Some(org(1)), ..none() }), expect(&|c| c.org == org(1)));
        prop_assert_eq!(
            total(SpendFilter { app: text("second"), ..none() }),
            expect(&|c| c.labels.app.as_deref() == Some("second"))
        );
        prop_assert_eq!(
            total(SpendFilter { tag: text("b"), provider_model: text("mini"), ..none() }),
            expect(&|c| c.labels.tags.iter().any(|tag| tag == "b") && c.model == "mini")
        );
        prop_assert_eq!(total(SpendFilter { job: text("none"), ..none() }), SpendSums::default());
    }

    #[test]
    fn a_key_s_totals_and_claims_are_those_of_its_calls(steps in steps(200)) {
        let history = random::history(&steps);
        let place = applied(&history.records);
        let reader = place.model.reader().unwrap();
        let calls = naive::calls(&history.records);
        for (id, sums) in naive::sums(&calls, |call| Some(call.key)) {
            let row = reader.key(id).unwrap().value.unwrap();
            prop_assert_eq!((row.calls, row.spend), (sums.calls, sums.cost));
            let open = calls.values().filter(|call| call.key == id && !call.ended).count();
            prop_assert_eq!((row.open_calls, row.held), (open as u64, Nanos::from_nanos(open as i64 * 1_000_000)));
            for month in [time("2026-11-30T00:00:00Z"), time("2026-12-31T00:00:00Z")] {
                for claim in reader.claims(id, month).unwrap().value {
                    let expected = naive::sums(&calls, |call| {
                        let claimed = call.claims.iter().any(|c| Some(c) == claim.claim.as_ref());
                        let start = |at| window_start(WindowKind::Month, at);
                        (call.key == id && claimed && start(call.authorized_at) == start(month)).then_some(())
                    });
                    prop_assert_eq!((claim.calls, claim.cost), (expected[&()].calls, expected[&()].cost));
                }
            }
        }
    }
}

#[test]
fn a_call_is_booked_where_it_was_authorised_under_the_labels_of_then() {
    let mut history = History::with_keys("2026-11-30T23:59:00Z", 1);
    let call = history.authorize(key(0), &Ask::default());
    history.now = time("2026-12-01T00:10:00Z");
    history.relabel(key(0), labels("second", &[]));
    history.settle(call, 500, usage(10, 2), Evidence::Estimated);
    history.now = time("2027-01-05T00:00:00Z");
    history.correct(call, 200, Some(usage(5, 1)));
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    for every in EVERY {
        let query = SpendQuery { group_by: GroupBy::App, every, ..SpendQuery::default() };
        let spend = spend(&reader, &query);
        let [row] = spend.rows.as_slice() else { panic!("{spend:?}") };
        assert_eq!(row.group, Group::Label(Some("first".into())));
        assert_eq!(row.start, start(time("2026-11-30T23:59:00Z"), every));
        let sums =
            SpendSums { calls: 1, cost: Nanos::from_nanos(200), usage: usage(5, 1), ..SpendSums::default() };
        assert_eq!(row.sums, sums, "the estimate was corrected");
    }
}

#[test]
fn a_range_off_the_quarter_hours_is_refused() {
    let place = applied(&[]);
    let from = Some(time("2026-11-22T12:01:00Z"));
    assert!(place.model.reader().unwrap().spend(&SpendQuery { from, ..SpendQuery::default() }).is_err());
}

#[test]
fn the_sixty_fifth_claim_of_a_month_counts_with_the_others() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 1);
    for number in 0..70 {
        let claims = [&*format!("claim {number:02}"), "every call"];
        let call = history.authorize(key(0), &Ask { claims: &claims, ..Ask::default() });
        history.settle(call, 10, usage(1, 1), Evidence::Reported);
    }
    let place = applied(&history.records);
    let claims = place.model.reader().unwrap().claims(key(0), history.now).unwrap().value;
    let sum = |name: Option<&str>| {
        let row = claims.iter().find(|row| row.claim.as_deref() == name);
        row.map(|row| (row.calls, row.cost.as_nanos()))
    };
    assert_eq!(claims.len(), 65);
    assert_eq!((sum(Some("every call")), sum(None)), (Some((70, 700)), Some((7, 70))));
}

#[test]
fn refusals_are_counted_by_minute_and_by_day() {
    let mut history = History::with_keys("2026-11-22T12:00:30Z", 2);
    history.refuse(key(0), "budget_exceeded", 3);
    history.refuse(key(1), "budget_exceeded", 4);
    history.now = time("2026-11-22T12:01:10Z");
    history.refuse(key(0), "key_blocked", 5);
    history.refuse_presentations(6);
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let counts = |of, per, size, from: Option<&str>| {
        let query = RefusalQuery { of, per, size, from: from.map(time), to: None };
        let rows = reader.refusals(&query).unwrap().value.into_iter();
        rows.map(|row| (row.start.to_string()[11..16].to_owned(), row.key, row.code, row.count))
            .collect::<Vec<_>>()
    };
    let row = |start: &str, key, code: &str, count| (start.to_owned(), key, code.to_owned(), count);
    assert_eq!(
        counts(RefusalsOf::Everybody, RefusalsPer::Code, RefusalSize::Day, None),
        [
            row("00:00", None, "budget_exceeded", 7),
            row("00:00", None, "invalid_api_key", 6),
            row("00:00", None, "key_blocked", 5),
        ]
    );
    assert_eq!(
        counts(
            RefusalsOf::Key(key(0)),
            RefusalsPer::KeyAndCode,
            RefusalSize::Minute,
            Some("2026-11-22T12:01:59Z")
        ),
        [row("12:01", Some(key(0)), "key_blocked", 5)]
    );
    assert_eq!(
        counts(RefusalsOf::NoKey, RefusalsPer::KeyAndCode, RefusalSize::Minute, None),
        [row("12:01", None, "invalid_api_key", 6)]
    );
}
