//! A key's events as rows, each with what it says in a few words.

use nemo_events::key::{
    CallAuthorized, CallCorrected, CallForfeited, CallSettled, CallVoided, CallsRefused, KeyCreated,
    KeySecret,
};
use nemo_events::limits::KeyLimits;
use nemo_events::{Actor, CallId, KeyEvent, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Cell, Column, Shape, money, time};
use crate::cli::views::Known;

/// An event as the ledger keeps it.
#[derive(Debug, Deserialize)]
pub struct Event {
    /// Its number in the key's stream.
    pub revision: u64,
    /// Its type's name.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its type's version.
    pub version: u16,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// Its payload, byte for byte.
    pub data: Box<RawValue>,
    /// Who caused it, and more.
    pub metadata: Metadata,
    /// Its hash, which covers all before it.
    #[serde(default)]
    pub hash: String,
    /// The name of the person who caused it, where somebody looked it up.
    #[serde(skip)]
    pub person: Option<String>,
}

/// What is read of an event's metadata.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Who caused it; one that nobody here knows is told by its kind.
    pub actor: Known<Actor>,
    /// The call that it belongs to.
    #[serde(default)]
    pub call: Option<CallId>,
}

/// A row for each event.
pub static EVENTS: Shape<Event> = Shape {
    columns: &[
        Column::in_files("revision", |event| Cell::Count(event.revision)),
        Column::in_tables("Rev", |event| Cell::Id(format!("@{}", event.revision))),
        Column::new("recorded_at", "Time", |event| Cell::Millisecond(event.recorded_at)),
        Column::new("type", "Event", |event| Cell::Id(event.event_type.clone())),
        Column::in_files("version", |event| Cell::Count(event.version.into())),
        Column::new("by", "By", |event| {
            Cell::Text(event.person.clone().unwrap_or_else(|| by(&event.metadata.actor)))
        }),
        Column::new("summary", "What", |event| Cell::Text(summary(event))),
        Column::in_files("call", |event| Cell::maybe(event.metadata.call, |call| Cell::Id(call.to_string()))),
        Column::in_files("data", |event| Cell::Text(event.data.get().to_owned())),
        Column::in_files("hash", |event| Cell::Id(event.hash.clone())),
    ],
    none: "No events there.",
};

fn by(actor: &Known<Actor>) -> String {
    match actor.get() {
        Some(Actor::Operator { id }) => id.to_string(),
        Some(Actor::MasterKey { .. }) => "master key".to_owned(),
        Some(Actor::VirtualKey { .. }) => "the key".to_owned(),
        Some(Actor::System) => "gateway".to_owned(),
        None => "?".to_owned(),
    }
}

fn summary(event: &Event) -> String {
    told(&event.event_type, event.version, &event.data)
        .unwrap_or_else(|| "not known to this version of nemo".to_owned())
}

/// What an event of a key says, in a few words; `None` of any other.
#[must_use]
pub fn told(event_type: &str, version: u16, data: &RawValue) -> Option<String> {
    KeyEvent::decode(event_type, version, data.get().as_bytes()).ok().as_ref().map(say)
}

fn say(event: &KeyEvent) -> String {
    match event {
        KeyEvent::KeyCreated(e) => created(e),
        KeyEvent::KeyRelabelled(e) => format!("“{}”", e.labels.name),
        KeyEvent::KeyLimitsSet(e) => limits(&e.limits),
        KeyEvent::KeyBlocked(e) => e.reason.clone().unwrap_or_default(),
        KeyEvent::KeyRevoked(e) => e.reason.clone().unwrap_or_default(),
        KeyEvent::KeyUnblocked(_) => String::new(),
        KeyEvent::KeySecretRotated(e) => {
            let leaked = if e.leaked { ", earlier one leaked" } else { "" };
            let until = time::to_the_second(e.previous_valid_until);
            format!("{}, earlier ones until {until}{leaked}", secret(&e.secret))
        }
        KeyEvent::KeySecretRetired(e) => format!("version {}", e.version),
        KeyEvent::KeyDigestRenewed(e) => {
            format!("version {} under pepper {}", e.secret.version, e.secret.pepper)
        }
        KeyEvent::KeyModelCleared(e) => format!("{} at {}", e.provider_model, e.provider),
        KeyEvent::CallAuthorized(e) => authorized(e),
        KeyEvent::CallSettled(e) => settled(e),
        KeyEvent::CallVoided(CallVoided { reason, status, .. }) => {
            let status = status.map_or_else(String::new, |status| format!(" ({status})"));
            format!("{}{status}", word(reason))
        }
        KeyEvent::CallForfeited(CallForfeited { charged, reason, .. }) => {
            format!("{} unconfirmed: {}", money::one_call(*charged), word(reason))
        }
        KeyEvent::CallCorrected(CallCorrected { charged_before, charged, reason, .. }) => {
            format!("{} → {}: {reason}", money::one_call(*charged_before), money::one_call(*charged))
        }
        KeyEvent::CallsRefused(e) => refused(e),
        KeyEvent::BudgetAlertRaised(e) => {
            let (settled, limit) = (money::total(e.settled), money::total(e.limit));
            format!("{settled} of {limit} {}: {} % reached", e.window, e.percent)
        }
        KeyEvent::AllotmentRequired(_) => "the org has budgets".to_owned(),
        KeyEvent::AllotmentReceived(e) => format!("{} in all for {}", money::one_call(e.total), e.day),
        KeyEvent::AllotmentReturned(e) => format!("{} in all of {}", money::one_call(e.total), e.day),
    }
}

