//! A chat completion that goes well: what it costs to the nano-dollar, what the provider gets to see, what the
//! caller is told, and what the ledger says about it afterwards.

use std::collections::BTreeSet;

use nemo_test_stores::on_each_store;
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{CACHED, INPUT, Key, Nemo, OUTPUT, nanos};

#[on_each_store]
async fn a_call_is_billed_for_exactly_what_its_provider_reports() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({})).await;
    assert_eq!(answer.ok()["choices"][0]["message"]["content"], "one two six ten all one two ");
    assert_eq!(answer.cost(), 9 * INPUT + 7 * OUTPUT);
    assert_eq!(answer.header("x-nemo-cost"), Some("0.0000925"));
    assert_eq!(answer.header("x-nemo-budget-remaining"), Some("9.9999075"));
    let call = key.only_call().await;
    assert_eq!(answer.header("x-nemo-call-id"), Some(call.id.as_str()));
    assert_eq!(answer.header("x-request-id"), call.authorized["request"].as_str());
    assert_eq!((call.charged(), key.provider_bill()), (92_500, 92_500));
    key.books_balance().await;
}

#[on_each_store]
async fn the_key_s_stream_tells_the_whole_call() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    let request = key.request(key.body(json!({})).to_string().into()).header("user-agent", "story/1");
    crate::harness::Answer::of(request).await.ok();
    assert_eq!(key.history().await, ["KeyCreated", "CallAuthorized", "CallSettled"]);
    let call = key.only_call().await;
    let said = &call.authorized;
    assert_eq!((said["attempt"].as_u64(), said["secret_version"].as_u64()), (Some(1), Some(1)));
    assert_eq!((&said["endpoint"], &said["provider"]), (&json!("chat_completions"), &json!("fake")));
    assert_eq!((&said["model"], &said["provider_model"]), (&json!("gpt-test"), &json!("gpt-test")));
    assert_eq!((&said["output_limit"], &said["hold"]["output_tokens"]), (&json!(1000), &json!(1000)));
    assert_eq!(said["client"], json!({"address": "127.0.0.1", "user_agent": "story/1"}));
    assert!(said.get("streams").is_none() && said.get("output_limit_set").is_none(), "{said}");
    crate::holds::hold_adds_up(&call);
    let ended = &call.ended;
    assert_eq!(ended["usage"], json!({"input": 9, "output": 7}));
    assert_eq!((&ended["cost"], &ended["evidence"]), (&json!("0.0000925"), &json!("reported")));
    assert_eq!((&ended["ending"], &ended["status"]), (&json!("completed"), &json!(200)));
    assert_eq!(ended["provider_request"], "req_fake_0");
    assert!(ended["duration_ms"].is_u64() && ended["first_byte_ms"].is_u64(), "{ended}");
    for event in &key.events().await[1..] {
        assert_eq!(event.metadata()["actor"], json!({"kind": "virtual_key", "id": key.id()}));
        assert_eq!(event.metadata()["call"].as_str(), Some(call.id.as_str()));
        assert_eq!(event.metadata()["request"], said["request"]);
    }
}

#[on_each_store]
async fn cached_tokens_cost_less_and_reasoning_is_output() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(100, 50).cached_tokens(40).reasoning_tokens(20));
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({"model": "gpt-think"})).await;
    assert_eq!(answer.cost(), 60 * INPUT + 40 * CACHED + 50 * OUTPUT);
    let call = key.only_call().await;
    assert_eq!(call.ended["usage"], json!({"input": 60, "cache_read": 40, "output": 50, "reasoning": 20}));
    assert_eq!(call.authorized["hidden_output"], true, "a reasoning model's output may be hidden");
    assert_eq!(key.books_balance().await.len(), 1);
    assert_eq!(key.provider_bill(), answer.cost());
}

#[on_each_store]
async fn bytes_that_need_no_change_reach_the_provider_as_they_were_sent() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let body = |model: &str, tier: &str| {
        format!(
            "{{ \"model\" :\t\"{model}\",\r\n \"messages\":[{{\"role\":\"user\",\"content\":\"h\\u00e9\\/🦀 \\n\"}}] ,\
             \"temperature\":1.0e0,\"max_tokens\": 10,\"stop\":[],\"user\":\"{}\"{tier} }}",
            key.id()
        )
    };
    key.post(body("gpt-house", "")).await.ok();
    let seen = nemo.provider().requests().remove(0);
    // What was asked for as gpt-house is gpt-test there, and the tier that was priced is said.
    let sent = String::from_utf8(seen.body.to_vec()).unwrap();
    let (tier, spaced) = (",\"service_tier\":\"default\"", body("gpt-test", ""));
    assert_eq!(sent.replace(tier, ""), spaced);
    assert!(sent.contains(tier), "{sent}");
    let call = key.only_call().await;
    assert_eq!(
        (&call.authorized["model"], &call.authorized["provider_model"]),
        (&json!("gpt-house"), &json!("gpt-test"))
    );
    assert_eq!(call.charged(), key.provider_bill());
}

