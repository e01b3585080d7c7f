//! The gateway stops, in good order or not, and starts again: what it knew is still so, and no call stays open.

use std::time::Duration;

use nemo_test_stores::on_each_store;
use rustix::process::Signal;
use serde_json::json;

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, INPUT, Nemo, OUTPUT, Setup, until};

/// Asks it to stop, and waits until it says that it does.
async fn stop_and_wait_until_it_shows(nemo: &Nemo) {
    nemo.signal(Signal::TERM);
    let stopping =
        || async { (Answer::of(nemo.http().get(nemo.url("/readyz"))).await.status == 503).then_some(()) };
    until("it is not ready any more", stopping).await;
}

#[on_each_store]
async fn everything_is_as_it_was_after_a_clean_restart() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.key(json!({"budgets": [{"window": "total", "limit": "1"}], "models": ["gpt-test"]})).await;
    let revoked = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    revoked.tell("revoke", json!({"reason": "gone"})).await;
    let (shown, events) = (key.shown().await, key.history().await);
    assert!(nemo.terminate().await.success());
    nemo.restart().await;
    assert_eq!((key.shown().await, key.history().await), (shown, events));
    revoked.chat(json!({})).await.refused(401, "key_revoked");
    key.chat(json!({"model": "gpt-think"})).await.refused(403, "model_not_allowed");
    assert_eq!(key.chat(json!({})).await.header("x-nemo-budget-remaining"), Some("0.999815"));
    assert_eq!(key.books_balance().await.len(), 2);
}

#[on_each_store]
async fn everything_acknowledged_is_there_after_a_crash() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    for _ in 0..5 {
        key.chat(json!({})).await.ok();
    }
    let shown = key.shown().await;
    nemo.kill9().await;
    nemo.restart().await;
    assert_eq!(key.shown().await, shown);
    assert_eq!(key.charged().await, 5 * 92_500);
    key.chat(json!({})).await.ok();
    assert_eq!(key.books_balance().await.len(), 6);
}

#[on_each_store]
async fn limits_and_states_outlive_a_crash() {
    let nemo = Nemo::start().await;
    let rated = nemo.key(json!({"unlimited": true, "requests_per_minute": 1})).await;
    let spent = nemo.key(json!({"budgets": [{"window": "day", "limit": "0.011"}]})).await;
    let blocked = nemo.rich_key().await;
    let org = nemo.new_org("unpaid").await;
    let suspended = nemo.key_in(&org, json!({"unlimited": true})).await;
    nemo.provider().script(Behaviour::success(9, 1000));
    rated.chat(json!({})).await.ok();
    spent.chat(json!({})).await.ok();
    blocked.tell("block", json!({})).await;
    nemo.tell(&format!("/api/orgs/{org}/suspend"), json!({})).await;
    nemo.kill9().await;
    nemo.restart().await;
    rated.chat(json!({})).await.refused(429, "rate_limit_exceeded");
    spent.chat(json!({})).await.refused(402, "budget_exceeded");
    blocked.chat(json!({})).await.refused(403, "key_blocked");
    suspended.chat(json!({})).await.refused(403, "org_suspended");
    blocked.tell("unblock", json!({})).await;
    nemo.tell(&format!("/api/orgs/{org}/resume"), json!({})).await;
    blocked.chat(json!({})).await.ok();
    suspended.chat(json!({})).await.ok();
}

#[on_each_store]
async fn lists_come_back_when_their_database_is_gone() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    nemo.terminate().await;
    for file in std::fs::read_dir(nemo.data()).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("read-model.sqlite") {
            std::fs::remove_file(path).unwrap();
        }
    }
    nemo.restart().await;
    key.chat(json!({})).await.ok();
    let position = nemo.ask("/api/ledger").await["position"].clone();
    let listed = nemo.ask(&format!("/api/keys?min_position={position}")).await;
    assert_eq!(listed["keys"][0]["id"].as_str(), Some(key.id()));
    let calls = nemo.ask(&key.path(&format!("/calls?min_position={position}"))).await;
    assert_eq!(calls["calls"].as_array().unwrap().len(), 2);
}

#[on_each_store]
async fn a_call_that_was_open_in_a_crash_is_charged_its_hold() {
    let nemo = Nemo::start().await;
    nemo.provider().hold_at(Phase::Received);
    let key = nemo.rich_key().await;
    let whole = key.raw_chat(json!({})).await;
    let streaming = key.raw_chat(json!({"stream": true})).await;
    nemo.provider().until_held(Phase::Received, 2).await.unwrap();
    nemo.kill9().await;
    drop((whole, streaming));
    nemo.restart().await;
    let calls = key.books_balance().await;
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!((call.end.as_str(), &call.ended["reason"]), ("CallForfeited", &json!("node_died")));
        assert_eq!(call.charged(), call.hold());
    }
    nemo.provider().release();
    key.chat(json!({})).await.ok();
}

