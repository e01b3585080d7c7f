//! The server is away for a while, or hangs, while the node runs.

use std::time::Duration;

use nemo_eventstoredb_simulator::{Calls, Simulator};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{gateway, is_ready, readiness, timed};
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{INPUT, Key, Nemo, OUTPUT, until};

/// An authorisation's two seconds, and time for a busy machine.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_calls_are_refused_in_time_and_afterwards_everything_goes_on() {
    let (server, nemo) = gateway().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let (warm, cold) = (nemo.rich_key().await, nemo.rich_key().await);
    warm.chat(json!({})).await.ok();
    let requests = nemo.provider().request_count();

    server.stop();
    for _ in 0..3 {
        let (told, took) = timed(warm.chat(json!({}))).await;
        told.refused(503, "ledger_unavailable");
        assert!(took < SOON, "{took:?}");
    }
    let (told, took) = timed(cold.chat(json!({}))).await;
    told.refused(503, "ledger_unavailable");
    assert!(took < SOON, "{took:?}");
    assert_eq!(readiness(&nemo).await.0, 503);
    assert_eq!(nemo.http().get(nemo.url("/healthz")).send().await.unwrap().status(), 200);
    assert_eq!(nemo.ask("/api/ledger").await["store"]["reachable"], json!(false));
    assert_eq!(nemo.provider().request_count(), requests, "nothing was sent unrecorded");

    server.start_again();
    is_ready(&nemo).await;
    for key in [&warm, &cold] {
        until("it is served", || async { (key.chat(json!({})).await.status == 200).then_some(()) }).await;
        key.books_balance().await;
    }
    // Lists follow too, without a restart.
    nemo.rich_key().await;
    until("the new key is listed", || async {
        let listed = nemo.manage(reqwest::Method::GET, "/api/keys", Value::Null).await;
        (listed.status == 200 && listed.json()["keys"].as_array().is_some_and(|keys| keys.len() == 3))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_hangs_calls_are_refused_in_time_and_afterwards_everything_goes_on() {
    let (server, nemo) = gateway().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let (warm, cold) = (nemo.rich_key().await, nemo.rich_key().await);
    warm.chat(json!({})).await.ok();
    assert!(nemo.terminate().await.success());
    nemo.restart().await;
    is_ready(&nemo).await;
    warm.chat(json!({})).await.ok();

    server.hang(Calls::Everything);
    for key in [&warm, &cold, &warm, &cold] {
        let (told, took) = timed(key.chat(json!({}))).await;
        told.refused(503, "ledger_unavailable");
        assert!(took < SOON, "{took:?}");
    }
    let (ready, took) = timed(readiness(&nemo)).await;
    assert_eq!(ready.0, 503, "{}", ready.1);
    assert!(took < SOON, "{took:?}");
    server.release(Calls::Everything);
    is_ready(&nemo).await;
    for key in [&warm, &cold] {
        until("it is served", || async { (key.chat(json!({})).await.status == 200).then_some(()) }).await;
        key.books_balance().await;
    }
}

/// A stream whose provider has said all but its last words.
async fn almost_done(nemo: &Nemo, key: &Key) -> crate::harness::Streaming {
    nemo.provider().script(Behaviour::success(9, 7));
    nemo.provider().hold_at(Phase::BeforeLast);
    let mut stream = key.stream(json!({})).await;
    nemo.provider().until_held(Phase::BeforeLast, 1).await.unwrap();
    stream.until("data:").await;
    stream
}

async fn appends_fail(server: &Simulator, nemo: &Nemo) {
    server.stop();
    until("the node knows", || async { (readiness(nemo).await.0 == 503).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_a_running_answer_wait_for_the_server() {
    let (server, nemo) = gateway().await;
    let key = nemo.rich_key().await;
    let stream = almost_done(&nemo, &key).await;
    appends_fail(&server, &nemo).await;
    nemo.provider().release();
    nemo.provider().until_settled().await.unwrap();
    server.start_again();
    let tail = stream.rest().await;
    assert!(tail.is_done(), "{}", tail.text());
    is_ready(&nemo).await;
    assert_eq!(key.only_call().await.charged(), 9 * INPUT + 7 * OUTPUT);
    key.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_whose_bill_cannot_be_written_ends_with_an_error_and_is_billed_later() {
    let (server, nemo) = gateway().await;
    let key = nemo.rich_key().await;
    let stream = almost_done(&nemo, &key).await;
    appends_fail(&server, &nemo).await;
    nemo.provider().release();
    let (tail, took) = timed(stream.rest()).await;
    assert_eq!(tail.error_code().as_deref(), Some("ledger_unavailable"), "{}", tail.text());
    assert!(!tail.is_done(), "an answer whose bill is not durable is not complete");
    assert!((8..20).contains(&took.as_secs()), "ten seconds, not {took:?}");
    server.start_again();
    is_ready(&nemo).await;
    let call = key.only_call().await;
    assert!(tail.text().contains(&call.id), "the error names the call: {}", tail.text());
    assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", 9 * INPUT + 7 * OUTPUT));
    key.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_server_is_away_ends_in_time_and_says_what_is_left() {
    let (server, nemo) = gateway().await;
    let key = nemo.rich_key().await;
    let stream = almost_done(&nemo, &key).await;
    appends_fail(&server, &nemo).await;
    nemo.provider().release();
    assert_eq!(stream.rest().await.error_code().as_deref(), Some("ledger_unavailable"));
    let (exited, took) = timed(async {
        nemo.signal(Signal::TERM);
        nemo.until_exit().await
    })
    .await;
    assert!(exited.status.success(), "{exited}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(exited.stderr.contains("ends of calls could not be written"), "{}", exited.stderr);
    server.start_again();
    nemo.restart().await;
    is_ready(&nemo).await;
    let call = key.only_call().await;
    assert_eq!((call.end.as_str(), call.charged()), ("CallForfeited", call.hold()));
}
