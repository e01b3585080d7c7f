//! Calls that would fit but for what calls in flight hold: they wait in their key's line, first come first served,
//! and are made as soon as there is room, or refused after a while.

use std::time::{Duration, Instant};

use nemo_test_stores::on_each_store;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, Key, Nemo, Setup, until};
use crate::metrics::Page;

/// A gateway, what one call holds there, and a key on which one call fits at a time.
async fn one_at_a_time(setup: Setup) -> (Nemo, i128, Key) {
    let nemo = setup.start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let sample = nemo.rich_key().await;
    sample.chat(wish("sample", 50)).await.ok();
    let hold = sample.only_call().await.hold();
    let key = nemo.key(limit(2 * hold - 1)).await;
    nemo.provider().hold_at(Phase::Received);
    (nemo, hold, key)
}

fn limit(nanos: i128) -> Value {
    json!({"budgets": [{"window": "total", "limit": format!("0.{nanos:09}")}]})
}

/// All of one size, so long as the limit is.
fn wish(name: &str, output_limit: u64) -> Value {
    json!({"max_tokens": output_limit, "metadata": {"name": format!("{name:>8}")}})
}

fn call(key: &Key, wish: Value) -> JoinHandle<Answer> {
    let key = key.clone();
    tokio::spawn(async move { key.chat(wish).await })
}

/// Waits until so many calls stand in line.
async fn in_line(nemo: &Nemo, count: usize) {
    let count = count as f64;
    let as_many =
        || async { (Page::of(nemo).await.real("nemo_calls_waiting_for_budget") == count).then_some(()) };
    until("so many calls wait", as_many).await;
}

/// The names of the calls that the provider saw, in order.
fn seen(nemo: &Nemo) -> Vec<String> {
    let name = |request: &Value| request["metadata"]["name"].as_str().unwrap().trim().to_owned();
    nemo.provider().requests().iter().map(|request| name(&request.json())).collect()
}

#[on_each_store]
async fn whoever_waits_is_called_in_the_order_in_which_they_came() {
    let (nemo, _, key) = one_at_a_time(Setup::default().calls("held_wait_secs = 60")).await;
    let mut calls = vec![call(&key, wish("first", 50))];
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    for (waiting, name) in ["second", "third", "fourth"].into_iter().enumerate() {
        calls.push(call(&key, wish(name, 50)));
        in_line(&nemo, waiting + 1).await;
    }
    for done in 1..=4 {
        nemo.provider().until_held(Phase::Received, 1).await.unwrap();
        assert_eq!(nemo.provider().request_count(), done + 1, "one at a time, after the sample");
        nemo.provider().release_one(Phase::Received);
    }
    for call in calls {
        call.await.unwrap().ok();
    }
    assert_eq!(seen(&nemo), ["sample", "first", "second", "third", "fourth"]);
    in_line(&nemo, 0).await;
    nemo.provider().release();
    assert_eq!(key.books_balance().await.len(), 4);
    assert_eq!(key.history().await.iter().filter(|kind| *kind == "CallsRefused").count(), 0);
}

#[tokio::test]
async fn whoever_waits_too_long_is_refused_and_a_small_call_does_not_pass_a_large_one() {
    let (nemo, hold, key) = one_at_a_time(Setup::default().calls("held_wait_secs = 1")).await;
    let running = call(&key, wish("running", 50));
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    let began = Instant::now();
    let large = call(&key, wish("large", 50));
    in_line(&nemo, 1).await;
    // It would fit beside the one that runs.
    let small = call(&key, wish("small", 1));
    in_line(&nemo, 2).await;
    assert_eq!(nemo.provider().request_count(), 2, "the sample and the one that runs");
    let refused = large.await.unwrap();
    refused.refused(429, "budget_held");
    assert!(began.elapsed() >= Duration::from_secs(1) && refused.header("retry-after").is_some());
    nemo.provider().until_held(Phase::Received, 2).await.unwrap();
    nemo.provider().release();
    small.await.unwrap().ok();
    running.await.unwrap().ok();
    assert_eq!(seen(&nemo), ["sample", "running", "small"]);
    // What cannot fit does not wait, whoever else does.
    key.set_limits(limit(hold)).await;
    key.chat(wish("never", 50)).await.refused(402, "budget_exceeded");
    key.books_balance().await;
}

#[tokio::test]
async fn whoever_leaves_leaves_the_line_and_a_raised_limit_lets_the_next_one_in() {
    let (nemo, hold, key) = one_at_a_time(Setup::default().calls("held_wait_secs = 60")).await;
    let running = call(&key, wish("running", 50));
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    let leaves = key.raw_chat(wish("leaves", 50)).await;
    in_line(&nemo, 1).await;
    let stays = call(&key, wish("stays", 50));
    in_line(&nemo, 2).await;
    drop(leaves);
    in_line(&nemo, 1).await;
    key.set_limits(limit(2 * hold)).await;
    nemo.provider().until_held(Phase::Received, 2).await.unwrap();
    nemo.provider().release();
    stays.await.unwrap().ok();
    running.await.unwrap().ok();
    assert_eq!(seen(&nemo), ["sample", "running", "stays"]);
    assert_eq!(key.books_balance().await.len(), 2);
}

#[tokio::test]
async fn whoever_waits_with_a_key_that_is_revoked_is_told_at_once() {
    let (nemo, _, key) = one_at_a_time(Setup::default().calls("held_wait_secs = 60")).await;
    let running = call(&key, wish("running", 50));
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    let [one, two] = [call(&key, wish("one", 50)), call(&key, wish("two", 50))];
    in_line(&nemo, 2).await;
    nemo.manage(Method::POST, &key.path("/revoke"), json!({})).await.ok();
    for waiting in [one, two, running] {
        waiting.await.unwrap().refused(401, "key_revoked");
    }
    nemo.provider().release();
    assert_eq!(seen(&nemo), ["sample", "running"]);
    key.books_balance().await;
}

#[tokio::test]
async fn a_node_that_stops_keeps_nobody_waiting() {
    let setup = Setup::default().calls("held_wait_secs = 60").server("drain_secs = 1");
    let (nemo, _, key) = one_at_a_time(setup).await;
    let running = call(&key, wish("running", 50));
    nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    let waiting = call(&key, wish("waiting", 50));
    in_line(&nemo, 1).await;
    assert!(nemo.terminate().await.success());
    assert_eq!(waiting.await.unwrap().status, 503);
    drop(running.await);
    nemo.provider().release();
    nemo.restart().await;
    assert_eq!(key.books_balance().await.len(), 1);
}
