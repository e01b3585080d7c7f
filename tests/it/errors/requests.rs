//! Requests that are not understood, and paths that are not there.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::{about, cost_nothing, send, told};
use crate::harness::{Nemo, Setup};

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
