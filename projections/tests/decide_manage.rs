//! Relabelling, limiting, blocking, clearing, revoking, and writing refusals down.

use nemo_events::Timestamp;
use nemo_events::key::{
    CallsRefused, Evidence, KeyBlocked, KeyLimitsSet, KeyModelCleared, KeyRelabelled, KeyRevoked,
    KeyUnblocked, RefusalCount,
};
use nemo_events::limits::{KeyLimits, WindowKind};
use nemo_projections::Refusal;
use nemo_projections::decide::{
    Block, ClearModel, KeyCommand, RecordRefusals, Relabel, RenewDigest, RetireSecret, Revoke, Rotate,
    SetLimits, Unblock,
};
use nemo_projections::key::Status;
use nemo_projections::testing::{KeyHistory, given};

use crate::support::{
    at, budgets, call, created, key, labels, later, noon, secret, settle, state, tokens, unlimited,
};

fn block() -> Block {
    Block { reason: Some("looks odd".to_owned()) }
}

fn revoke() -> Revoke {
    Revoke { reason: Some("job is gone".to_owned()) }
}

fn clear() -> ClearModel {
    ClearModel { provider: "acme".to_owned(), provider_model: "acme-large-1".to_owned() }
}

fn refusals() -> RecordRefusals {
    let count = RefusalCount {
        code: "key_revoked".to_owned(),
        address: Some("203.0.113.7".to_owned()),
        other_addresses: None,
        count: 3,
    };
    RecordRefusals { since: noon(), refusals: vec![count] }
}

/// Every command that changes a key that lives.
fn changes() -> Vec<Box<dyn KeyCommand>> {
    vec![
        Box::new(Relabel { labels: labels("other") }),
        Box::new(SetLimits { limits: budgets(&[(WindowKind::Day, 1)]), bounds: None }),
        Box::new(block()),
        Box::new(Unblock),
        Box::new(Rotate { secret: secret(2), overlap_secs: 0, leaked: false }),
        Box::new(RetireSecret { version: 1 }),
        Box::new(RenewDigest { secret: secret(1) }),
        Box::new(clear()),
    ]
}

fn decided(key: &KeyHistory, command: &dyn KeyCommand, now: Timestamp) -> Result<usize, Refusal> {
    command.decide(key.state(), now).map(|events| events.len())
}

#[test]
fn nothing_can_be_asked_of_a_key_that_does_not_exist() {
    let nobody = given([]);
    for command in changes() {
        assert_eq!(decided(&nobody, command.as_ref(), noon()), Err(Refusal::KeyUnknown));
    }
    nobody.when(&revoke(), noon()).then_refused(&Refusal::KeyUnknown);
    nobody.when(&refusals(), noon()).then_refused(&Refusal::KeyUnknown);
}

#[test]
fn a_revoked_key_can_be_revoked_again_to_no_effect_and_not_be_changed() {
    let mut key = key(unlimited());
    key.execute(&revoke(), noon()).unwrap();
    for command in changes() {
        assert_eq!(decided(&key, command.as_ref(), noon()), Err(Refusal::Revoked));
    }
    key.when(&revoke(), noon()).then([]);
    assert_eq!(state(&key).status, Status::Revoked);
}

#[test]
fn refusals_are_written_down_even_after_a_revoke_and_none_means_nothing() {
    let mut key = key(unlimited());
    key.execute(&revoke(), noon()).unwrap();
    let RecordRefusals { since, refusals: counts } = refusals();
    let alerts = vec!["key_revoked".to_owned()];
    key.when(&refusals(), noon()).then([CallsRefused { since, refusals: counts, alerts }.into()]);
    key.when(&RecordRefusals { refusals: vec![], ..refusals() }, noon()).then([]);
}

#[test]
fn relabelling_replaces_all_labels_and_the_same_labels_are_no_change() {
    let key = key(unlimited());
    let labels = nemo_events::key::Labels { env: Some("prod".to_owned()), ..labels("weekly") };
    key.when(&Relabel { labels: labels.clone() }, noon()).then([KeyRelabelled { labels }.into()]);
    key.when(&Relabel { labels: crate::support::labels("nightly") }, noon()).then([]);
    let nameless = Relabel { labels: crate::support::labels("") };
    key.when(&nameless, noon()).then_refused(&Refusal::Invalid("name is empty".to_owned()));
}

#[test]
fn a_call_names_the_revision_of_the_labels_in_force() {
    let mut key = key(unlimited());
    let revision = |key: &KeyHistory, n| crate::support::granted(key, &call(n), noon()).labels_revision.0;
    assert_eq!(revision(&key, 1), 0);
    key.execute(&block(), noon()).unwrap();
    key.execute(&Unblock, noon()).unwrap();
    key.execute(&Relabel { labels: labels("weekly") }, noon()).unwrap();
    assert_eq!(revision(&key, 1), 3);
}

#[test]
fn limits_are_replaced_as_a_whole_and_the_same_limits_are_no_change() {
    let before = KeyLimits { requests_per_minute: Some(5), ..unlimited() };
    let key = key(before.clone());
    key.when(&SetLimits { limits: before, bounds: None }, noon()).then([]);
    let limits = budgets(&[(WindowKind::Week, 7)]);
    key.when(&SetLimits { limits: limits.clone(), bounds: None }, noon())
        .then([KeyLimitsSet { limits }.into()]);
    let invalid = SetLimits { limits: KeyLimits::default(), bounds: None };
    assert!(matches!(key.when(&invalid, noon()).result(), Err(Refusal::Invalid(_))));
}

#[test]
fn blocking_and_unblocking_happen_once_each() {
    let mut key = key(unlimited());
    key.when(&Unblock, noon()).then([]);
    let happened = key.execute(&block(), noon()).unwrap();
    assert_eq!(happened, [KeyBlocked { reason: Some("looks odd".to_owned()) }.into()]);
    key.when(&block(), noon()).then([]);
    assert_eq!(key.execute(&Unblock, noon()).unwrap(), [KeyUnblocked {}.into()]);
    key.when(&Unblock, noon()).then([]);
}

#[test]
fn a_reason_has_at_most_512_bytes() {
    let key = key(unlimited());
    let reason = |n| Some("a".repeat(n));
    assert!(key.when(&Revoke { reason: reason(512) }, noon()).result().is_ok());
    let too_long = Refusal::Invalid("reason: at most 512 bytes".to_owned());
    key.when(&Revoke { reason: reason(513) }, noon()).then_refused(&too_long);
    key.when(&Block { reason: reason(513) }, noon()).then_refused(&too_long);
    assert!(key.when(&Block { reason: Some("\u{7}".to_owned()) }, noon()).result().is_err());
}

#[test]
fn a_blocked_key_can_be_revoked() {
    let mut key = key(unlimited());
    key.execute(&block(), noon()).unwrap();
    key.when(&revoke(), noon()).then([KeyRevoked { reason: Some("job is gone".to_owned()) }.into()]);
}

#[test]
fn a_flagged_model_is_cleared_once() {
    let mut key = given([(at("2026-11-01T00:00:00Z"), created(unlimited()))]);
    key.when(&clear(), noon()).then([]);
    key.execute(&call(1), noon()).unwrap();
    key.execute(&settle(1, tokens(100, 101), Evidence::Reported), later(noon(), 5)).unwrap();
    let ClearModel { provider, provider_model } = clear();
    let cleared = key.execute(&clear(), later(noon(), 6)).unwrap();
    assert_eq!(cleared, [KeyModelCleared { provider, provider_model }.into()]);
    key.when(&clear(), later(noon(), 7)).then([]);
}
