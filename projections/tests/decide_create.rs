//! Creating a key, and which labels and limits make sense.

use nemo_events::key::{KeyCreated, Labels};
use nemo_events::limits::{Endpoint, KeyLimits, WindowKind};
use nemo_projections::Refusal;
use nemo_projections::decide::{Create, validate_labels, validate_limits};
use nemo_projections::org::Standing;
use nemo_projections::testing::given;

use crate::support::{budget, budgets, key, labels, later, nanos, noon, org_id, secret, unlimited};

fn create() -> Create {
    Create {
        org: org_id(),
        standing: Standing::Active,
        labels: labels("nightly"),
        limits: budgets(&[(WindowKind::Day, 5)]),
        bounds: None,
        secret: secret(1),
    }
}

fn why(limits: &KeyLimits) -> String {
    match validate_limits(limits) {
        Err(Refusal::Invalid(why)) => why,
        other => panic!("not invalid but {other:?}"),
    }
}

#[test]
fn a_key_is_created_with_its_labels_limits_and_first_secret() {
    let Create { org, labels, limits, secret, .. } = create();
    let key_created = KeyCreated { org, labels, limits, secret };
    given([]).when(&create(), noon()).then([key_created.into()]);
}

#[test]
fn a_key_that_exists_is_not_created_again_whatever_else_is_wrong() {
    let wrong = Create { standing: Standing::Archived, labels: Labels::default(), ..create() };
    key(unlimited()).when(&wrong, noon()).then_refused(&Refusal::KeyExists);
}

#[test]
fn an_archived_org_gets_no_new_keys_and_a_suspended_one_does() {
    let archived = Create { standing: Standing::Archived, ..create() };
    given([]).when(&archived, noon()).then_refused(&Refusal::OrgArchived);
    let suspended = Create { standing: Standing::Suspended, ..create() };
    assert!(given([]).when(&suspended, noon()).result().is_ok());
}

#[test]
fn a_new_key_must_expire_after_now() {
    let expiring = |expires_at| Create {
        limits: KeyLimits { expires_at: Some(expires_at), ..create().limits },
        ..create()
    };
    let refused = Refusal::Invalid("expires_at lies in the past".to_owned());
    given([]).when(&expiring(noon()), noon()).then_refused(&refused);
    assert!(given([]).when(&expiring(later(noon(), 1)), noon()).result().is_ok());
}

#[test]
fn a_new_key_needs_valid_labels_and_limits() {
    for wrong in
        [Create { labels: labels(" "), ..create() }, Create { limits: KeyLimits::default(), ..create() }]
    {
        assert!(matches!(given([]).when(&wrong, noon()).result(), Err(Refusal::Invalid(_))), "{wrong:?}");
    }
}

#[test]
fn a_label_has_at_most_128_bytes_and_no_control_characters() {
    let (longest, too_long) = (Some("é".repeat(64)), Some("a".repeat(129)));
    type Set = fn(&mut Labels, Option<String>);
    let set: [(&str, Set); 6] = [
        ("name", |l, text| l.name = text.unwrap()),
        ("app", |l, text| l.app = text),
        ("job", |l, text| l.job = text),
        ("env", |l, text| l.env = text),
        ("cost_centre", |l, text| l.cost_centre = text),
        ("tags", |l, text| l.tags = text.into_iter().collect()),
    ];
    for (label, set) in set {
        let with = |text: &Option<String>| {
            let mut labels = labels("nightly");
            set(&mut labels, text.clone());
            validate_labels(&labels)
        };
        assert_eq!(with(&longest), Ok(()), "{label}");
        assert_eq!(with(&too_long), Err(Refusal::Invalid(format!("{label}: at most 128 bytes"))));
        let control = with(&Some("line\nbreak".to_owned()));
        assert_eq!(control, Err(Refusal::Invalid(format!("{label}: no control characters"))));
    }
}

