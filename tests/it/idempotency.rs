//! `Idempotency-Key`: a request that is sent again makes no second call, while the first one runs, after it has
//! ended, in a race, and across a crash.

#[cfg(feature = "failpoints")]
mod places;

use futures_util::future::join_all;
use nemo_test_stores::on_each_store;
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, INPUT, Key, Nemo, OUTPUT};

const PRICE: i128 = 9 * INPUT + 7 * OUTPUT;

/// Sends a chat request with an idempotency key.
async fn once(key: &Key, idempotency_key: &str, more: Value) -> Answer {
    let request = key.request(key.body(more).to_string().into());
    Answer::of(request.header("idempotency-key", idempotency_key)).await
}

async fn gateway() -> (Nemo, Key) {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    (nemo, key)
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_told_of_its_call_and_what_it_cost() {
    let (nemo, key) = gateway().await;
    let first = once(&key, "order-4711", json!({})).await;
    first.ok();
    for _ in 0..2 {
        let again = once(&key, "order-4711", json!({})).await;
        again.refused(409, "call_already_billed");
        assert_eq!(again.header("x-nemo-call-id"), first.header("x-nemo-call-id"));
        assert_eq!(
            (again.header("x-nemo-cost"), again.header("x-should-retry")),
            (Some("0.0000925"), Some("false"))
        );
        assert!(again.text().contains(first.header("x-nemo-call-id").unwrap()), "{}", again.text());
    }
    once(&key, "order-4711", json!({"max_tokens": 51})).await.refused(422, "idempotency_key_reused");
    once(&key, "order-4712", json!({})).await.ok();
    // Another key's request is another request.
    once(&nemo.rich_key().await, "order-4711", json!({})).await.ok();
    assert_eq!(nemo.provider().request_count(), 3);
    assert_eq!(key.charged().await, 2 * PRICE);
    let events: Vec<_> = key.events().await.iter().map(|event| event.whole().to_string()).collect();
    assert!(!events.concat().contains("order-471"), "only its HMAC is recorded");
    key.books_balance().await;
}

#[tokio::test]
async fn while_its_call_runs_a_request_makes_no_second_one_streaming_or_not() {
    for streams in [false, true] {
        let (nemo, key) = gateway().await;
        nemo.provider().hold_at(Phase::Received);
        let first = tokio::spawn({
            let key = key.clone();
            async move { once(&key, "k", json!({"stream": streams})).await }
        });
        nemo.provider().until_held(Phase::Received, 1).await.unwrap();
        let again = once(&key, "k", json!({"stream": streams})).await;
        again.refused(409, "call_running");
        nemo.provider().release();
        let first = first.await.unwrap();
        assert_eq!(first.status, 200);
        assert_eq!(again.header("x-nemo-call-id"), first.header("x-nemo-call-id"));
        key.ended_calls().await;
        once(&key, "k", json!({"stream": streams})).await.refused(409, "call_already_billed");
        assert_eq!(nemo.provider().request_count(), 1);
        key.books_balance().await;
    }
}

#[on_each_store]
async fn of_many_that_race_one_is_called() {
    let (nemo, key) = gateway().await;
    for round in 0..5 {
        let name = format!("round-{round}");
        let answers = join_all((0..24).map(|_| once(&key, &name, json!({})))).await;
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(good, 1);
        assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)));
        assert_eq!(nemo.provider().request_count(), round + 1);
    }
    assert_eq!(key.charged().await, 5 * PRICE);
    key.books_balance().await;
}

#[on_each_store]
async fn a_crash_makes_no_second_call_whenever_it_comes() {
    let (nemo, key) = gateway().await;
    once(&key, "ended", json!({})).await.ok();
    nemo.provider().hold_at(Phase::Received);
    let cut = tokio::spawn({
        let key = key.clone();
        let request = key.request(key.body(json!({})).to_string().into()).header("idempotency-key", "cut");
        async move { drop(request.send().await) }
    });
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    nemo.kill9().await;
    nemo.provider().release();
    cut.await.unwrap();
    nemo.restart().await;
    let ended = once(&key, "ended", json!({})).await;
    ended.refused(409, "call_already_billed");
    assert_eq!(ended.header("x-nemo-cost"), Some("0.0000925"));
    let calls = key.ended_calls().await;
    let cut = once(&key, "cut", json!({})).await;
    cut.refused(409, "call_already_billed");
    assert_eq!(cut.header("x-nemo-call-id"), Some(calls[1].id.as_str()));
    assert_eq!(calls[1].end, "CallForfeited", "nobody knows what became of it, so it is not made again");
    assert_eq!(nemo.provider().request_count(), 2);
    key.books_balance().await;
}

#[tokio::test]
async fn what_cost_nothing_may_be_sent_again() {
    let (nemo, key) = gateway().await;
    nemo.provider().script_next([Behaviour::error(503), Behaviour::rate_limited(1)]);
    assert_eq!(once(&key, "k", json!({})).await.status, 503);
    assert_eq!(once(&key, "k", json!({})).await.status, 429);
    once(&key, "k", json!({})).await.ok();
    once(&key, "k", json!({})).await.refused(409, "call_already_billed");
    assert_eq!(key.charged().await, PRICE);
    key.set_limits(json!({"budgets": [{"window": "total", "limit": "0.00001"}]})).await;
    once(&key, "new", json!({})).await.refused(402, "budget_exceeded");
    once(&key, "k", json!({})).await.refused(409, "call_already_billed");
    key.set_limits(json!({"budgets": [{"window": "total", "limit": "10"}]})).await;
    once(&key, "new", json!({})).await.ok();
    key.books_balance().await;
}

#[tokio::test]
async fn a_request_is_known_again_under_a_new_pepper() {
    let (nemo, key) = gateway().await;
    once(&key, "k", json!({})).await.ok();
    let mut add = nemo.cli();
    add.env("NEMO_SECRETS_DIR", nemo.data().join("secrets")).args(["secrets", "add-pepper"]);
    let added = tokio::task::spawn_blocking(move || add.output().unwrap()).await.unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    once(&key, "k", json!({})).await.refused(409, "call_already_billed");
    once(&key, "k", json!({"max_tokens": 51})).await.refused(422, "idempotency_key_reused");
    once(&key, "new", json!({})).await.ok();
    once(&key, "new", json!({})).await.refused(409, "call_already_billed");
}

#[tokio::test]
async fn a_header_that_says_nothing_is_refused_and_not_ignored() {
    let (nemo, key) = gateway().await;
    let long = "x".repeat(256);
    for wrong in ["", &long] {
        once(&key, wrong, json!({})).await.refused(400, "invalid_request");
    }
    assert_eq!(nemo.provider().request_count(), 0);
}
