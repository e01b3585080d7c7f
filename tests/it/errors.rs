//! Every error that a caller or a manager can meet, in the dialect of its route, with the status that
//! `src/docs/errors.md` gives its code. None of them reaches a provider or costs anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, Key, Nemo, Setup, until, well_formed_key};

/// The documented codes, each with its line of the table.
static DOCUMENTED: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/errors.md")).unwrap();
    let code = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    text.lines().filter_map(|line| Some((code(line)?, line.to_owned()))).collect()
});

/// Fails unless it is this error, told as its route tells errors, and documented as such.
#[track_caller]
fn told(answer: &Answer, status: u16, code: &str) -> Value {
    answer.refused(status, code);
    let body = answer.json();
    let id = answer.header("x-request-id").expect("an id on every reply");
    let names: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    if names.contains("error") {
        assert_eq!((names, answer.header("content-type")), (["error"].into(), Some("application/json")));
        let error: BTreeSet<&str> = body["error"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(error, ["code", "message", "param", "type"].into());
        assert!(body["error"]["type"].as_str().unwrap().ends_with("_error"), "{body}");
    } else {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
        assert_eq!((&body["status"], &body["request_id"]), (&json!(status), &json!(id)), "{body}");
        assert_eq!(body["type"], format!("/docs/errors#{code}"));
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    }
    let row = DOCUMENTED.get(code).unwrap_or_else(|| panic!("`{code}` is not in errors.md"));
    assert!(row.contains(&status.to_string()), "{status} is not what errors.md says: {row}");
    let temporary = answer.header("retry-after").is_some();
    assert_ne!(
        temporary,
        answer.forbids_retry(),
        "either it says when to try again or not to: {:?}",
        answer.headers
    );
    assert!(!answer.text().contains("k-nemo-1"), "no key is repeated: {body}");
    body
}

#[track_caller]
fn about(answer: &Answer, status: u16, code: &str, param: &str) {
    let body = told(answer, status, code);
    let named = if body["error"].is_object() { &body["error"]["param"] } else { &body["param"] };
    assert_eq!(named, param, "{body}");
}

async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request).await
}