#[on_each_store]
async fn the_provider_sees_its_own_key_and_no_header_of_the_caller() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let request = key.request(key.body(json!({})).to_string().into());
    let theirs = [
        ("cookie", "session=canary"),
        ("x-api-key", &key.secret()),
        ("openai-organization", "canary"),
        ("openai-project", "canary"),
        ("x-forwarded-for", "203.0.113.9"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("idempotency-key", "canary"),
        ("x-nemo-tags", "canary"),
        ("x-litellm-tags", "canary"),
        ("x-portkey-metadata", r#"{"a":"canary"}"#),
        ("helicone-property-a", "canary"),
        ("accept-encoding", "gzip, br"),
        ("accept-language", "canary"),
        ("user-agent", "canary/1"),
        ("x-stainless-lang", "canary"),
    ];
    let request = theirs.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    crate::harness::Answer::of(request).await.ok();
    let seen = nemo.provider().requests().remove(0);
    let names: BTreeSet<String> = seen.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let allowed = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ];
    assert_eq!(names, allowed.map(str::to_owned).into());
    assert_eq!(names.len(), seen.headers.len(), "each once: {:?}", seen.headers);
    assert_eq!(seen.bearer(), Some(nemo.provider().key().as_str()));
    assert_eq!(
        (seen.header("accept-encoding"), seen.header("content-type")),
        (Some("identity"), Some("application/json"))
    );
    assert!(seen.header("user-agent").unwrap().starts_with("nemo/"));
    assert!(!seen.mentions(&key.secret()) && !seen.mentions("canary"), "{:?}", seen.headers);
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/chat/completions"));
}

#[tokio::test]
async fn what_the_caller_says_the_call_is_for_is_recorded_and_the_body_is_sent_as_it_was() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let metadata = json!({"job": "nightly", "tags": ["batch"]});
    let body = key.body(json!({"metadata": metadata})).to_string();
    let request =
        key.request(body.into()).header("x-nemo-tags", "eval, team-b").header("helicone-property-step", "2");
    crate::harness::Answer::of(request).await.ok();
    let call = key.only_call().await;
    let user = format!("user={}", key.id());
    assert_eq!(call.authorized["tags"], json!(["eval", "team-b", "step=2", "job=nightly", "batch", user]));
    assert_eq!(nemo.provider().requests().remove(0).json()["metadata"], metadata);
    let head = nemo.ask("/api/ledger").await["position"].clone();
    let listed = nemo.ask(&key.path(&format!("/calls?min_position={head}"))).await;
    assert_eq!(listed["calls"][0]["tags"], call.authorized["tags"], "{listed}");
}

#[on_each_store]
async fn the_caller_sees_no_header_of_the_provider() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({})).await;
    let names: BTreeSet<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
    let allowed = [
        "content-length",
        "content-type",
        "date",
        "x-nemo-budget-remaining",
        "x-nemo-call-id",
        "x-nemo-cost",
        "x-request-id",
    ];
    assert_eq!(names, allowed.into());
    assert_ne!(answer.header("x-request-id"), Some("req_fake_0"));
}

#[on_each_store]
async fn a_body_that_came_in_pieces_is_the_same_body() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    for behaviour in
        [Behaviour::success(9, 7).body_chunked(), Behaviour::success(9, 7).body_chunked().split_every(3)]
    {
        nemo.provider().script(behaviour.multibyte());
        let answer = key.chat(json!({})).await;
        assert_eq!(answer.ok()["usage"]["completion_tokens"], 7);
        assert_eq!(answer.cost(), 92_500);
    }
}

#[on_each_store]
async fn a_model_can_be_asked_for_at_its_provider() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({"model": "fake/gpt-test"})).await.ok();
    assert_eq!(nemo.provider().requests()[0].json()["model"], "gpt-test");
    let call = key.only_call().await;
    assert_eq!(
        (&call.authorized["model"], &call.authorized["provider_model"]),
        (&json!("fake/gpt-test"), &json!("gpt-test"))
    );
}

