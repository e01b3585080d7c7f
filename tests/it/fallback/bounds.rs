//! How often, how long, and against which limits further attempts are made.

use std::time::{Duration, Instant};

use super::*;
use crate::fake_provider::{At, How};
use crate::harness::until;

#[tokio::test]
async fn a_request_makes_no_more_calls_than_it_may_and_is_told_of_the_last() {
    let pool = Pool::with(Setup::default().calls("attempts_at_most = 2")).await;
    let key = pool.nemo.rich_key().await;
    pool.nemo.provider().script(Behaviour::error(500));
    pool.second.script(Behaviour::rate_limited(9));
    for streams in [false, true] {
        let answer = ask(&key, streams).await;
        assert_eq!((answer.status, answer.header("x-nemo-attempts")), (429, Some("2")));
        assert_eq!((answer.header("retry-after"), answer.forbids_retry()), (Some("9"), false));
        assert_eq!(answer.header("x-nemo-call-id"), Some(key.calls().await.last().unwrap().id.as_str()));
    }
    let calls = pool.books_balance(&key).await;
    assert_eq!(ends(&calls[..2]), [("fake", VOIDED), ("second", VOIDED)]);
    assert_eq!((pool.asked(), key.charged().await), ([2, 2, 0], 0));
    let alone = Pool::with(Setup::default().calls("attempts_at_most = 1")).await;
    alone.nemo.provider().script(Behaviour::error(500));
    assert_eq!(ask(&alone.nemo.rich_key().await, false).await.status, 500);
    assert_eq!(alone.asked(), [1, 0, 0]);
}

#[tokio::test]
async fn a_provider_is_asked_again_after_the_pause_that_it_asks_for_if_that_is_short() {
    let nemo = Setup::default().calls("retries_at_most = 1\nretry_wait_secs = 1").start().await;
    let key = nemo.rich_key().await;
    nemo.provider().script_next([Behaviour::rate_limited(1), Behaviour::success(9, 7)]);
    let began = Instant::now();
    let answer = ask(&key, false).await;
    assert_eq!((answer.status, answer.header("x-nemo-attempts")), (200, Some("2")));
    assert!(began.elapsed() >= Duration::from_secs(1));
    nemo.provider().script_next([Behaviour::rate_limited(2)]);
    let answer = ask(&key, false).await;
    assert_eq!(
        (answer.status, answer.header("x-nemo-attempts"), answer.header("retry-after")),
        (429, None, Some("2"))
    );
    nemo.provider().script_next([Behaviour::error(401)]);
    assert_eq!(ask(&key, false).await.status, 502, "the same key is not tried again where it was refused");
    let same = counted(&nemo, "nemo_provider_fallbacks_total", &[("why", "429"), ("next", "same")]).await;
    assert_eq!(same, 1);
    key.books_balance().await;
}

#[tokio::test]
async fn a_provider_whose_breaker_is_open_is_passed_over_without_a_call() {
    let pool = Pool::with(Setup::default().calls("unknown_ends_at_most = 1")).await;
    let key = pool.nemo.rich_key().await;
    let lost = || Behaviour::breaking(At::Read, How::Reset);
    pool.nemo.provider().script_next([lost()]);
    ask(&key, false).await.refused(502, "provider_failed");
    let answer = ask(&key, true).await;
    assert_eq!((answer.status, answer.header("x-nemo-attempts")), (200, None));
    let calls = pool.books_balance(&key).await;
    assert_eq!((calls.len(), pool.asked()), (2, [1, 1, 0]));
    assert_eq!(
        (&calls[1].authorized["provider"], &calls[1].authorized["attempt"]),
        (&json!("second"), &json!(1))
    );
    let passed = [("provider", "fake"), ("why", "suspended"), ("next", "other")];
    assert_eq!(counted(&pool.nemo, "nemo_provider_fallbacks_total", &passed).await, 1);
    pool.second.script_next([lost()]);
    pool.third.script_next([lost()]);
    for _ in 0..2 {
        ask(&key, false).await.refused(502, "provider_failed");
    }
    let refused = ask(&key, false).await;
    refused.refused(502, "provider_suspended");
    assert!(refused.header("retry-after").is_some());
    assert_eq!((pool.asked(), pool.books_balance(&key).await.len()), ([1, 2, 1], 4));
}

#[tokio::test]
async fn a_provider_that_does_not_fit_the_budget_is_passed_over_and_no_refusal() {
    let pool = Pool::start().await;
    // Enough for one call at the first two, not at the third.
    let key = pool.nemo.key(total("0.011")).await;
    pool.nemo.provider().script(Behaviour::error(503));
    pool.second.script(Behaviour::error(500));
    let answer = ask(&key, false).await;
    assert_eq!((answer.status, answer.header("x-nemo-attempts")), (500, Some("2")), "{}", answer.text());
    assert_eq!(ends(&pool.books_balance(&key).await), [("fake", VOIDED), ("second", VOIDED)]);
    assert_eq!((pool.asked(), key.charged().await), ([1, 1, 0], 0));
    // Told as ever where it is the first one that does not fit.
    let poor = pool.nemo.key(total("0.001")).await;
    ask(&poor, false).await.refused(402, "budget_exceeded");
    assert_eq!(pool.asked(), [1, 1, 0]);
    pool.second.script(Behaviour::success(9, 7));
    ask(&key, false).await.ok();
    assert_eq!(pool.books_balance(&key).await.last().unwrap().charged(), PLAIN);
}