#[test]
fn a_name_is_not_empty_and_tags_are_at_most_16() {
    assert!(matches!(validate_labels(&labels("")), Err(Refusal::Invalid(_))));
    assert!(matches!(validate_labels(&labels(" \t")), Err(Refusal::Invalid(_))));
    let tagged = |n| Labels { tags: vec!["t".to_owned(); n], ..labels("nightly") };
    assert_eq!(validate_labels(&tagged(16)), Ok(()));
    assert!(validate_labels(&tagged(17)).is_err());
}

#[test]
fn a_key_has_budgets_or_is_unlimited_by_name_but_not_both_or_neither() {
    assert_eq!(validate_limits(&unlimited()), Ok(()));
    assert_eq!(validate_limits(&budgets(&[(WindowKind::Total, 1)])), Ok(()));
    assert!(why(&KeyLimits::default()).contains("\"unlimited\": true"));
    let both = KeyLimits { unlimited: true, ..budgets(&[(WindowKind::Total, 1)]) };
    assert!(why(&both).contains("not both"));
}

#[test]
fn each_window_has_at_most_one_budget_and_no_budget_is_negative() {
    assert_eq!(validate_limits(&budgets(&WindowKind::ALL.map(|kind| (kind, 0)))), Ok(()));
    assert!(why(&budgets(&[(WindowKind::Day, 1), (WindowKind::Day, 1)])).contains("at most one"));
    assert!(why(&budgets(&[(WindowKind::Day, -1)])).contains("negative"));
}

#[test]
fn an_alert_lies_between_1_and_100_percent() {
    let alerting = |percent| {
        let budget =
            nemo_events::limits::Budget { alert_at_percent: Some(percent), ..budget(WindowKind::Day, 1) };
        validate_limits(&KeyLimits { budgets: vec![budget], ..KeyLimits::default() }).is_ok()
    };
    assert_eq!([0, 1, 100, 101].map(alerting), [false, true, true, false]);
}

#[test]
fn a_limit_that_allows_nothing_is_refused_by_name() {
    let zeros = [
        ("max_call_cost", KeyLimits { max_call_cost: Some(nanos(0)), ..unlimited() }),
        ("requests_per_minute", KeyLimits { requests_per_minute: Some(0), ..unlimited() }),
        ("tokens_per_minute", KeyLimits { tokens_per_minute: Some(0), ..unlimited() }),
        ("concurrent_calls", KeyLimits { concurrent_calls: Some(0), ..unlimited() }),
        ("default_output_tokens", KeyLimits { default_output_tokens: Some(0), ..unlimited() }),
        (
            "default_reasoning_output_tokens",
            KeyLimits { default_reasoning_output_tokens: Some(0), ..unlimited() },
        ),
        ("models", KeyLimits { models: Some(vec![]), ..unlimited() }),
        ("endpoints", KeyLimits { endpoints: Some(vec![]), ..unlimited() }),
        ("addresses", KeyLimits { addresses: Some(vec![]), ..unlimited() }),
    ];
    for (name, limits) in zeros {
        assert!(why(&limits).starts_with(&format!("{name}: allows nothing")), "{name}");
    }
    let ones = KeyLimits {
        max_call_cost: Some(nanos(1)),
        requests_per_minute: Some(1),
        tokens_per_minute: Some(1),
        concurrent_calls: Some(1),
        default_output_tokens: Some(1),
        default_reasoning_output_tokens: Some(1),
        models: Some(vec!["*".to_owned()]),
        endpoints: Some(vec![Endpoint::Embeddings]),
        addresses: Some(vec!["::/0".parse().unwrap()]),
        ..unlimited()
    };
    assert_eq!(validate_limits(&ones), Ok(()));
}

#[test]
fn model_patterns_are_at_most_64_and_short() {
    let models =
        |patterns: Vec<String>| validate_limits(&KeyLimits { models: Some(patterns), ..unlimited() }).is_ok();
    assert!(models(vec!["gpt-*".to_owned(); 64]));
    assert!(!models(vec!["gpt-*".to_owned(); 65]));
    assert!(models(vec!["a".repeat(128)]));
    assert!(!models(vec!["a".repeat(129)]));
    assert!(!models(vec!["a\0".to_owned()]));
}
