//! What may happen between two attempts: repeats, a revoke, a stop, a client that leaves, a crash.

use super::*;
use crate::fake_provider::Phase;
use crate::harness::until;

async fn once(key: &Key, name: &str) -> Answer {
    let request = key.request(key.body(json!({})).to_string().into());
    Answer::of(request.header("idempotency-key", name)).await
}

/// A gateway that pauses for so long between two attempts.
fn pausing() -> Setup {
    Setup::default().calls("retries_at_most = 1\nretry_wait_secs = 20")
}

#[tokio::test]
async fn a_repeat_is_told_of_whichever_attempt_runs_or_was_billed() {
    let pool = Pool::start().await;
    let key = pool.nemo.rich_key().await;
    pool.nemo.provider().script(Behaviour::error(503));
    pool.second.hold_at(Phase::Received);
    let first = tokio::spawn({
        let key = key.clone();
        async move { once(&key, "k").await }
    });
    pool.second.until_held(Phase::Received, 1).await.unwrap();
    let again = once(&key, "k").await;
    again.refused(409, "call_running");
    pool.second.release();
    let first = first.await.unwrap();
    assert_eq!((first.status, first.header("x-nemo-attempts")), (200, Some("2")));
    assert_eq!(again.header("x-nemo-call-id"), first.header("x-nemo-call-id"));
    let again = once(&key, "k").await;
    again.refused(409, "call_already_billed");
    assert_eq!(again.header("x-nemo-call-id"), first.header("x-nemo-call-id"));
    // Where every attempt came to nothing, the request may be sent again.
    pool.second.script(Behaviour::error(500));
    pool.third.script_next([Behaviour::error(529)]);
    let failed = once(&key, "other").await;
    assert_eq!((failed.status, failed.header("x-nemo-attempts")), (529, Some("3")));
    once(&key, "other").await.ok();
    once(&key, "other").await.refused(409, "call_already_billed");
    assert_eq!(key.charged().await, PLAIN + 2 * PLAIN);
    pool.books_balance(&key).await;
}

/// Sends a request that comes to nothing and pauses before it is tried again.
async fn paused(nemo: &Nemo, key: &Key) -> tokio::task::JoinHandle<Answer> {
    nemo.provider().script(Behaviour::rate_limited(20));
    let asked = tokio::spawn({
        let key = key.clone();
        async move { ask(&key, true).await }
    });
    until("the first call is voided", || async {
        key.calls().await.first().is_some_and(|call| call.end == VOIDED).then_some(())
    })
    .await;
    asked
}

#[tokio::test]
async fn a_key_that_is_revoked_between_two_attempts_makes_no_other() {
    let nemo = pausing().start().await;
    let key = nemo.rich_key().await;
    let asked = paused(&nemo, &key).await;
    key.tell("revoke", json!({"reason": "leaked"})).await;
    asked.await.unwrap().refused(401, "key_revoked");
    assert_eq!(ends(&key.books_balance().await), [("fake", VOIDED)]);
}

#[tokio::test]
async fn a_client_that_leaves_between_two_attempts_ends_its_request() {
    let nemo = pausing().start().await;
    let key = nemo.rich_key().await;
    let asked = paused(&nemo, &key).await;
    asked.abort();
    until("no request is running", || async {
        (nemo.ask("/api/ledger").await["running_calls"] == 0).then_some(())
    })
    .await;
    assert_eq!(ends(&key.books_balance().await), [("fake", VOIDED)]);
}

#[tokio::test]
async fn a_node_that_stops_makes_no_other_attempt() {
    let nemo = pausing().server("drain_secs = 0").start().await;
    let key = nemo.rich_key().await;
    let asked = paused(&nemo, &key).await;
    assert!(nemo.terminate().await.success());
    let answer = asked.await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("20")), "the provider's own error");
    nemo.restart().await;
    assert_eq!(ends(&key.books_balance().await), [("fake", VOIDED)]);
}

#[cfg(feature = "failpoints")]
#[tokio::test]
async fn a_crash_between_two_attempts_leaves_nothing_open_and_nothing_charged() {
    let pool = Pool::with(Setup::default().env("NEMO_CRASH_AT", "between-attempts:1")).await;
    let key = pool.nemo.rich_key().await;
    pool.nemo.provider().script_next([Behaviour::error(503)]);
    let request = key.request(key.body(json!({})).to_string().into());
    assert!(request.header("idempotency-key", "k").send().await.is_err());
    pool.nemo.until_exit().await;
    pool.nemo.restart().await;
    assert_eq!(ends(&pool.books_balance(&key).await), [("fake", VOIDED)]);
    once(&key, "k").await.ok();
    assert_eq!((pool.asked(), key.charged().await), ([2, 0, 0], PLAIN));
    pool.books_balance(&key).await;
}
