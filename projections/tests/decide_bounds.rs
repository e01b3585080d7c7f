//! An org's bounds: what lies within them, each respect at its edge, and which decisions keep to them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use nemo_events::limits::{Endpoint, KeyLimits, WhenShort, WindowKind};
use nemo_events::org::{OrgCreated, OrgLimits, OrgLimitsSet};
use nemo_events::{KeyEvent, OrgEvent};
use nemo_projections::bounds::wider_than;
use nemo_projections::decide::{
    Create, CreateOrg, KeyCommand, OrgCommand, SetLimits, SetOrgLimits, model_matches,
};
use nemo_projections::org::Standing;
use nemo_projections::{At, OrgState, Refusal};
use proptest::prelude::*;

use crate::support::{at, budget, budgets, cases, key, labels, nanos, noon, org_id, secret, unlimited};

use WindowKind::{Day, Month, Total, Week};

/// Limits in every respect that can be bounded.
fn all() -> KeyLimits {
    KeyLimits {
        budgets: vec![budget(Day, 10), budget(Total, 100)],
        max_call_cost: Some(nanos(5)),
        requests_per_minute: Some(60),
        tokens_per_minute: Some(1_000),
        concurrent_calls: Some(4),
        models: Some(vec!["gpt-*".into(), "o3".into()]),
        endpoints: Some(vec![Endpoint::ChatCompletions, Endpoint::Messages]),
        addresses: Some(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]),
        expires_at: Some(at("2027-01-01T00:00:00Z")),
        ..KeyLimits::default()
    }
}

/// The fields in which limits are wider than the bounds.
fn wider(limits: &KeyLimits, bounds: &KeyLimits) -> Vec<&'static str> {
    wider_than(limits, bounds).into_iter().map(|wider| wider.field).collect()
}

fn models(patterns: &[&str]) -> KeyLimits {
    let models = Some(patterns.iter().map(|pattern| (*pattern).to_owned()).collect());
    KeyLimits { models, ..KeyLimits::default() }
}

fn addresses(networks: &[&str]) -> KeyLimits {
    let addresses = Some(networks.iter().map(|network| network.parse().unwrap()).collect());
    KeyLimits { addresses, ..KeyLimits::default() }
}

fn create(limits: KeyLimits, bounds: Option<KeyLimits>) -> Create {
    let (org, standing) = (org_id(), Standing::Active);
    Create { org, standing, labels: labels("nightly"), limits, bounds, secret: secret(1) }
}

fn set_on_org(limits: OrgLimits) -> Result<Vec<OrgEvent>, Refusal> {
    let created = OrgCreated { name: "acme".to_owned(), limits: OrgLimits::default() };
    let mut org = None;
    OrgState::evolve(&mut org, &created.into(), At { revision: nemo_events::Revision(0), time: noon() })
        .unwrap();
    SetOrgLimits { limits }.decide(org.as_ref(), noon())
}

#[test]
fn limits_that_equal_their_bounds_are_within_them_and_what_is_not_bounded_is_free() {
    assert_eq!(wider(&all(), &all()), [""; 0]);
    assert_eq!(wider(&unlimited(), &KeyLimits::default()), [""; 0]);
    assert_eq!(wider(&unlimited(), &models(&["*"])), ["models"], "all models must be said as *");
    assert_eq!(wider(&KeyLimits { budgets: all().budgets, ..models(&["*"]) }, &models(&["*"])), [""; 0]);
}

#[test]
fn every_respect_is_bounded_at_its_edge_and_all_of_them_are_named_at_once() {
    type Change = fn(&mut KeyLimits);
    let steps: [(&str, Change, Change); 9] = [
        ("budgets", |it| it.budgets[0].limit = nanos(11), |it| it.budgets.clear()),
        ("max_call_cost", |it| it.max_call_cost = Some(nanos(6)), |it| it.max_call_cost = None),
        ("requests_per_minute", |it| it.requests_per_minute = Some(61), |it| it.requests_per_minute = None),
        ("tokens_per_minute", |it| it.tokens_per_minute = Some(1_001), |it| it.tokens_per_minute = None),
        ("concurrent_calls", |it| it.concurrent_calls = Some(5), |it| it.concurrent_calls = None),
        ("models", |it| it.models = Some(vec!["o3*".into()]), |it| it.models = None),
        ("endpoints", |it| it.endpoints = Some(vec![Endpoint::Responses]), |it| it.endpoints = None),
        (
            "addresses",
            |it| it.addresses = Some(vec!["10.0.0.0/7".parse().unwrap()]),
            |it| {
                it.addresses = None;
            },
        ),
        (
            "expires_at",
            |it| it.expires_at = Some(at("2027-01-01T00:00:00.000001Z")),
            |it| it.expires_at = None,
        ),
    ];
    let (mut wide, mut none) = (all(), all());
    for (field, widen, remove) in steps {
        let (mut wider_here, mut without) = (all(), all());
        widen(&mut wider_here);
        remove(&mut without);
        assert_eq!(wider(&wider_here, &all())[0], field);
        assert_eq!(wider(&without, &all())[0], field, "nothing stated is as wide as can be");
        widen(&mut wide);
        remove(&mut none);
    }
    let fields = [
        "budgets",
        "max_call_cost",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent_calls",
        "models",
        "endpoints",
        "addresses",
        "expires_at",
    ];
    assert_eq!(wider(&wide, &all()), fields);
    assert_eq!(wider(&none, &all()), [&["budgets"], &fields[..]].concat(), "two budgets are missing");
}