/// Nothing was sent, and nothing authorised.
async fn cost_nothing(nemo: &Nemo, keys: &[&Key]) {
    assert_eq!(nemo.provider().request_count(), 0);
    for key in keys {
        assert!(key.calls().await.is_empty());
    }
}

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
async fn an_address_behind_a_trusted_proxy_is_the_client_s() {
    let nemo = Setup::default().server("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let key = nemo.key(json!({"unlimited": true, "addresses": ["203.0.113.0/24"]})).await;
    let from = |address: &str| {
        send(
            key.request(key.body(json!({})).to_string().into()).header("x-forwarded-for", address.to_owned()),
        )
    };
    told(&from("198.51.100.7").await, 403, "address_not_allowed");
    from("203.0.113.9").await.ok();
    assert_eq!(key.only_call().await.authorized["client"]["address"], "203.0.113.9");
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
    let nemo = Nemo::start().await;
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
async fn requests_that_are_not_understood_are_refused_by_field() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let cases = [
        (json!({"top_a": 1}), "unknown_field", "top_a"),
        (
            json!({"messages": [{"role": "user", "content": "x", "images": []}]}),
            "unknown_field",
            "messages[].images",
        ),
        (json!({"web_search_options": {}}), "request_not_priceable", "web_search_options"),
        (json!({"service_tier": "priority"}), "request_not_priceable", "service_tier"),
        (json!({"background": true}), "request_not_priceable", "background"),
        (json!({"max_tokens": 0}), "invalid_request", "max_tokens"),
        (json!({"max_tokens": "10"}), "invalid_request", "max_tokens"),
        (json!({"max_tokens": 1.5}), "invalid_request", "max_tokens"),
        (json!({"max_completion_tokens": 5}), "invalid_request", "max_tokens"),
        (json!({"n": 129}), "invalid_request", "n"),
        (json!({"stream": "yes"}), "invalid_request", "stream"),
        (json!({"stream_options": {"include_usage": true}}), "invalid_request", "stream_options"),
        (json!({"model": null}), "invalid_request", "model"),
        (json!({"model": ""}), "invalid_request", "model"),
        (json!({"messages": null}), "invalid_request", "messages"),
        (json!({"messages": []}), "invalid_request", "messages"),
        (json!({"messages": [{"content": "x"}]}), "invalid_request", "messages[0].role"),
    ];
    for (more, code, param) in cases {
        about(&key.chat(more).await, 400, code, param);
    }
    cost_nothing(&nemo, &[&key]).await;
}

#[tokio::test]
async fn a_field_that_the_operator_admits_passes() {
    let nemo = Setup::default().calls("inert_fields = [\"top_a\", \"messages[].images\"]").start().await;
    let key = nemo.rich_key().await;
    let more = json!({"top_a": 0.5, "messages": [{"role": "user", "content": "x", "images": []}]});
    key.chat(more).await.ok();
    let seen = nemo.provider().requests().remove(0).json();
    assert_eq!((&seen["top_a"], &seen["messages"][0]["images"]), (&json!(0.5), &json!([])));
    about(&key.chat(json!({"top_b": 1})).await, 400, "unknown_field", "top_b");
}

#[tokio::test]
async fn bodies_that_can_be_read_in_two_ways_are_refused() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let messages = r#""messages":[{"role":"user","content":"x"}]"#;
    for body in ["", "null", "[]", "\"x\"", "{", "{}x", "{'a':1}", "{\"model\":\"gpt-test\",}", "\u{feff}{}"]
    {
        told(&key.post(body).await, 400, "invalid_request");
    }
    let twice = [
        (format!(r#"{{"model":"gpt-test","max_tokens":1,"max_tokens":9,{messages}}}"#), "max_tokens"),
        (format!(r#"{{"model":"gpt-test","model":"gpt-think",{messages}}}"#), "model"),
        (format!(r#"{{"model":"gpt-test","\u006dodel":"gpt-think",{messages}}}"#), "model"),
    ];
    for (body, param) in twice {
        about(&key.post(body).await, 400, "invalid_request", param);
    }
    let deep = r#"{"model":"gpt-test","messages":[{"role":"user","content":"x","content":"y"}]}"#;
    let answer = key.post(deep).await;
    told(&answer, 400, "invalid_request");
    assert!(answer.text().contains("content"), "{}", answer.text());
    let nested = format!(r#"{{"model":"gpt-test","metadata":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    told(&key.post(nested).await, 400, "invalid_request");
    told(&key.post(vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).await, 400, "invalid_request");
    cost_nothing(&nemo, &[&key]).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let nemo = Setup::default().server("body_max_bytes = 2048").start().await;
    let key = nemo.rich_key().await;
    let large = json!({"messages": [{"role": "user", "content": "x".repeat(4000)}]});
    told(&key.chat(large.clone()).await, 413, "request_too_large");
    // Without a length in advance, too.
    let parts: Vec<Result<String, std::io::Error>> =
        vec![Ok("{\"a\":\"".to_owned()), Ok("x".repeat(4000)), Ok("\"}".to_owned())];
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    let request = nemo.http().post(nemo.url("/v1/chat/completions")).bearer_auth(key.secret());
    told(
        &send(request.header("content-type", "application/json").body(body)).await,
        413,
        "request_too_large",
    );
    let org = json!({"name": "x".repeat(70_000)});
    told(&nemo.manage(Method::POST, "/api/orgs", org).await, 413, "request_too_large");
    cost_nothing(&nemo, &[&key]).await;
    key.chat(json!({})).await.ok();
}

#[tokio::test]
async fn every_path_and_method_that_is_not_there_says_so_in_its_dialect() {
    let nemo = Nemo::start().await;
    let ask = |method: Method, path: &str| send(nemo.http().request(method, nemo.url(path)));
    for path in ["/v1/nothing", "/v1", "/v1/chat", "/v1/chat/completions/x", "/v1/files"] {
        let answer = ask(Method::GET, path).await;
        assert!(told(&answer, 404, "not_found")["error"].is_object(), "{path}");
    }
    for path in ["/nothing", "/api/nothing", "/api", "/api/keys/x/y/z", "/v2/models"] {
        let answer = ask(Method::GET, path).await;
        assert!(told(&answer, 404, "not_found")["detail"].is_string(), "{path}");
    }
    for (method, path) in
        [(Method::GET, "/v1/chat/completions"), (Method::POST, "/v1/models"), (Method::DELETE, "/v1/key")]
    {
        assert!(told(&ask(method, path).await, 405, "method_not_allowed")["error"].is_object(), "{path}");
    }
    for (method, path) in
        [(Method::PUT, "/api/orgs"), (Method::POST, "/healthz"), (Method::PATCH, "/api/keys/x")]
    {
        assert!(told(&ask(method, path).await, 405, "method_not_allowed")["detail"].is_string(), "{path}");
    }
    let anthropic = ask(Method::GET, "/v1/messages/nothing").await;
    let body = anthropic.refused(404, "not_found").json();
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("not_found_error")));
    assert_eq!(body["request_id"].as_str(), anthropic.header("x-request-id"));
}

#[tokio::test]
async fn with_a_listener_of_its_own_management_is_nowhere_else() {
    let nemo = Setup::default().server("management_listen = \"127.0.0.1:0\"").start().await;
    assert_ne!(nemo.address(), nemo.management_address());
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let ask = |address, path: &str, key: &str| {
        let address: std::net::SocketAddr = address;
        send(nemo.http().get(format!("http://{address}{path}")).bearer_auth(key))
    };
    for path in ["/api/orgs", "/api/keys", "/healthz", "/readyz"] {
        told(&ask(nemo.address(), path, nemo.master_key()).await, 404, "not_found");
        assert_eq!(ask(nemo.management_address(), path, nemo.master_key()).await.status, 200);
    }
    told(&ask(nemo.management_address(), "/v1/key", &key.secret()).await, 404, "not_found");
}

#[tokio::test]
async fn every_reply_has_an_id_of_its_own() {
    let nemo = Nemo::start().await;
    let mut ids = BTreeSet::new();
    for path in ["/healthz", "/readyz", "/nothing", "/v1/nothing", "/v1/key", "/api/orgs"] {
        for _ in 0..3 {
            let answer = send(nemo.http().get(nemo.url(path)).header("x-request-id", "mine")).await;
            assert!(ids.insert(answer.header("x-request-id").unwrap().to_owned()), "{path}");
        }
    }
    assert!(!ids.contains("mine"));
}

#[tokio::test]
async fn only_the_master_key_manages_and_never_from_a_browser() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let paths =
        ["/api/orgs", "/api/keys", "/api/ledger", &key.path(""), &key.path("/events"), &key.path("/calls")];
    for path in paths {
        let ask = || nemo.http().get(nemo.url(path));
        told(&send(ask()).await, 401, "missing_api_key");
        told(&send(ask().header("x-api-key", nemo.master_key())).await, 401, "missing_api_key");
        told(&send(ask().bearer_auth("rubbish")).await, 401, "invalid_api_key");
        told(&send(ask().bearer_auth(key.secret())).await, 403, "virtual_key_not_allowed");
        for (name, value) in [
            ("origin", "http://localhost"),
            ("cookie", "a=b"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-dest", "empty"),
        ] {
            told(
                &send(ask().bearer_auth(nemo.master_key()).header(name, value)).await,
                403,
                "browser_not_allowed",
            );
        }
        send(ask().bearer_auth(nemo.master_key()).header("sec-fetch-mode", "cors")).await.ok();
    }
    let other = Nemo::start().await;
    let request = nemo.http().get(nemo.url("/api/orgs")).bearer_auth(other.master_key());
    told(&send(request).await, 401, "invalid_api_key");
    let write = nemo.http().post(nemo.url(&key.path("/revoke"))).bearer_auth(key.secret());
    told(&send(write).await, 403, "virtual_key_not_allowed");
    key.get("/v1/key").await.ok();
}

#[tokio::test]
async fn managers_are_told_what_is_not_there_and_what_is_not_understood() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let (get, post) = (Method::GET, Method::POST);
    let nobody = "key_00000000000";
    for path in ["", "/events", "/calls"] {
        let answer = nemo.manage(get.clone(), &format!("/api/keys/{nobody}{path}"), Value::Null).await;
        told(&answer, 404, "key_not_found");
    }
    for id in ["key_short", "nonsense", "key_0000000000%2F"] {
        told(&nemo.manage(get.clone(), &format!("/api/keys/{id}"), Value::Null).await, 404, "key_not_found");
    }
    for what in ["block", "unblock", "revoke", "rotate"] {
        told(
            &nemo.manage(post.clone(), &format!("/api/keys/{nobody}/{what}"), json!({})).await,
            404,
            "key_not_found",
        );
    }
    let no_org = "00000000-0000-7000-8000-000000000000";
    told(&nemo.manage(get.clone(), &format!("/api/orgs/{no_org}"), Value::Null).await, 404, "org_not_found");
    let wish = json!({"org": no_org, "name": "x", "limits": {"unlimited": true}});
    told(&nemo.manage(post.clone(), "/api/keys", wish).await, 404, "org_not_found");
    told(
        &nemo.manage(post.clone(), &key.path("/retire-secret"), json!({"version": 7})).await,
        404,
        "secret_not_found",
    );

    let org = nemo.org().await.to_owned();
    let create = |limits: Value| {
        let wish = json!({"org": org, "name": "x", "limits": limits});
        nemo.manage(Method::POST, "/api/keys", wish)
    };
    told(&create(json!({})).await, 400, "invalid_request");
    told(
        &create(json!({"unlimited": true, "budgets": [{"window": "day", "limit": "1"}]})).await,
        400,
        "invalid_request",
    );
    told(&create(json!({"budgets": [{"window": "day", "limit": 1}]})).await, 400, "invalid_request");
    told(&create(json!({"budgets": [{"window": "year", "limit": "1"}]})).await, 400, "invalid_request");
    about(&create(json!({"budgetz": []})).await, 400, "invalid_request", "budgetz");
    about(
        &nemo.manage(post.clone(), "/api/orgs", json!({"nmae": "x"})).await,
        400,
        "invalid_request",
        "nmae",
    );
    let list = nemo.manage(get.clone(), "/api/keys?lmit=1", Value::Null).await;
    about(&list, 400, "invalid_request", "lmit");

    key.tell("revoke", json!({})).await;
    told(&nemo.manage(post.clone(), &key.path("/unblock"), json!({})).await, 409, "key_revoked");
    nemo.manage(Method::DELETE, &format!("/api/orgs/{org}"), Value::Null).await.ok();
    told(&create(json!({"unlimited": true})).await, 409, "org_archived");
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

/// Every file of Rust under a directory.
fn sources(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The literals in a source that stand where a code stands: behind a status, or named as one.
fn codes_in(source: &str) -> BTreeSet<String> {
    let behind_status = source.split("StatusCode::").skip(1).filter_map(|rest| Some(rest.split_once(',')?.1));
    let named = [" code: ", "try_again("].into_iter().flat_map(|mark| source.split(mark).skip(1));
    let literal = |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned());
    let is_code =
        |text: &String| text.contains('_') && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    behind_status.chain(named).filter_map(literal).filter(is_code).collect()
}

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut program = Vec::new();
    sources(&root.join("src"), &mut program);
    let refusals = std::fs::read_to_string(root.join("projections/src/refusal.rs")).unwrap();
    let named = refusals.split_once("pub const fn code").unwrap().1;
    let named = named.split("=> \"").skip(1).filter_map(|arm| Some(arm.split_once('"')?.0.to_owned()));
    let used: BTreeSet<String> = program.iter().flat_map(|source| codes_in(source)).chain(named).collect();
    assert!(used.len() > 40, "codes are found: {used:?}");
    let documented: BTreeSet<String> = DOCUMENTED.keys().cloned().collect();
    let (unwritten, unused) = (&used - &documented, &documented - &used);
    assert!(unwritten.is_empty(), "not in errors.md: {unwritten:?}");
    assert!(unused.is_empty(), "in errors.md and nowhere else: {unused:?}");
}
