//! The shapes as JSON: field names are a promise, and no digest gets out.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails loudly")]

use nemo_events::key::{BoundBasis, CallAuthorized, Ending, Evidence, Hold, KeyCreated, KeySecret, Labels};
use nemo_events::limits::{Budget, Endpoint, KeyLimits, WindowKind};
use nemo_events::{
    CallId, Digest, KeyEvent, KeyId, Nanos, OrgId, PriceCardId, RequestId, Revision, Timestamp, Usage,
};
use nemo_projections::{At, KeyState};
use nemo_read_model::{CallEnd, EndedCall};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CallRow, Key};
use crate::ledger::KeyAccount;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn dollars(text: &str) -> Nanos {
    text.parse().unwrap()
}

fn key_id() -> KeyId {
    "key_0123456789A".parse().unwrap()
}

fn created() -> KeyEvent {
    let budget = Budget { window: WindowKind::Day, limit: dollars("2"), alert_at_percent: None };
    let limits = KeyLimits { budgets: vec![budget], concurrent_calls: Some(3), ..KeyLimits::default() };
    let (pepper, last_four) = ("p-1".parse().unwrap(), "a1b2".to_owned());
    let secret = KeySecret { version: 1, digest: Digest::of(b"secret"), pepper, last_four };
    let labels = Labels { name: "summaries".into(), app: Some("mailer".into()), ..Labels::default() };
    KeyCreated { org: OrgId::from_uuid(Uuid::nil()), labels, limits, secret }.into()
}

fn authorized(at: Timestamp) -> KeyEvent {
    let hold = Hold {
        amount: dollars("0.5"),
        input_amount: dollars("0.1"),
        input_tokens: 10,
        output_tokens: 20,
        basis: BoundBasis::Bytes,
    };
    CallAuthorized {
        call: CallId::from_uuid(Uuid::from_u128(7)),
        request: RequestId::from_uuid(Uuid::nil()),
        attempt: 1,
        secret_version: 1,
        endpoint: Endpoint::ChatCompletions,
        model: "gpt-x".into(),
        provider: "openai".into(),
        provider_model: "gpt-x-1".into(),
        price_card: PriceCardId(Digest::ZERO),
        hold,
        output_limit: 20,
        output_limit_set: false,
        deadline: at.plus_secs(600),
        labels_revision: Revision::FIRST,
        client: Default::default(),
        tags: vec![],
        streams: false,
        hidden_output: false,
        idempotency_key: None,
        body: None,
        allotted: false,
    }
    .into()
}

fn key() -> Value {
    let (born, used) = (time("2026-11-22T10:00:00Z"), time("2026-11-22T12:00:00Z"));
    let mut account = KeyAccount::default();
    for (revision, (event, time)) in (0..).zip([(created(), born), (authorized(used), used)]) {
        let at = At { revision: Revision(revision), time };
        KeyState::evolve(&mut account.key, &event, at).unwrap();
        account.attribution.evolve(&event, at).unwrap();
    }
    serde_json::to_value(Key::of(key_id(), &account, used).unwrap().unwrap()).unwrap()
}

#[test]
fn a_key_shows_what_is_spent_held_and_free() {
    let key = key();
    assert_eq!(key["id"], "key_0123456789A");
    assert_eq!(key["status"], "active");
    assert_eq!(key["labels"], json!({ "name": "summaries", "app": "mailer" }));
    assert_eq!(
        key["budgets"],
        json!([{ "window": "day", "limit": "2", "settled": "0", "held": "0.5", "free": "1.5",
            "resets_at": "2026-11-23T00:00:00.000000Z" }])
    );
    let windows: Vec<_> = key["windows"].as_array().unwrap().iter().map(|w| w["window"].clone()).collect();
    assert_eq!(windows, ["total", "day", "week", "month"]);
    assert_eq!(key["windows"][0]["starts_at"], "2026-11-22T10:00:00.000000Z");
    assert_eq!(key["rates"]["concurrent_calls"], json!({ "limit": 3, "remaining": 2 }));
    assert_eq!(key["rates"]["requests_per_minute"], Value::Null);
}

#[test]
fn a_key_lists_its_open_calls() {
    let open = json!([{ "id": "00000000-0000-0000-0000-000000000007", "hold": "0.5", "provider": "openai",
        "provider_model": "gpt-x-1", "authorized_at": "2026-11-22T12:00:00.000000Z",
        "deadline": "2026-11-22T12:10:00.000000Z" }]);
    assert_eq!(key()["open_calls"], json!({ "count": 1, "calls": open }));
}

#[test]
fn a_secret_is_told_by_its_last_four_and_never_by_its_digest() {
    let key = key();
    let secret = json!([{ "version": 1, "last_four": "a1b2", "pepper": "p-1", "valid_until": null }]);
    assert_eq!(key["secrets"], secret);
    assert!(!key.to_string().contains(&Digest::of(b"secret").to_string()));
}

#[test]
fn a_key_that_does_not_exist_has_no_shape() {
    let nothing = Key::of(key_id(), &KeyAccount::default(), Timestamp::EPOCH).unwrap();
    assert!(nothing.is_none());
}

fn call(ended: Option<EndedCall>) -> Value {
    let row = nemo_read_model::CallRow {
        call: CallId::from_uuid(Uuid::from_u128(7)),
        key: key_id(),
        endpoint: Endpoint::ChatCompletions,
        provider: "openai".into(),
        provider_model: "gpt-x-1".into(),
        model: "gpt-x".into(),
        labels_revision: Revision::FIRST,
        hold: dollars("0.5"),
        streams: true,
        claims: vec!["nightly".into()],
        authorized_revision: Revision(3),
        authorized_position: nemo_events::Position(9),
        authorized_at: time("2026-11-22T12:00:00Z"),
        ended,
    };
    serde_json::to_value(CallRow::from(row)).unwrap()
}

#[test]
fn a_call_says_how_it_ended_in_one_flat_object() {
    assert_eq!(call(None)["outcome"], "open");
    let ended = call(Some(EndedCall {
        revision: Revision(4),
        position: nemo_events::Position(10),
        at: time("2026-11-22T12:00:01Z"),
        end: CallEnd::Settled { evidence: Evidence::Reported, ending: Ending::Completed },
        cost: dollars("0.25"),
        usage: Usage { input: 10, output: 5, ..Usage::default() },
        status: Some(200),
        first_byte_ms: Some(80),
        duration_ms: Some(900),
        over_hold: false,
        corrected_revision: None,
    }));
    let expected = json!({ "id": "00000000-0000-0000-0000-000000000007",
        "key": "key_0123456789A", "authorized_at": "2026-11-22T12:00:00.000000Z", "authorized_revision": 3, "endpoint": "chat_completions",
        "model": "gpt-x", "provider": "openai", "provider_model": "gpt-x-1", "labels_revision": 0, "hold": "0.5",
        "streams": true, "tags": ["nightly"], "outcome": "settled", "evidence": "reported", "ending": "completed",
        "ended_at": "2026-11-22T12:00:01.000000Z", "ended_revision": 4, "cost": "0.25",
        "usage": { "input": 10, "output": 5 }, "status": 200, "first_byte_ms": 80, "duration_ms": 900,
        "over_hold": false, "corrected_revision": null });
    assert_eq!(ended, expected);
}
