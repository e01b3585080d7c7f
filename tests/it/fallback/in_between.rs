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

#[tokio::test]
async fn a_repeat_that_comes_between_two_attempts_takes_their_place() {
    let nemo = Setup::default().calls("retries_at_most = 1").start().await;
    let key = nemo.rich_key().await;
    nemo.provider().script(Behaviour::success(9, 7));
    nemo.provider().script_next([Behaviour::rate_limited(1)]);
    let send = || {
        let key = key.clone();
        tokio::spawn(async move { once(&key, "k").await })
    };
    let first = send();
    let voided = || async { key.calls().await.first().is_some_and(|call| call.end == VOIDED).then_some(()) };
    until("the first call is voided", voided).await;
    nemo.provider().hold_at(Phase::Received);
    let repeat = send();
    let first = first.await.unwrap();
    first.refused(409, "call_running");
    nemo.provider().release();
    let repeat = repeat.await.unwrap();
    assert_eq!((repeat.status, repeat.header("x-nemo-call-id")), (200, first.header("x-nemo-call-id")));
    assert_eq!((nemo.provider().request_count(), key.charged().await), (2, PLAIN));
    key.books_balance().await;
}

#[tokio::test]
async fn another_attempt_waits_in_line_for_money_that_somebody_else_took_in_between() {
    let pool = Pool::start().await;
    // One hold fits at a time.
    let key = pool.nemo.key(total("0.0112")).await;
    pool.nemo.provider().script_by(|request| match request.body["temperature"].as_f64() {
        Some(_) => Behaviour::success(9, 7),
        None => Behaviour::error(503),
    });
    pool.nemo.provider().hold_at(Phase::Received);
    let send = |more: Value| {
        let key = key.clone();
        tokio::spawn(async move { key.chat(more).await })
    };
    let first = send(json!({}));
    pool.nemo.provider().until_held(Phase::Received, 1).await.unwrap();
    let second = send(json!({"temperature": 0.5}));
    let waiting =
        || async { (counted(&pool.nemo, "nemo_calls_waiting_for_budget", &[]).await == 1).then_some(()) };
    until("somebody waits", waiting).await;
    pool.nemo.provider().release();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.status, first.header("x-nemo-attempts")), (200, Some("2")), "{}", first.text());
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(key.charged().await, 2 * PLAIN);
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
