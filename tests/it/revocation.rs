//! Revoking a key, blocking it, suspending or removing its org: what runs is cut or goes on as promised, the next
//! call is refused, and nothing is ever authorised behind a revoke (I5).

mod latency;
mod race;

use std::time::Duration;

use nemo_test_stores::on_each_store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::concurrency::account::Account;
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, Key, Nemo, Streaming};

/// A stream of a thousand chunks of one token, that never ends by itself within a test.
fn endless() -> Behaviour {
    Behaviour::success(9, 1000).chunks(1000).each_chunk_after(Duration::from_millis(10))
}

async fn revoke(key: &Key) -> Value {
    key.tell("revoke", json!({"reason": "leaked"})).await
}

/// The one call was cut by the revoke, is charged as much as the provider billed at least, and is the last.
async fn cut_and_billed(key: &Key) {
    let call = key.books_balance().await.remove(0);
    assert_eq!(
        (call.end.as_str(), &call.ended["ending"]),
        ("CallSettled", &json!("key_revoked")),
        "{call:?}"
    );
    assert_eq!(call.ended["evidence"], "estimated");
    key.chat(json!({})).await.refused(401, "key_revoked");
    let account = Account::of(&key.events().await);
    assert!(account.broken.is_empty() && account.calls.len() == 1, "{account:?}");
}

#[on_each_store]
async fn a_flowing_stream_is_cut_and_streams_of_other_keys_flow_on() {
    let nemo = Nemo::start().await;
    nemo.provider()
        .script(Behaviour::success(9, 100).chunks(100).each_chunk_after(Duration::from_millis(10)));
    let (leaked, fine) = (nemo.rich_key().await, nemo.rich_key().await);
    let (mut cut, mut other) = (leaked.stream(json!({})).await, fine.stream(json!({})).await);
    cut.until("one").await;
    other.until("one").await;
    assert_eq!(revoke(&leaked).await["calls_cut"], 1);
    let tail = cut.rest().await;
    assert_eq!(tail.error_code().as_deref(), Some("key_revoked"), "{}", tail.text());
    assert!(tail.ended && !tail.is_done());
    cut_and_billed(&leaked).await;
    let tail = other.rest().await;
    assert!(tail.is_done(), "{}", tail.text());
    assert_eq!(fine.books_balance().await[0].ended["ending"], "completed");
    // Its connection to the provider was closed, not read to its end in silence.
    let bill = nemo.provider().until_settled().await.unwrap();
    assert!(bill.of_user(leaked.id()).all(|call| call.output_tokens < 100));
}

/// A call that does not stream and one that does, while the provider says nothing.
async fn cut_in_silence(stream: bool) {
    let nemo = Nemo::start().await;
    nemo.provider().hold_at(Phase::Received);
    let key = nemo.rich_key().await;
    let asking = tokio::spawn({
        let key = key.clone();
        async move { key.chat(json!({ "stream": stream })).await }
    });
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    revoke(&key).await;
    let answer: Answer = asking.await.unwrap();
    answer.refused(401, "key_revoked");
    let call = key.only_call().await;
    assert_eq!(answer.header("x-nemo-call-id"), Some(call.id.as_str()));
    assert_eq!(answer.cost(), call.charged());
    // What does not stream was made before its first byte: nobody knows how much of it.
    let charged = if stream { call.estimate(0) } else { call.hold() };
    assert_eq!(call.charged(), charged);
    cut_and_billed(&key).await;
}

#[on_each_store]
async fn a_call_whose_provider_has_not_answered_yet_is_cut() {
    cut_in_silence(false).await;
    cut_in_silence(true).await;
}

#[on_each_store]
async fn a_stream_that_fell_silent_is_cut() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 40));
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    let mut stream = key.stream(json!({})).await;
    stream.until("one two").await;
    revoke(&key).await;
    let tail = stream.rest().await;
    assert_eq!(tail.error_code().as_deref(), Some("key_revoked"));
    let call = key.only_call().await;
    assert_eq!(call.charged(), call.estimate(40), "ten tokens were received");
    cut_and_billed(&key).await;
}

#[on_each_store]
async fn an_answer_that_was_half_read_is_cut_and_charged_its_hold() {
    let nemo = Nemo::start().await;
    nemo.provider().hold_at(Phase::BeforeLast);
    let key = nemo.rich_key().await;
    let asking = tokio::spawn({
        let key = key.clone();
        async move { key.chat(json!({})).await }
    });
    nemo.provider().until_held(Phase::BeforeLast, 1).await.unwrap();
    revoke(&key).await;
    asking.await.unwrap().refused(401, "key_revoked");
    let call = key.only_call().await;
    assert_eq!(call.charged(), call.hold());
    cut_and_billed(&key).await;
}