fn created(e: &KeyCreated) -> String {
    format!("“{}”, {}, {}", e.labels.name, secret(&e.secret), limits(&e.limits))
}

fn secret(secret: &KeySecret) -> String {
    format!("secret …{} (version {})", secret.last_four, secret.version)
}

fn limits(limits: &KeyLimits) -> String {
    if limits.unlimited {
        return "no cap".to_owned();
    }
    let budgets = limits.budgets.iter().map(|b| format!("{} {}", b.window, money::total(b.limit)));
    budgets.collect::<Vec<_>>().join(", ")
}

fn authorized(e: &CallAuthorized) -> String {
    let from = e.client.address.as_ref().map_or_else(String::new, |address| format!(" from {address}"));
    let attempt = if e.attempt > 1 { format!(", attempt {}", e.attempt) } else { String::new() };
    let hold = money::one_call(e.hold.amount);
    format!("{} at {}{attempt}, holds {hold}{from}", e.provider_model, e.provider)
}

fn settled(e: &CallSettled) -> String {
    let CallSettled { cost, usage, evidence, ending, over_hold, .. } = e;
    let (tokens_in, tokens_out) = (money::grouped(usage.tokens_in()), money::grouped(usage.tokens_out()));
    let over = if *over_hold { ", over its hold" } else { "" };
    let (cost, evidence, ending) = (money::one_call(*cost), word(evidence), word(ending));
    format!("{cost} {evidence}, {tokens_in} in, {tokens_out} out, {ending}{over}")
}

fn refused(e: &CallsRefused) -> String {
    let refusals = e.refusals.iter().map(|refusal| {
        let from = refusal.address.as_ref().map_or_else(String::new, |address| format!(" from {address}"));
        format!("{} {}{from}", money::grouped(refusal.count), refusal.code)
    });
    let alert = if e.alerts.is_empty() { String::new() } else { format!("; alert: {}", e.alerts.join(", ")) };
    refusals.collect::<Vec<_>>().join(", ") + &alert
}

