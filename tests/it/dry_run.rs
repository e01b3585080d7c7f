//! `x-nemo-dry-run: true`: what would become of a call, without any of it.

use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Key, Nemo, nanos};

async fn dry(key: &Key, more: Value) -> Answer {
    let request = key.request(key.body(more).to_string().into());
    Answer::of(request.header("x-nemo-dry-run", "true")).await
}

#[tokio::test]
async fn a_call_that_would_be_made_is_told_with_what_it_would_hold_and_is_not_made() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.key(json!({"budgets": [{"window": "day", "limit": "1"}], "requests_per_minute": 2})).await;
    let before = key.events().await.len();
    for _ in 0..5 {
        let answer = dry(&key, json!({"max_tokens": 50})).await;
        assert_eq!(answer.header("content-type"), Some("application/vnd.nemo.dry-run+json"));
        let told = answer.ok();
        assert_eq!((&told["admitted"], &told["refusal"]), (&json!(true), &Value::Null));
    }
    assert_eq!(key.events().await.len(), before, "nothing is recorded, and no rate counts it");
    assert_eq!(nemo.provider().request_count(), 0);
    let told = dry(&key, json!({"max_tokens": 50})).await.ok();
    key.chat(json!({"max_tokens": 50})).await.ok();
    let call = key.only_call().await;
    let hold = &call.authorized["hold"];
    assert_eq!(nanos(&told["call"]["hold"]), call.hold());
    assert_eq!(told["call"]["input_tokens"], hold["input_tokens"]);
    assert_eq!((&told["call"]["input_basis"], &told["call"]["output_limit"]), (&hold["basis"], &json!(50)));
    assert_eq!(told["call"]["price_card"], call.authorized["price_card"]);
}

#[tokio::test]
async fn a_call_that_would_not_be_made_is_told_with_what_stands_in_its_way() {
    let nemo = Nemo::start().await;
    let poor = nemo.key(json!({"budgets": [{"window": "day", "limit": "0.0001"}]})).await;
    let narrow = nemo.key(json!({"unlimited": true, "models": ["gpt-house"]})).await;
    for (key, wish, status, code) in [
        (&poor, json!({"max_tokens": 5000}), 402, "budget_exceeded"),
        (&narrow, json!({}), 403, "model_not_allowed"),
        (&narrow, json!({"model": "gpt-house", "max_tokens": 1_000_000}), 400, "output_limit_too_high"),
    ] {
        let before = key.events().await.len();
        let told = dry(key, wish).await.ok();
        assert_eq!((&told["admitted"], &told["call"]), (&json!(false), &Value::Null));
        assert_eq!((&told["refusal"]["status"], &told["refusal"]["code"]), (&json!(status), &json!(code)));
        assert!(told["refusal"]["message"].as_str().is_some_and(|text| text.len() > 10), "{told}");
        assert_eq!(key.events().await.len(), before);
    }
    assert_eq!(nemo.provider().request_count(), 0);
}

#[tokio::test]
async fn a_request_that_is_wrong_or_not_let_in_is_refused_as_ever() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    dry(&key, json!({"no_such_field": 1})).await.refused(400, "unknown_field");
    let odd = key.request(key.body(json!({})).to_string().into()).header("x-nemo-dry-run", "yes");
    Answer::of(odd).await.refused(400, "invalid_request");
    key.tell("revoke", json!({})).await;
    dry(&key, json!({})).await.refused(401, "key_revoked");
    assert_eq!(nemo.provider().request_count(), 0);
}