#[on_each_store]
async fn a_client_that_does_not_read_does_not_keep_its_call_from_being_cut() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::flood(64));
    let key = nemo.rich_key().await;
    let mut idle = key.raw_chat(json!({"stream": true})).await;
    idle.until("HTTP/1.1 200").await;
    revoke(&key).await;
    cut_and_billed(&key).await;
    drop(idle);
}

#[on_each_store]
async fn a_revoke_survives_a_restart_and_is_the_same_when_it_is_repeated() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let first = revoke(&key).await;
    assert_eq!(revoke(&key).await["revision"], first["revision"]);
    nemo.kill9().await;
    nemo.restart().await;
    assert_eq!(revoke(&key).await["revision"], first["revision"]);
    key.chat(json!({})).await.refused(401, "key_revoked");
    key.get("/v1/key").await.refused(401, "key_revoked");
    assert_eq!(Account::of(&key.events().await).count("KeyRevoked"), 1);
    assert_eq!(nemo.provider().request_count(), 0);
}

async fn flowing(nemo: &Nemo, key: &Key) -> Streaming {
    nemo.provider().script(endless());
    let mut stream = key.stream(json!({})).await;
    stream.until("one").await;
    stream
}

#[on_each_store]
async fn a_blocked_key_is_refused_at_once_and_what_runs_goes_on() {
    let nemo = Nemo::start().await;
    let (key, other) = (nemo.rich_key().await, nemo.rich_key().await);
    let mut running = flowing(&nemo, &key).await;
    nemo.provider().script(Behaviour::default());
    for _ in 0..20 {
        key.tell("block", json!({"reason": "looks odd"})).await;
        key.chat(json!({})).await.refused(403, "key_blocked");
        key.get("/v1/key").await.refused(403, "key_blocked");
        other.chat(json!({})).await.ok();
        key.tell("unblock", json!({})).await;
        key.chat(json!({})).await.ok();
    }
    running.until("two").await;
    revoke(&key).await;
    assert_eq!(running.rest().await.error_code().as_deref(), Some("key_revoked"));
    assert_eq!(key.books_balance().await.len(), 21);
}

#[on_each_store]
async fn keys_of_a_suspended_org_are_refused_at_once_and_only_they() {
    let nemo = Nemo::start().await;
    let org = nemo.new_org("careless").await;
    let limits = json!({"budgets": [{"window": "total", "limit": "1"}]});
    let (key, other) = (nemo.key_in(&org, limits).await, nemo.rich_key().await);
    for _ in 0..20 {
        nemo.tell(&format!("/api/orgs/{org}/suspend"), json!({"reason": "unpaid"})).await;
        key.chat(json!({})).await.refused(403, "org_suspended");
        key.get("/v1/key").await.refused(403, "org_suspended");
        other.chat(json!({})).await.ok();
        nemo.tell(&format!("/api/orgs/{org}/resume"), json!({})).await;
        key.chat(json!({})).await.ok();
    }
    assert_eq!((key.books_balance().await.len(), other.books_balance().await.len()), (20, 20));
}

#[on_each_store]
async fn removing_an_org_revokes_its_keys_and_cuts_what_runs() {
    let nemo = Nemo::start().await;
    let org = nemo.new_org("gone").await;
    let limits = json!({"budgets": [{"window": "total", "limit": "1"}]});
    let mut running = Vec::new();
    for _ in 0..3 {
        let key = nemo.key_in(&org, limits.clone()).await;
        running.push((flowing(&nemo, &key).await, key));
    }
    let idle = nemo.key_in(&org, limits).await;
    let other = nemo.rich_key().await;
    let mut others = flowing(&nemo, &other).await;
    let removed =
        nemo.manage(Method::DELETE, &format!("/api/orgs/{org}"), json!({"reason": "left"})).await.ok();
    assert_eq!((&removed["keys_revoked"], &removed["calls_cut"]), (&json!(4), &json!(3)));
    for (stream, key) in running {
        assert_eq!(stream.rest().await.error_code().as_deref(), Some("key_revoked"));
        cut_and_billed(&key).await;
    }
    idle.chat(json!({})).await.refused(401, "key_revoked");
    others.until("two").await;
    nemo.kill9().await;
    nemo.restart().await;
    idle.chat(json!({})).await.refused(401, "key_revoked");
}