#[test]
fn a_cap_on_a_longer_window_caps_the_shorter_ones_in_it() {
    let order = [Day, Week, Month, Total];
    for own in order {
        for bound in order {
            // A week may lie in two months.
            let holds = own == bound || own == Total || bound == Day;
            let found = wider(&budgets(&[(own, 5)]), &budgets(&[(bound, 5)]));
            assert_eq!(found.is_empty(), holds, "{own} within {bound}");
            assert_eq!(wider(&budgets(&[(own, 6)]), &budgets(&[(bound, 5)])), ["budgets"]);
        }
    }
    assert_eq!(wider(&budgets(&[(Day, 9), (Total, 5)]), &budgets(&[(Day, 5)])), [""; 0]);
}

#[test]
fn what_is_wider_says_the_bound_and_what_stands_instead() {
    let said = |limits: &KeyLimits| {
        wider_than(limits, &all()).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let limits = KeyLimits {
        budgets: vec![budget(Day, 2_500_000_000)],
        models: Some(vec!["claude-*".into(), "gpt-5".into()]),
        ..all()
    };
    assert_eq!(
        said(&limits),
        "budgets: a day budget of at most $0.00000001 is needed (the day budget is $2.5)\n\
         budgets: a total budget of at most $0.0000001 is needed (there is none)\n\
         models: nothing beyond gpt-*, o3 may be allowed (claude-* outside)"
    );
    let no_cap =
        said(&KeyLimits { budgets: Vec::new(), unlimited: true, requests_per_minute: None, ..all() });
    assert!(no_cap.contains("(there is no cap)"), "{no_cap}");
    assert!(
        no_cap.ends_with("requests_per_minute: a limit of at most 60 is needed (there is none)"),
        "{no_cap}"
    );
}

#[test]
fn networks_of_a_bound_are_taken_together_and_families_apart() {
    let halves = addresses(&["10.0.0.0/9", "10.128.0.0/9", "10.1.2.3/32"]);
    assert_eq!(wider(&addresses(&["10.0.0.0/8"]), &halves), [""; 0]);
    assert_eq!(
        wider(&addresses(&["10.0.0.0/8"]), &addresses(&["10.0.0.0/9", "10.128.0.0/10"])),
        ["addresses"]
    );
    assert_eq!(wider(&addresses(&["0.0.0.0/0"]), &addresses(&["::/0"])), ["addresses"]);
    assert_eq!(wider(&addresses(&["::/0", "0.0.0.0/0"]), &addresses(&["::/0", "0.0.0.0/0"])), [""; 0]);
}

#[test]
fn a_new_key_and_each_later_change_keep_to_the_bounds() {
    let bounds = Some(budgets(&[(Month, 100)]));
    let refused = |decided: Result<Vec<KeyEvent>, Refusal>| match decided {
        Err(Refusal::OutsideBounds(wider)) => wider.len(),
        other => panic!("not outside the bounds but {other:?}"),
    };
    assert!(create(budgets(&[(Month, 100)]), bounds.clone()).decide(None, noon()).is_ok());
    assert_eq!(refused(create(budgets(&[(Month, 101)]), bounds.clone()).decide(None, noon())), 1);
    assert_eq!(refused(create(unlimited(), bounds.clone()).decide(None, noon())), 1);
    let mut history = key(budgets(&[(Month, 500)]));
    let outside = SetLimits { limits: budgets(&[(Month, 400)]), bounds: bounds.clone() };
    assert_eq!(refused(history.execute(&outside, noon())), 1, "less than before, and still outside");
    let same = SetLimits { limits: budgets(&[(Month, 500)]), bounds: bounds.clone() };
    assert_eq!(history.execute(&same, noon()), Ok(vec![]), "what is so already is no change");
    let within = SetLimits { limits: budgets(&[(Month, 99)]), bounds };
    assert_eq!(history.execute(&within, noon()).unwrap().len(), 1);
}

#[test]
fn what_an_org_gives_new_keys_must_be_within_its_own_bounds() {
    let limits =
        |defaults: KeyLimits, bounds| OrgLimits { key_defaults: Some(defaults), key_bounds: Some(bounds) };
    let fits = limits(budgets(&[(Day, 5)]), budgets(&[(Day, 5)]));
    assert_eq!(set_on_org(fits.clone()), Ok(vec![OrgLimitsSet { limits: fits }.into()]));
    let wide = limits(budgets(&[(Day, 6)]), budgets(&[(Day, 5)]));
    assert!(matches!(set_on_org(wide.clone()), Err(Refusal::OutsideBounds(_))));
    let create = CreateOrg { name: "acme".to_owned(), limits: wide };
    assert!(matches!(create.decide(None, noon()), Err(Refusal::OutsideBounds(_))));
}

#[test]
fn a_bound_that_means_nothing_is_refused_by_name() {
    let bound = |bounds| set_on_org(OrgLimits { key_defaults: None, key_bounds: Some(bounds) });
    let alert = KeyLimits {
        budgets: vec![nemo_events::limits::Budget { alert_at_percent: Some(80), ..budget(Day, 1) }],
        ..KeyLimits::default()
    };
    let cases = [
        (KeyLimits::default(), "key_bounds: nothing is bounded"),
        (unlimited(), "key_bounds: unlimited: bounds nothing"),
        (alert, "key_bounds: budgets: alert_at_percent: bounds nothing"),
        (KeyLimits { when_short: WhenShort::Clamp, ..all() }, "key_bounds: when_short: bounds nothing"),
        (KeyLimits { default_output_tokens: Some(9), ..all() }, "key_bounds: default_output_tokens: bounds"),
        (
            KeyLimits { requests_per_minute: Some(0), ..all() },
            "key_bounds: requests_per_minute: allows nothing",
        ),
        (KeyLimits { models: Some(vec![]), ..all() }, "key_bounds: models: allows nothing"),
        (budgets(&[(Day, 1), (Day, 2)]), "key_bounds: budgets: at most one for each window"),
        (budgets(&[(Day, -1)]), "key_bounds: budgets: a limit cannot be negative"),
    ];
    for (bounds, said) in cases {
        match bound(bounds) {
            Err(Refusal::Invalid(why)) => assert!(why.starts_with(said), "{why}"),
            other => panic!("{said}: {other:?}"),
        }
    }
    assert!(bound(all()).is_ok() && bound(models(&["gpt-*"])).is_ok(), "no budget need be bounded");
}

/// All names of at most five letters. The third letter stands in no pattern, as letters do that nobody thought of.
fn names() -> Vec<String> {
    let mut names = vec![String::new()];
    let mut last = names.clone();
    for _ in 0..5 {
        last = last.iter().flat_map(|name| ["a", "b", "c"].map(|letter| format!("{name}{letter}"))).collect();
        names.extend(last.iter().cloned());
    }
    names
}

/// A network in 10.0.0.0/28.
fn a_network() -> impl Strategy<Value = IpNet> {
    (0_u8..16, 28_u8..=32).prop_map(|(last, length)| {
        Ipv4Net::new(Ipv4Addr::new(10, 0, 0, last), length).unwrap().trunc().into()
    })
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn patterns_are_within_patterns_exactly_if_all_their_names_are(
        own in prop::collection::vec("[ab*]{0,4}", 1..3),
        bounds in prop::collection::vec("[ab*]{0,4}", 1..4),
    ) {
        let matches = |patterns: &[String], name: &str| patterns.iter().any(|p| model_matches(p, name));
        let all_are = names().iter().all(|name| !matches(&own, name) || matches(&bounds, name));
        let limits = |patterns: &[String]| KeyLimits { models: Some(patterns.to_vec()), ..KeyLimits::default() };
        prop_assert_eq!(wider(&limits(&own), &limits(&bounds)).is_empty(), all_are);
    }

    #[test]
    fn networks_are_within_networks_exactly_if_all_their_addresses_are(
        own in prop::collection::vec(a_network(), 1..3),
        bounds in prop::collection::vec(a_network(), 1..6),
    ) {
        let holds = |networks: &[IpNet], address: &IpAddr| networks.iter().any(|network| network.contains(address));
        let every = (0_u8..16).map(|last| IpAddr::from([10, 0, 0, last]));
        let all_are = every.into_iter().all(|address| !holds(&own, &address) || holds(&bounds, &address));
        let limits = |networks: &[IpNet]| KeyLimits { addresses: Some(networks.to_vec()), ..KeyLimits::default() };
        prop_assert_eq!(wider(&limits(&own), &limits(&bounds)).is_empty(), all_are);
    }

    #[test]
    fn what_is_within_a_narrower_bound_is_within_the_wider_one(
        [key, narrow, wide] in prop::array::uniform3((
            prop::option::of(1_i64..9), prop::option::of(1_i64..9), prop::option::of(1_u32..9),
        )),
    ) {
        let limits = |(day, month, rate): (Option<i64>, Option<i64>, Option<u32>)| KeyLimits {
            budgets: [(Day, day), (Month, month)].into_iter()
                .filter_map(|(window, most)| Some(budget(window, most?))).collect(),
            requests_per_minute: rate,
            ..KeyLimits::default()
        };
        let (key, narrow, wide) = (limits(key), limits(narrow), limits(wide));
        prop_assert!(wider(&key, &key).is_empty());
        if wider(&key, &narrow).is_empty() && wider(&narrow, &wide).is_empty() {
            prop_assert_eq!(wider(&key, &wide), [""; 0]);
        }
    }
}
