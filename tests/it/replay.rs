//! Replay: a key as it was behind each of its events is what the events up to there say, by the tests' own reckoning.

mod activity;
mod long_streams;
mod naive;
pub(crate) mod page;

use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Key, Nemo};
use naive::Naive;

/// A key with a life: calls that are billed, refused, left without usage, changes of all kinds, and its end.
pub(crate) async fn story() -> (Nemo, Key) {
    let nemo = Nemo::start().await;
    let key = nemo
        .key(json!({"budgets": [{"window": "total", "limit": "1"}, {"window": "day", "limit": "0.9"}]}))
        .await;
    for (input, output) in [(9, 7), (100, 50)] {
        nemo.provider().script(Behaviour::success(input, output));
        key.chat(json!({"max_tokens": 60})).await.ok();
    }
    key.tell("block", json!({"reason": "odd"})).await;
    assert_eq!(key.chat(json!({})).await.status, 403);
    key.tell("unblock", json!({})).await;
    let labels = json!({"name": "renamed", "job": "nightly"});
    nemo.manage(Method::PUT, &key.path("/labels"), labels).await.ok();
    key.rotate(json!({"overlap_secs": 900})).await;
    key.set_limits(json!({"budgets": [{"window": "month", "limit": "2"}], "models": ["gpt-*"]})).await;
    nemo.provider().script(Behaviour::success(20, 30));
    key.chat(json!({"model": "gpt-think", "max_tokens": 2000})).await.ok();
    key.ended_calls().await;
    let last = key.calls().await.pop().unwrap();
    let correction = json!({"charged": "0", "reason": "not on the invoice"});
    nemo.tell(&format!("/api/calls/{}/correct", last.id), correction).await;
    key.tell("revoke", json!({"reason": "done"})).await;
    (nemo, key)
}

async fn state(nemo: &Nemo, key: &Key, moment: &str) -> Value {
    nemo.ask(&key.path(&format!("/state?{moment}"))).await
}

#[tokio::test]
async fn the_state_behind_every_event_is_what_the_events_up_to_it_say() {
    let (nemo, key) = story().await;
    let events = key.events().await;
    assert!(events.len() > 12, "{events:?}");
    let mut naive = Naive::default();
    for (revision, event) in events.iter().enumerate() {
        naive.take(event);
        let told = state(&nemo, &key, &format!("revision={revision}")).await;
        assert_eq!(Naive::told(&told["key"]), naive, "@{revision} {}", event.kind());
        assert_eq!(told["revision"], revision);
        assert_eq!(told["recorded_at"], event.whole()["recorded_at"]);
        assert_eq!(told["hash"], event.whole()["hash"]);
        assert_eq!(told["head"], events.len() - 1);
        assert!(revision == 0 || told["changes"] != json!([]) || event.kind() == "CallCorrected", "{told}");
        let position = &event.whole()["position"];
        assert_eq!(state(&nemo, &key, &format!("position={position}")).await, told);
    }
}

#[tokio::test]
async fn at_the_head_replay_is_what_the_key_is_now() {
    let (nemo, key) = story().await;
    let now = key.shown().await;
    let head = key.events().await.len() - 1;
    for moment in [String::new(), format!("revision={head}"), "time=9000-01-01T00:00:00Z".to_owned()] {
        let mut then = state(&nemo, &key, &moment).await;
        let mut then = then["key"].take();
        let mut now = now.clone();
        // Rates fill up again as time goes by; this key has none.
        for state in [&mut then, &mut now] {
            state["rates"].take();
        }
        assert_eq!(then, now, "{moment}");
    }
}

#[tokio::test]
async fn what_came_after_a_moment_is_told_with_it() {
    let (nemo, key) = story().await;
    let calls = key.calls().await;
    let charged: i128 = calls.iter().map(|call| call.charged()).sum();
    let first = state(&nemo, &key, "revision=0").await;
    assert_eq!(first["after"]["used"]["calls"], calls.len());
    assert_eq!(crate::harness::nanos(&first["after"]["used"]["spend"]), charged);
    let seen = first["after"]["first_seen"].as_array().unwrap();
    assert_eq!(first["marks"].as_array().unwrap(), seen, "all of it came later");
    let kinds: Vec<_> = seen.iter().map(|mark| mark["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "model").count(), 2, "{seen:?}");
    let models: Vec<_> = seen.iter().filter(|mark| mark["kind"] == "model").collect();
    for mark in models {
        let told = state(&nemo, &key, &format!("revision={}", mark["revision"])).await;
        let first = json!({"what": "first_model", "provider": "fake", "value": mark["value"]});
        assert!(told["changes"].as_array().unwrap().contains(&first), "{told}");
    }
}

#[tokio::test]
async fn a_moment_that_is_none_is_refused_by_name() {
    let (nemo, key) = story().await;
    let head = key.events().await.len() - 1;
    let ask = |moment: String| {
        let (nemo, path) = (nemo.clone(), key.path(&format!("/state?{moment}")));
        async move { nemo.manage(Method::GET, &path, Value::Null).await }
    };
    let beyond = ask(format!("revision={}", head + 1)).await;
    assert_eq!((beyond.status, beyond.code().as_str()), (404, "moment_not_found"));
    assert!(beyond.text().contains(&format!("@{head}")), "{}", beyond.text());
    for before in ["time=2001-01-01T00:00:00Z", "position=0"] {
        let before = ask(before.to_owned()).await;
        assert_eq!((before.status, before.code().as_str()), (404, "moment_not_found"));
    }
    for wrong in ["revision=1&position=2", "revision=-1", "time=noon", "moment=1"] {
        assert_eq!(ask(wrong.to_owned()).await.code(), "invalid_request", "{wrong}");
    }
    let stranger = nemo.manage(Method::GET, "/api/keys/key_0123456789A/state", Value::Null).await;
    assert_eq!(stranger.status, 404);
}
