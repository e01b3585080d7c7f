//! Sequences that no decision could have written: the fold stops, and says why.

use nemo_events::key::{
    BoundBasis, CallAuthorized, CallCorrected, CallForfeited, CallSettled, CallVoided, Client, Evidence,
    ForfeitReason, Hold, KeyBlocked, KeyDigestRenewed, KeyLimitsSet, KeyModelCleared, KeyRelabelled,
    KeyRevoked, KeySecretRetired, KeySecretRotated, KeyUnblocked,
};
use nemo_events::limits::Endpoint;
use nemo_events::{KeyEvent, Nanos, RequestId, Revision, Timestamp};
use nemo_projections::{At, CorruptLog, KeyState};
use uuid::Uuid;

use crate::support::{
    call_id, card, created, labels, later, nanos, noon, reported, secret, tokens, unlimited,
};

fn fold(events: &[KeyEvent]) -> Result<Option<KeyState>, CorruptLog> {
    let mut state = None;
    for (revision, event) in (0..).zip(events) {
        KeyState::evolve(&mut state, event, At { revision: Revision(revision), time: noon() })?;
    }
    Ok(state)
}

/// Folds what follows a key's creation and expects the fold to stop at the last event.
fn stops(events: &[KeyEvent]) -> &'static str {
    let log = [&[created(unlimited())], events].concat();
    let (_, before) = log.split_last().unwrap();
    fold(before).unwrap();
    fold(&log).unwrap_err().0
}

fn authorized(n: u128, amount: i64) -> KeyEvent {
    CallAuthorized {
        call: call_id(n),
        request: RequestId::from_uuid(Uuid::from_u128(n)),
        attempt: 1,
        secret_version: 1,
        endpoint: Endpoint::Messages,
        model: "large".to_owned(),
        provider: "acme".to_owned(),
        provider_model: "acme-large-1".to_owned(),
        price_card: card().id().unwrap(),
        hold: Hold {
            amount: nanos(amount),
            input_amount: nanos(0),
            input_tokens: 1,
            output_tokens: 1,
            basis: BoundBasis::Bytes,
        },
        output_limit: 1,
        output_limit_set: false,
        deadline: noon(),
        labels_revision: Revision(0),
        client: Client::default(),
        tags: Vec::new(),
        streams: false,
        hidden_output: false,
        idempotency_key: None,
        body: None,
        allotted: false,
    }
    .into()
}

fn settled(n: u128, cost: i64, over_hold: bool) -> KeyEvent {
    CallSettled {
        call: call_id(n),
        usage: tokens(1, 1),
        cost: nanos(cost),
        evidence: Evidence::Reported,
        ending: reported(n, 0, 0).ending,
        over_hold,
        provider_request: None,
        status: None,
        first_byte_ms: None,
        duration_ms: 1,
    }
    .into()
}

fn voided(n: u128) -> KeyEvent {
    let reason = nemo_events::key::VoidReason::NotSent;
    CallVoided { call: call_id(n), reason, status: None, duration_ms: 0 }.into()
}

fn forfeited(n: u128, charged: i64) -> KeyEvent {
    CallForfeited { call: call_id(n), charged: nanos(charged), reason: ForfeitReason::Reset }.into()
}

fn corrected(n: u128, before: i64, after: i64, authorized_at: Timestamp) -> KeyEvent {
    CallCorrected {
        call: call_id(n),
        charged_before: nanos(before),
        charged: nanos(after),
        ended_at: Revision(2),
        authorized_at,
        allotted: false,
        usage: None,
        reason: "test".to_owned(),
    }
    .into()
}

fn revoked() -> KeyEvent {
    KeyRevoked { reason: None }.into()
}

#[test]
fn a_key_is_created_once_and_first() {
    assert_eq!(fold(&[revoked()]).unwrap_err(), CorruptLog("a key's first event is not its creation"));
    assert_eq!(stops(&[created(unlimited())]), "a key was created twice");
}

#[test]
fn nothing_is_authorised_with_a_revoked_or_blocked_key() {
    let why = "a call was authorised with a key that was blocked or revoked";
    assert_eq!(stops(&[revoked(), authorized(1, 5)]), why);
    assert_eq!(stops(&[KeyBlocked { reason: None }.into(), authorized(1, 5)]), why);
}