#[tokio::test]
async fn further_attempts_are_no_further_requests_of_the_rate() {
    let pool = Pool::start().await;
    let key =
        pool.nemo.key(json!({"unlimited": true, "requests_per_minute": 2, "concurrent_calls": 1})).await;
    pool.nemo.provider().script(Behaviour::error(503));
    for left in ["1", "0"] {
        let answer = ask(&key, false).await;
        assert_eq!((answer.status, answer.header("x-nemo-attempts")), (200, Some("2")));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left));
    }
    ask(&key, false).await.refused(429, "rate_limit_exceeded");
    assert_eq!((pool.asked(), pool.books_balance(&key).await.len()), ([2, 2, 0], 4));
    // The same after a restart: it is folded so.
    pool.nemo.kill9().await;
    pool.nemo.restart().await;
    ask(&key, false).await.refused(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn all_attempts_share_one_deadline() {
    // A call is cut 5 s before its deadline; the pause leaves no time for another.
    let pool =
        Pool::with(Setup::default().calls("deadline_secs = 7\nretries_at_most = 1\nretry_wait_secs = 2"))
            .await;
    let key = pool.nemo.rich_key().await;
    pool.nemo.provider().script(Behaviour::rate_limited(2));
    ask(&key, false).await.ok();
    let calls = pool.books_balance(&key).await;
    assert_eq!(ends(&calls), [("fake", VOIDED), ("second", SETTLED)]);
    let ends_at = |call: &Call| call.authorized["deadline"].as_str().unwrap().to_owned();
    assert!(ends_at(&calls[1]) <= ends_at(&calls[0]), "{calls:?}");
}

#[tokio::test]
async fn a_provider_that_asks_for_a_pause_is_asked_last_until_it_is_over() {
    let pool = Pool::resting(Setup::default()).await;
    let key = pool.nemo.rich_key().await;
    let served_by = async || {
        let answer = ask(&key, false).await;
        answer.ok();
        let calls = key.calls().await;
        let call = calls.last().unwrap();
        (
            call.authorized["provider"].as_str().unwrap().to_owned(),
            call.authorized["attempt"].as_u64().unwrap(),
        )
    };
    pool.nemo.provider().script_next([Behaviour::rate_limited(20)]);
    assert_eq!(served_by().await, ("second".to_owned(), 2));
    assert_eq!(served_by().await, ("second".to_owned(), 1), "the first one is left alone");
    // It is asked all the same where the others do not serve, and its success ends the rest.
    pool.second.script_next([Behaviour::error(500)]);
    pool.third.script_next([Behaviour::error(500)]);
    assert_eq!(served_by().await, ("fake".to_owned(), 3));
    assert_eq!(served_by().await, ("fake".to_owned(), 1));
    assert_eq!(pool.asked(), [3, 3, 1]);
    pool.nemo.provider().script_next([Behaviour::rate_limited(1)]);
    assert_eq!(served_by().await, ("second".to_owned(), 2));
    until("its time has come", || async { (served_by().await.0 == "fake").then_some(()) }).await;
    pool.books_balance(&key).await;
}

#[tokio::test]
async fn nobody_is_refused_because_the_preferred_provider_rests() {
    // Enough at the first two, not at the third.
    let pool = Pool::resting(Setup::default().calls("unknown_ends_at_most = 1")).await;
    let key = pool.nemo.key(total("0.011")).await;
    for provider in [pool.nemo.provider(), &pool.second] {
        provider.script_next([Behaviour::rate_limited(30)]);
    }
    let answer = ask(&key, false).await;
    assert_eq!((answer.status, answer.header("x-nemo-attempts")), (429, Some("2")));
    // Now the third comes first, and does not fit.
    let answer = ask(&key, false).await;
    assert_eq!((answer.status, answer.header("x-nemo-attempts")), (200, None), "{}", answer.text());
    assert_eq!(pool.asked(), [2, 1, 0]);
    // Nor because the preferred one's breaker is open: that is what the caller is told.
    let rich = pool.nemo.rich_key().await;
    pool.nemo.provider().script_next([Behaviour::breaking(At::Read, How::Reset)]);
    ask(&rich, false).await.refused(502, "provider_failed");
    let poor = pool.nemo.key(total("0.001")).await;
    ask(&poor, false).await.refused(502, "provider_suspended");
    let refusals = poor.events().await.iter().filter(|event| event.kind() == "CallsRefused").count();
    assert_eq!((refusals, pool.asked()), (0, [3, 1, 0]));
    pool.books_balance(&key).await;
}