#[on_each_store]
async fn what_is_left_of_the_rates_is_told_with_every_answer() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(100, 100));
    let limits = json!({"unlimited": true, "requests_per_minute": 2, "tokens_per_minute": 5000});
    let key = nemo.key(limits).await;
    let answer = key.chat(json!({})).await;
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("5000"));
    // The bound gave way to the use; 5,000 a minute are 83 more each second.
    let left: u64 = answer.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
    assert!((4_800..5_000).contains(&left), "{left}");
    assert_eq!(answer.header("x-nemo-budget-remaining"), None);
}

#[on_each_store]
async fn the_models_that_a_key_may_call_are_listed() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let ids = |list: &Value| -> Vec<String> {
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = key.get("/v1/models").await.ok();
    assert_eq!(
        (&list["object"], ids(&list)),
        (&json!("list"), vec!["gpt-house".into(), "gpt-test".into(), "gpt-think".into()])
    );
    let model = key.get("/v1/models/gpt-test").await.ok();
    assert_eq!(
        (&model["id"], &model["object"], &model["owned_by"]),
        (&json!("gpt-test"), &json!("model"), &json!("fake"))
    );
    key.get("/v1/models/gpt-unheard-of").await.refused(404, "model_not_found");

    let narrow = nemo.key(json!({"unlimited": true, "models": ["*-think"]})).await;
    assert_eq!(ids(&narrow.get("/v1/models").await.ok()), ["gpt-think"]);
    narrow.get("/v1/models/gpt-test").await.refused(404, "model_not_found");
    let embedder = nemo.key(json!({"unlimited": true, "endpoints": ["embeddings"]})).await;
    assert_eq!(ids(&embedder.get("/v1/models").await.ok()), Vec::<String>::new(), "no call of it gets there");
    embedder.get("/v1/models/gpt-test").await.refused(404, "model_not_found");
    assert_eq!(nemo.provider().request_count(), 0, "nobody else was asked");
}

#[on_each_store]
async fn a_key_s_holder_sees_its_limits_and_what_is_left_of_them() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let limits = json!({"budgets": [{"window": "month", "limit": "5"}], "requests_per_minute": 10, "concurrent_calls": 3});
    let key = nemo.key(limits).await;
    key.chat(json!({})).await.ok();
    let told = key.get("/v1/key").await.ok();
    assert_eq!((told["id"].as_str(), &told["name"]), (Some(key.id()), &json!("test")));
    let month = &told["budgets"][0];
    assert_eq!((&month["window"], &month["limit"]), (&json!("month"), &json!("5")));
    assert_eq!(
        (&month["spent"], &month["held"], &month["free"]),
        (&json!("0.0000925"), &json!("0"), &json!("4.9999075"))
    );
    assert_eq!(told["requests_per_minute"]["limit"], 10);
    assert_eq!((&told["concurrent_calls"], &told["open_calls"]), (&json!(3), &json!(0)));
    assert_eq!(told["unlimited"], false);
    assert!(!told.to_string().contains("sk-nemo-"), "{told}");
}

#[on_each_store]
async fn a_key_works_in_either_header_and_nowhere_else() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let ask = |nemo: &Nemo| nemo.http().get(nemo.url("/v1/key"));
    crate::harness::Answer::of(ask(&nemo).header("x-api-key", key.secret())).await.ok();
    let in_cookie = ask(&nemo).header("cookie", format!("key={}", key.secret()));
    crate::harness::Answer::of(in_cookie).await.refused(401, "missing_api_key");
    let in_url = nemo.http().get(nemo.url(&format!("/v1/key?api_key={}", key.secret())));
    crate::harness::Answer::of(in_url).await.refused(401, "missing_api_key");
}

#[on_each_store]
async fn calls_at_the_same_time_are_each_billed_once() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let keys = [nemo.rich_key().await, nemo.rich_key().await];
    let one = |key: Key| tokio::spawn(async move { key.chat(json!({})).await.cost() });
    let calls: Vec<_> = (0..40).map(|n| one(keys[n % 2].clone())).collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 92_500);
    }
    for key in &keys {
        assert_eq!(key.books_balance().await.len(), 20);
        assert_eq!(key.charged().await, 20 * 92_500);
        assert_eq!(nanos(&key.get("/v1/key").await.ok()["spent_total"]), 20 * 92_500);
    }
}