#[on_each_store]
async fn a_stop_waits_for_running_calls_and_refuses_new_ones() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    let mut stream = key.stream(json!({})).await;
    stream.until("one").await;
    stop_and_wait_until_it_shows(&nemo).await;
    let refused = key.chat(json!({})).await;
    refused.refused(503, "ledger_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    nemo.provider().release();
    let tail = stream.rest().await;
    assert!(tail.is_done(), "{}", tail.text());
    assert!(nemo.until_exit().await.status.success());
    nemo.restart().await;
    let call = key.books_balance().await.remove(0);
    assert_eq!((&call.ended["ending"], call.charged()), (&json!("completed"), 9 * INPUT + 7 * OUTPUT));
}

#[on_each_store]
async fn calls_that_outlast_the_drain_are_cut_and_settled() {
    let nemo = Setup::default().server("drain_secs = 1").start().await;
    nemo.provider().script(Behaviour::success(9, 40));
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    let mut stream = key.stream(json!({})).await;
    stream.until("one two").await;
    let received: String = crate::harness::sse_data(&stream.text()).concat();
    let text = received.split("\"content\":\"").nth(2).unwrap().split('"').next().unwrap().to_owned();
    nemo.signal(Signal::TERM);
    let tail = stream.rest().await;
    assert_eq!(tail.error_code().as_deref(), Some("gateway_stopping"), "{}", tail.text());
    assert!(nemo.until_exit().await.status.success());
    nemo.restart().await;
    let call = key.books_balance().await.remove(0);
    assert_eq!((call.end.as_str(), &call.ended["ending"]), ("CallSettled", &json!("stopped")));
    assert_eq!((&call.ended["evidence"], call.charged()), (&json!("estimated"), call.estimate(text.len())));
}

#[on_each_store]
async fn a_call_without_an_answer_is_cut_after_the_drain_too() {
    let nemo = Setup::default().server("drain_secs = 0").start().await;
    nemo.provider().hold_at(Phase::Received);
    let key = nemo.rich_key().await;
    let asking = tokio::spawn({
        let key = key.clone();
        async move { key.chat(json!({})).await }
    });
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    nemo.signal(Signal::INT);
    let answer: Answer = asking.await.unwrap();
    answer.refused(503, "gateway_stopping");
    assert!(answer.forbids_retry());
    assert!(nemo.until_exit().await.status.success());
    nemo.restart().await;
    let call = key.books_balance().await.remove(0);
    assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", call.hold()));
}

#[on_each_store]
async fn a_second_signal_ends_the_drain() {
    let nemo = Setup::default().server("drain_secs = 3600").start().await;
    nemo.provider().script(Behaviour::success(9, 40));
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    let mut stream = key.stream(json!({})).await;
    stream.until("one two").await;
    stop_and_wait_until_it_shows(&nemo).await;
    nemo.signal(Signal::TERM);
    let tail = tokio::time::timeout(Duration::from_secs(20), stream.rest()).await.expect("the drain goes on");
    assert_eq!(tail.error_code().as_deref(), Some("gateway_stopping"));
    nemo.until_exit().await;
    nemo.restart().await;
    assert_eq!(key.books_balance().await[0].end, "CallSettled");
}

#[on_each_store]
async fn a_second_process_in_the_same_directory_is_refused() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let second = nemo.second_refused().await;
    assert_eq!(second.status.code().map(|code| code != 0), Some(true));
    let data = nemo.data();
    assert!(
        second.stderr.contains(data.to_str().unwrap()) && second.stderr.contains("in use"),
        "{}",
        second.stderr
    );
    key.chat(json!({})).await.ok();
    nemo.kill9().await;
    nemo.restart().await;
    key.chat(json!({})).await.ok();
}

#[on_each_store]
async fn readiness_goes_with_the_first_signal_and_life_with_the_last_call() {
    let nemo = Nemo::start().await;
    for path in ["/healthz", "/readyz"] {
        Answer::of(nemo.http().get(nemo.url(path))).await.ok();
    }
    nemo.provider().hold_at(Phase::Received);
    let key = nemo.rich_key().await;
    let running = key.raw_chat(json!({})).await;
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    stop_and_wait_until_it_shows(&nemo).await;
    Answer::of(nemo.http().get(nemo.url("/healthz"))).await.ok();
    nemo.provider().release();
    assert!(nemo.until_exit().await.status.success());
    drop(running);
}
