//! The official OpenAI clients for Python and Node, unchanged, against Nemo: what their users see, and how often
//! they try. For Anthropic's clients there is no route.
//!
//! Map: `client` a client in a process of its own · `refusals` each code of an error, and what they make of it ·
//! `crash` the gateway dies under them.

mod client;
#[cfg(feature = "failpoints")]
mod crash;
#[cfg(feature = "failpoints")]
mod refusals;

use futures_util::future::join_all;
use serde_json::{Value, json};

pub(crate) use client::python;
use client::{CLIENTS, Sdk};

use crate::fake_provider::{At, Behaviour, How};
use crate::harness::{INPUT, Key, Nemo, OUTPUT, Setup};

/// Runs cases one after the other; what their user saw, in order.
async fn seen(name: &'static str, nemo: &Nemo, cases: Vec<Value>) -> Vec<Value> {
    Sdk::loaded(name).await.one_by_one(&nemo.url("/v1"), cases).await
}

fn case(key: &Key, stream: bool, more: Value) -> Value {
    json!({ "key": key.secret(), "stream": stream, "body": key.body(more) })
}

async fn capped(nemo: &Nemo) -> Key {
    nemo.key(json!({"budgets": [{"window": "total", "limit": "1"}]})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_clients_work_unchanged_streaming_and_not() {
    for name in CLIENTS {
        let nemo = Nemo::start().await;
        nemo.provider().script(Behaviour::success(9, 7));
        let key = capped(&nemo).await;
        let asks_usage = json!({"stream_options": {"include_usage": true}});
        let cases =
            vec![case(&key, false, json!({})), case(&key, true, json!({})), case(&key, true, asks_usage)];
        let seen = seen(name, &nemo, cases).await;
        let content: Vec<_> = seen.iter().map(|s| s["content"].as_str().unwrap()).collect();
        assert!(!content[0].is_empty() && content.iter().all(|c| *c == content[0]), "{name}: {content:?}");
        assert!(seen.iter().all(|s| s["finish"] == "stop" && s["attempts"] == 1), "{name}: {seen:?}");
        assert_eq!(seen[0]["cost"], "0.0000925", "{name}");
        assert_eq!(seen[1]["usage"], Value::Null, "{name}: nobody asked for usage");
        assert_eq!(seen[2]["usage"]["completion_tokens"], 7, "{name}");
        assert_eq!(seen[2]["cost"], "0.0000925", "{name}: in the last chunk's usage");
        assert_eq!(key.charged().await, 3 * (9 * INPUT + 7 * OUTPUT), "{name}");
        key.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_help_is_tried_again_and_billed_once() {
    for name in CLIENTS {
        let nemo = Nemo::start().await;
        let key = capped(&nemo).await;
        let faults = [Behaviour::error(503), Behaviour::rate_limited(1), Behaviour::success(9, 7)];
        nemo.provider().script_next(faults);
        let seen = seen(name, &nemo, vec![case(&key, false, json!({}))]).await;
        assert_eq!(seen[0]["attempts"], 3, "{name}: {seen:?}");
        assert_eq!(seen[0]["finish"], "stop", "{name}: {seen:?}");
        let ends: Vec<String> = key.ended_calls().await.iter().map(|call| call.end.clone()).collect();
        assert_eq!(ends, ["CallVoided", "CallVoided", "CallSettled"], "{name}");
        assert_eq!(key.charged().await, 9 * INPUT + 7 * OUTPUT, "{name}");
        key.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_idempotency_key_is_tried_until_it_is_made_and_then_never_again() {
    for name in CLIENTS {
        let nemo = Nemo::start().await;
        let key = capped(&nemo).await;
        nemo.provider().script(Behaviour::success(9, 7));
        nemo.provider().script_next([Behaviour::error(503), Behaviour::rate_limited(1)]);
        let mut once = case(&key, false, json!({}));
        once["headers"] = json!({"Idempotency-Key": "nightly/2026-11-22"});
        let mut other = case(&key, false, json!({"max_tokens": 51}));
        other["headers"] = once["headers"].clone();
        let seen = seen(name, &nemo, vec![once.clone(), once, other]).await;
        assert_eq!(
            (&seen[0]["finish"], &seen[0]["attempts"]),
            (&json!("stop"), &json!(3)),
            "{name}: {seen:?}"
        );
        let codes: Vec<_> = seen[1..].iter().map(|s| (s["code"].as_str().unwrap(), &s["attempts"])).collect();
        let expected = [("call_already_billed", &json!(1)), ("idempotency_key_reused", &json!(1))];
        assert_eq!(codes, expected, "{name}: {seen:?}");
        assert_eq!(key.charged().await, 9 * INPUT + 7 * OUTPUT, "{name}");
        key.books_balance().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_billed_is_not_tried_again() {
    for name in CLIENTS {
        let nemo = Setup::default().provider("first_byte_timeout_secs = 1").start().await;
        let key = capped(&nemo).await;
        nemo.provider().script_next([
            Behaviour::breaking(At::Read, How::Hang),
            Behaviour::breaking(At::Read, How::Reset),
            Behaviour::success(9, 7).breaks(At::Chunk(2), How::Close),
        ]);
        let cases =
            vec![case(&key, false, json!({})), case(&key, false, json!({})), case(&key, true, json!({}))];
        let seen = seen(name, &nemo, cases).await;
        let codes: Vec<_> = seen.iter().map(|s| s["code"].as_str().unwrap_or("-")).collect();
        assert_eq!(codes, ["provider_timeout", "provider_failed", "provider_failed"], "{name}: {seen:?}");
        assert!(seen.iter().all(|s| s["attempts"] == 1), "{name}: {seen:?}");
        assert_eq!(key.ended_calls().await.len(), 3, "{name}");
        key.books_balance().await;
    }
}

/// The only story in which a client really waits as long as Nemo tells it to.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_to_wait_comes_back_when_it_fits() {
    let nemo = Nemo::start().await;
    let both = CLIENTS.map(|name| {
        let nemo = nemo.clone();
        async move {
            // A hundred tokens a second; 400 are left of them, and the next call may need nearly twice as many.
            let key = nemo.key(json!({"unlimited": true, "tokens_per_minute": 6_000})).await;
            let sdk = Sdk::loaded(name).await;
            nemo.provider().script(Behaviour::success(0, 5_600));
            key.chat(json!({"max_tokens": 5_600})).await.ok();
            let next = vec![case(&key, false, json!({"max_tokens": 500}))];
            let seen = sdk.one_by_one(&nemo.url("/v1"), next).await;
            let told = (&seen[0]["error"], &seen[0]["attempts"]);
            assert_eq!(told, (&Value::Null, &json!(2)), "{name}: {seen:?}");
            assert_eq!(key.books_balance().await.len(), 2, "{name}");
        }
    });
    join_all(both).await;
}
