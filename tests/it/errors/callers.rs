//! Callers who are not let in, or not allowed what they ask.

use serde_json::{Value, json};

use super::{about, cost_nothing, send, told};
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Nemo, Setup, until, well_formed_key};

#[tokio::test]
async fn whoever_shows_no_key_or_a_wrong_one_is_not_let_in() {
    let nemo = Nemo::start().await;
    let (key, other) = (nemo.rich_key().await, nemo.rich_key().await);
    for path in ["/v1/key", "/v1/models", "/v1/models/gpt-test"] {
        let ask = || nemo.http().get(nemo.url(path));
        told(&send(ask()).await, 401, "missing_api_key");
        told(&send(ask().header("authorization", "Basic dTpw")).await, 401, "missing_api_key");
        told(&send(ask().header("authorization", "Bearer ")).await, 401, "missing_api_key");
        let unknown = well_formed_key("00000000000", &"0".repeat(36));
        let mistyped = format!("{}0", &key.secret()[..61]);
        let forged = well_formed_key(key.public_id(), &"0".repeat(36));
        for wrong in ["rubbish", "sk-nemo-", "sk-proj-0123456789", &unknown, &mistyped, &forged] {
            told(&send(ask().bearer_auth(wrong)).await, 401, "invalid_api_key");
            told(&send(ask().header("x-api-key", wrong)).await, 401, "invalid_api_key");
        }
        let both = ask().bearer_auth(key.secret());
        told(&send(both.header("x-api-key", other.secret())).await, 401, "invalid_api_key");
        send(ask().bearer_auth(key.secret()).header("x-api-key", key.secret())).await.ok();
        told(&send(ask().bearer_auth(nemo.master_key())).await, 403, "master_key_not_allowed");
    }
    let post = nemo.http().post(nemo.url("/v1/chat/completions")).body("not even JSON");
    told(&send(post).await, 401, "missing_api_key");
    cost_nothing(&nemo, &[&key, &other]).await;
}

#[tokio::test]
async fn whoever_tries_many_unknown_keys_has_to_wait() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let attempt = |n: usize| {
        let unknown = well_formed_key(&format!("{n:011}"), &"0".repeat(36));
        send(nemo.http().get(nemo.url("/v1/key")).bearer_auth(unknown))
    };
    for n in 0..200 {
        attempt(n).await.refused(401, "invalid_api_key");
    }
    let answer = attempt(200).await;
    told(&answer, 429, "too_many_unknown_keys");
    assert_eq!(answer.header("retry-after"), Some("10"));
    // A key in use needs no look-up.
    key.chat(json!({})).await.ok();
}

#[tokio::test]
async fn the_state_of_a_key_and_its_org_is_told_to_its_holder() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.tell("block", json!({"reason": "odd"})).await;
    told(&key.chat(json!({})).await, 403, "key_blocked");
    told(&key.get("/v1/key").await, 403, "key_blocked");
    key.tell("unblock", json!({})).await;
    key.get("/v1/key").await.ok();

    let org = nemo.org().await.to_owned();
    nemo.tell(&format!("/api/orgs/{org}/suspend"), json!({"reason": "unpaid"})).await;
    told(&key.chat(json!({})).await, 403, "org_suspended");
    nemo.tell(&format!("/api/orgs/{org}/resume"), json!({})).await;
    key.get("/v1/key").await.ok();

    let old = key.with_secret(&key.secret());
    key.rotate(json!({"leaked": true})).await;
    told(&old.chat(json!({})).await, 401, "key_rotated");
    key.tell("revoke", json!({})).await;
    told(&key.chat(json!({})).await, 401, "key_revoked");
    cost_nothing(&nemo, &[&key]).await;

    let soon = (chrono::Utc::now() + chrono::TimeDelta::seconds(2)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let brief = nemo.key(json!({"unlimited": true, "expires_at": soon})).await;
    until("it expires", || async { (brief.get("/v1/key").await.status != 200).then_some(()) }).await;
    told(&brief.chat(json!({})).await, 401, "key_expired");
}

#[tokio::test]
async fn what_a_key_may_not_do_is_named() {
    let nemo = Nemo::start().await;
    let of = |limits: Value| {
        let nemo = &nemo;
        async move {
            let mut all = json!({"unlimited": true});
            all.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
            nemo.key(all).await
        }
    };
    let elsewhere = of(json!({"addresses": ["203.0.113.0/24"]})).await;
    told(&elsewhere.chat(json!({})).await, 403, "address_not_allowed");
    for path in ["/v1/key", "/v1/models", "/v1/models/gpt-test"] {
        told(&elsewhere.get(path).await, 403, "address_not_allowed");
    }
    let embedder = of(json!({"endpoints": ["embeddings"]})).await;
    told(&embedder.chat(json!({})).await, 403, "endpoint_not_allowed");
    let thinker = of(json!({"models": ["*-think"]})).await;
    about(&thinker.chat(json!({})).await, 403, "model_not_allowed", "model");
    let any = of(json!({})).await;
    about(&any.chat(json!({"model": "llama-3"})).await, 404, "model_not_found", "model");
    about(&any.chat(json!({"model": "gpt-unpriced"})).await, 400, "model_not_priced", "model");
    about(&any.chat(json!({"max_tokens": 16_385})).await, 400, "output_limit_too_high", "max_tokens");
    let careful = of(json!({"max_call_cost": "0.001"})).await;
    told(&careful.chat(json!({})).await, 402, "call_too_dear");
    let slow = of(json!({"tokens_per_minute": 500})).await;
    told(&slow.chat(json!({})).await, 400, "tokens_above_rate");
    cost_nothing(&nemo, &[&elsewhere, &embedder, &thinker, &any, &careful, &slow]).await;
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_told_with_what_would_fit() {
    let nemo = Nemo::start().await;
    for window in ["total", "day", "week", "month"] {
        let key = nemo.key(json!({"budgets": [{"window": window, "limit": "0.005"}]})).await;
        let body = told(&key.chat(json!({})).await, 402, "budget_exceeded");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("{window} budget of $0.005")), "{message}");
        assert!(message.contains("An output limit of "), "{message}");
        assert_eq!(message.contains("It resets at "), window != "total", "{message}");
    }
    let broke = nemo.key(json!({"budgets": [{"window": "total", "limit": "0"}]})).await;
    let answer = broke.chat(json!({"max_tokens": 1})).await;
    told(&answer, 402, "budget_exceeded");
    assert!(answer.header("x-nemo-call-id").is_some(), "the log knows the call by it");
    assert_eq!(nemo.provider().request_count(), 0);
}