#[test]
fn a_revoked_key_changes_no_more() {
    let rotated =
        KeySecretRotated { secret: secret(2), previous_valid_until: later(noon(), 9), leaked: false };
    let changes: [KeyEvent; 9] = [
        revoked(),
        KeyBlocked { reason: None }.into(),
        KeyUnblocked {}.into(),
        KeyRelabelled { labels: labels("x") }.into(),
        KeyLimitsSet { limits: unlimited() }.into(),
        rotated.into(),
        KeySecretRetired { version: 1 }.into(),
        KeyDigestRenewed { secret: secret(1) }.into(),
        KeyModelCleared { provider: String::new(), provider_model: String::new() }.into(),
    ];
    for change in changes {
        assert_eq!(stops(&[revoked(), change]), "a revoked key changed");
    }
}

#[test]
fn calls_of_a_revoked_key_end_and_are_corrected() {
    let log = [
        created(unlimited()),
        authorized(1, 5),
        authorized(2, 5),
        authorized(3, 5),
        revoked(),
        settled(1, 5, false),
        voided(2),
        forfeited(3, 5),
        corrected(3, 5, 0, noon()),
    ];
    assert!(fold(&log).is_ok());
}

#[test]
fn a_call_is_authorised_once() {
    assert_eq!(stops(&[authorized(1, 5), authorized(1, 5)]), "a call was authorised twice");
    assert_eq!(stops(&[authorized(1, 5), voided(1), authorized(1, 5)]), "a call was authorised twice");
}

#[test]
fn a_call_ends_once_and_only_if_it_was_open() {
    let why = "a call ended that was not open";
    for end in [settled(1, 5, false), settled(1, 6, true), voided(1), forfeited(1, 5)] {
        assert_eq!(stops(std::slice::from_ref(&end)), why);
        assert_eq!(stops(&[authorized(1, 5), voided(1), end]), why);
    }
}

#[test]
fn a_charge_lies_between_zero_and_the_hold_unless_it_is_flagged() {
    assert_eq!(
        stops(&[authorized(1, 5), settled(1, 6, false)]),
        "a call cost more than its hold and nobody said so"
    );
    assert!(fold(&[created(unlimited()), authorized(1, 5), settled(1, 6, true)]).is_ok());
    assert_eq!(stops(&[authorized(1, 5), forfeited(1, 6)]), "a call was forfeited above its hold");
    for negative in [settled(1, -1, false), forfeited(1, -1)] {
        assert_eq!(stops(&[authorized(1, 5), negative]), "a window's amount does not add up");
    }
    assert_eq!(stops(&[authorized(1, -1)]), "a window's amount does not add up");
}

#[test]
fn a_correction_starts_from_the_charge_and_moment_of_its_call_and_lowers() {
    let ended = [authorized(1, 5), forfeited(1, 4)];
    let after = |correction| stops(&[ended.as_slice(), &[correction]].concat());
    let elsewhere = "a correction starts from another charge or moment";
    assert_eq!(after(corrected(1, 5, 1, noon())), elsewhere);
    assert_eq!(after(corrected(1, 4, 1, later(noon(), 1))), elsewhere);
    assert_eq!(after(corrected(1, 4, 5, noon())), "a correction raises a charge or falls below zero");
    assert_eq!(after(corrected(1, 4, -1, noon())), "a correction raises a charge or falls below zero");
    let over = [authorized(1, 5), settled(1, 9, true), corrected(1, 9, 6, noon())];
    assert_eq!(stops(&over), "a correction charges more than the hold");
}

#[test]
fn an_event_about_a_secret_names_one_that_the_key_has() {
    let why = "an event names a secret that the key does not have";
    assert_eq!(stops(&[KeySecretRetired { version: 2 }.into()]), why);
    assert_eq!(stops(&[KeyDigestRenewed { secret: secret(2) }.into()]), why);
    let again = KeySecretRotated { secret: secret(1), previous_valid_until: noon(), leaked: false };
    assert_eq!(stops(&[again.into()]), "a new secret has an earlier one's version");
}

#[test]
fn sums_beyond_64_bits_stop_the_fold() {
    let most = Nanos::MAX.as_nanos();
    assert_eq!(stops(&[authorized(1, most), authorized(2, 1)]), "a window's amount does not add up");
    let two = [authorized(1, 0), settled(1, most, true), authorized(2, 0), settled(2, 1, true)];
    assert_eq!(stops(&two), "a window's amount does not add up");
}