/// A name from JSON as words.
fn word(name: &impl Serialize) -> String {
    let value = serde_json::to_value(name).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use serde_json::{Value, json};

    use super::*;

    fn event(event_type: &str, data: &Value) -> Event {
        let event = json!({
            "revision": 7, "type": event_type, "version": 1, "recorded_at": "2026-11-22T10:00:00.123456Z",
            "id": "0197b5a0-0000-7000-8000-000000000003", "position": 99, "data": data,
            "metadata": { "actor": { "kind": "master_key", "id": "0123456789A" }, "node": "n1" },
            "prev_hash": "00", "hash": "ff",
        });
        serde_json::from_str(&event.to_string()).unwrap()
    }

    #[test]
    fn every_type_of_event_is_told_in_a_few_words() {
        let call = "0197b5a0-0000-7000-8000-000000000001";
        let secret = json!({ "version": 2, "digest": "0".repeat(64), "pepper": "p1", "last_four": "a1b2" });
        let time = "2026-11-22T11:00:00Z";
        let authorized = json!({
            "call": call, "request": call, "attempt": 2, "secret_version": 2, "endpoint": "responses",
            "model": "m", "provider": "openai", "provider_model": "gpt-5", "price_card": "0".repeat(64),
            "hold": {
                "amount": "0.25", "input_amount": "0.05", "input_tokens": 10, "output_tokens": 20, "basis": "bytes",
            },
            "output_limit": 20, "deadline": time, "labels_revision": 0, "client": { "address": "10.0.0.1" },
        });
        let settled = json!({
            "call": call, "usage": { "input": 1200, "output": 34 }, "cost": "0.00123456", "evidence": "reported",
            "ending": "client_left", "duration_ms": 5,
        });
        let corrected = json!({
            "call": call, "charged_before": "0.5", "charged": "0", "ended_at": 3, "authorized_at": time,
            "reason": "no bill",
        });
        let created = json!({
            "org": call, "labels": { "name": "nightly" }, "secret": secret,
            "limits": { "budgets": [{ "window": "day", "limit": "5" }] },
        });
        let refused = json!({
            "since": time, "refusals": [{ "code": "budget_exceeded", "address": "10.0.0.1", "count": 1200 }],
            "alerts": ["budget_exceeded"],
        });
        let alert = json!({
            "window": "month", "window_start": time, "limit": "100", "percent": 80, "settled": "80.25",
        });
        let rotated = json!({ "secret": secret, "previous_valid_until": time, "leaked": true });
        let slice = json!({ "day": "2026-11-22", "total": "0.5" });
        let cases = [
            ("KeyCreated", created, "“nightly”, secret …a1b2 (version 2), day $5.00"),
            ("KeyRelabelled", json!({ "labels": { "name": "daily" } }), "“daily”"),
            ("KeyLimitsSet", json!({ "limits": { "unlimited": true } }), "no cap"),
            ("KeyBlocked", json!({ "reason": "odd" }), "odd"),
            ("KeyUnblocked", json!({}), ""),
            (
                "KeySecretRotated",
                rotated,
                "secret …a1b2 (version 2), earlier ones until 2026-11-22 11:00:00Z, earlier one leaked",
            ),
            ("KeySecretRetired", json!({ "version": 1 }), "version 1"),
            ("KeyDigestRenewed", json!({ "secret": secret }), "version 2 under pepper p1"),
            (
                "KeyModelCleared",
                json!({ "provider": "openai", "provider_model": "gpt-5" }),
                "gpt-5 at openai",
            ),
            ("KeyRevoked", json!({}), ""),
            ("CallAuthorized", authorized, "gpt-5 at openai, attempt 2, holds $0.2500 from 10.0.0.1"),
            ("CallSettled", settled, "$0.001235 reported, 1,200 in, 34 out, client left"),
            (
                "CallVoided",
                json!({ "call": call, "reason": "provider_refused", "status": 429, "duration_ms": 1 }),
                "provider refused (429)",
            ),
            (
                "CallForfeited",
                json!({ "call": call, "charged": "0.5", "reason": "node_died" }),
                "$0.5000 unconfirmed: node died",
            ),
            ("CallCorrected", corrected, "$0.5000 → $0.00: no bill"),
            ("CallsRefused", refused, "1,200 budget_exceeded from 10.0.0.1; alert: budget_exceeded"),
            ("BudgetAlertRaised", alert, "$80.25 of $100.00 month: 80 % reached"),
            ("AllotmentRequired", json!({ "since": 3 }), "the org has budgets"),
            ("AllotmentReceived", slice.clone(), "$0.5000 in all for 2026-11-22"),
            ("AllotmentReturned", slice, "$0.5000 in all of 2026-11-22"),
        ];
        let told: Vec<_> = cases.iter().map(|(name, ..)| *name).collect();
        let all: Vec<_> = KeyEvent::TYPES.iter().map(|(name, _)| *name).collect();
        assert_eq!(told, all);
        for (name, data, words) in cases {
            assert_eq!(summary(&event(name, &data)), words, "{name}");
        }
    }

    #[test]
    fn an_event_of_a_later_version_is_shown_without_its_words() {
        let event = event("KeyPainted", &json!({ "colour": "red" }));
        assert_eq!(summary(&event), "not known to this version of nemo");
    }

    #[test]
    fn an_actor_that_nobody_here_knows_is_no_reason_to_stop() {
        let ada = "019a8f3e-9d2c-7c31-8d0e-5b1f6a2c4e70";
        let known: Known<Actor> = serde_json::from_value(json!({ "kind": "operator", "id": ada })).unwrap();
        let unknown: Known<Actor> = serde_json::from_value(json!({ "kind": "robot", "serial": 7 })).unwrap();
        assert_eq!((by(&known), by(&unknown)), (ada.to_owned(), "?".to_owned()));
    }
}