#[tokio::test]
async fn what_would_fit_later_says_when_to_try_again() {
    let nemo = Setup::default().calls("held_wait_secs = 0").start().await;
    nemo.provider().script(Behaviour::success(250, 1000));
    let held = |limits: Value| {
        let nemo = &nemo;
        async move {
            nemo.provider().hold_at(Phase::Received);
            let key = nemo.key(limits).await;
            let running = key.raw_chat(json!({})).await;
            nemo.provider().until_held(Phase::Received, 1).await.unwrap();
            let answer = key.chat(json!({})).await;
            nemo.provider().release();
            key.books_balance().await;
            drop(running);
            (key, answer)
        }
    };
    let (key, answer) = held(json!({"budgets": [{"window": "total", "limit": "0.015"}]})).await;
    told(&answer, 429, "budget_held");
    assert_eq!(key.calls().await.len(), 1);
    let (_, answer) = held(json!({"unlimited": true, "concurrent_calls": 1})).await;
    told(&answer, 429, "concurrency_limit_exceeded");
    let (_, answer) = held(json!({"unlimited": true, "requests_per_minute": 1})).await;
    told(&answer, 429, "rate_limit_exceeded");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    let key = nemo.key(json!({"unlimited": true, "tokens_per_minute": 2000})).await;
    key.chat(json!({})).await.ok();
    let answer = key.chat(json!({})).await;
    told(&answer, 429, "token_limit_exceeded");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    // 1,250 used and 1,286 wanted are 536 too many, which is 16.08 s at 2,000 a minute.
    assert!((10..=17).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_refusal_says_what_is_left_as_an_answer_does() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let limits = json!({
        "budgets": [{"window": "total", "limit": "1"}, {"window": "day", "limit": "0.012"}],
        "requests_per_minute": 1, "tokens_per_minute": 60_000,
    });
    let key = nemo.key(limits).await;
    let dear = key.chat(json!({"max_tokens": 5000})).await;
    told(&dear, 402, "budget_exceeded");
    assert_eq!(dear.header("x-nemo-budget-remaining"), Some("0.012"), "the tightest");
    assert_eq!(dear.header("x-ratelimit-limit-requests"), Some("1"));
    assert_eq!(dear.header("x-ratelimit-remaining-requests"), Some("1"), "refusals do not count");
    assert_eq!(dear.header("x-ratelimit-remaining-tokens"), Some("60000"));
    key.chat(json!({"max_tokens": 100})).await.ok();
    let hasty = key.chat(json!({"max_tokens": 100})).await;
    told(&hasty, 429, "rate_limit_exceeded");
    assert_eq!(hasty.header("x-nemo-budget-remaining"), Some("0.0119075"));
    assert_eq!(hasty.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(hasty.header("x-ratelimit-limit-tokens"), Some("60000"));
    let own = key.get("/v1/key").await.ok();
    assert_eq!(
        (&own["budgets"][1]["free"], &own["requests_per_minute"]["remaining"]),
        (&json!("0.0119075"), &json!(0))
    );
    // Whoever may use the key no more is told nothing of it.
    key.tell("revoke", json!({})).await;
    let revoked = key.chat(json!({})).await;
    told(&revoked, 401, "key_revoked");
    assert_eq!(
        (revoked.header("x-nemo-budget-remaining"), revoked.header("x-ratelimit-limit-requests")),
        (None, None)
    );
}

#[tokio::test]
async fn refusals_are_counted_in_the_key_s_stream() {
    let nemo = Nemo::start().await;
    let key = nemo.key(json!({"unlimited": true, "models": ["gpt-test"]})).await;
    for _ in 0..3 {
        key.chat(json!({"model": "gpt-think"})).await.refused(403, "model_not_allowed");
    }
    key.chat(json!({})).await.ok();
    assert_eq!(key.history().await, ["KeyCreated", "CallsRefused", "CallAuthorized", "CallSettled"]);
    let counted = key.events().await.remove(1);
    assert_eq!(
        counted.data()["refusals"],
        json!([{"code": "model_not_allowed", "address": "127.0.0.1", "count": 3}])
    );
}
