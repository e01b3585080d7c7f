//! A chat completion that goes well: what it costs to the nano-dollar, what the provider gets to see, what the
//! caller is told, and what the ledger says about it afterwards.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, UsdPerMillion};
use crate::harness::{CACHED, Call, INPUT, Key, Nemo, OUTPUT, Setup, nanos};

fn budget(dollars: &str) -> Value {
    json!({"budgets": [{"window": "total", "limit": dollars}]})
}

#[tokio::test]
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

#[tokio::test]
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
    hold_adds_up(&call);
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

/// A hold is its bounds at the card's prices, and its input bound is no less than a token for each four bytes.
fn hold_adds_up(call: &Call) {
    let hold = &call.authorized["hold"];
    let (input, output) = (hold["input_tokens"].as_i64().unwrap(), hold["output_tokens"].as_i64().unwrap());
    assert!(input >= 10, "{hold}");
    assert_eq!(call.input_hold(), i128::from(input) * INPUT);
    assert_eq!(call.hold(), i128::from(input) * INPUT + i128::from(output) * OUTPUT);
}

#[tokio::test]
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

#[tokio::test]
async fn several_choices_are_held_and_billed_together() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    let answer = key.chat(json!({"n": 3, "max_tokens": 100})).await;
    assert_eq!(answer.cost(), 9 * INPUT + 3 * 7 * OUTPUT);
    let call = key.only_call().await;
    assert_eq!(
        (&call.authorized["output_limit"], &call.authorized["hold"]["output_tokens"]),
        (&json!(100), &json!(300))
    );
    hold_adds_up(&call);
}

#[tokio::test]
async fn a_call_that_uses_all_that_it_may_still_fits_its_hold() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let bound = key.only_call().await.authorized["hold"]["input_tokens"].as_u64().unwrap();
    nemo.provider().script(Behaviour::full_hold(bound));
    let answer = key.chat(json!({})).await;
    let calls = key.books_balance().await;
    assert_eq!(answer.cost(), calls[1].hold());
    assert!(!calls[1].is_over_hold());
}

#[tokio::test]
async fn a_request_without_an_output_limit_gets_one_that_its_headers_name() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let modest = nemo.key(json!({"unlimited": true, "default_output_tokens": 50})).await;
    let cases = [(&key, "gpt-test", 4_096), (&key, "gpt-think", 16_384), (&modest, "gpt-test", 50)];
    for (index, (key, model, limit)) in cases.into_iter().enumerate() {
        let answer = key.chat(json!({"max_tokens": null, "model": model})).await;
        answer.ok();
        assert_eq!(answer.header("x-nemo-output-limit"), Some(limit.to_string().as_str()), "{model}");
        assert_eq!(nemo.provider().requests()[index].json()["max_completion_tokens"], limit, "{model}");
        let call = key.ended_calls().await.pop().unwrap();
        assert_eq!(
            (&call.authorized["output_limit"], &call.authorized["output_limit_set"]),
            (&json!(limit), &json!(true))
        );
    }
}

#[tokio::test]
async fn a_given_output_limit_is_at_most_what_a_quarter_of_the_rest_pays_for() {
    let nemo = Nemo::start().await;
    // A quarter of 0.12 dollars pays for 3,000 tokens.
    let answer = nemo.key(budget("0.12")).await.chat(json!({"max_tokens": null})).await;
    assert_eq!(answer.header("x-nemo-output-limit"), Some("3000"));
    // A quarter of 0.03 dollars pays for 750, which is too few to be of use.
    let poor = nemo.key(budget("0.03")).await;
    let refused = poor.chat(json!({"max_tokens": null})).await;
    let message =
        refused.refused(402, "budget_exceeded").json()["error"]["message"].as_str().unwrap().to_owned();
    let fits = message.split_once("An output limit of ").unwrap().1.split_once(' ').unwrap().0.to_owned();
    let fits: u64 = fits.parse().unwrap();
    poor.chat(json!({"max_tokens": fits})).await.ok();
    nemo.key(budget("0.03"))
        .await
        .chat(json!({"max_tokens": fits + 1}))
        .await
        .refused(402, "budget_exceeded");
}

#[tokio::test]
async fn an_output_limit_goes_on_under_the_name_that_the_caller_gave_it() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    for (index, name) in ["max_tokens", "max_completion_tokens"].into_iter().enumerate() {
        let body = key.body(json!({"max_tokens": null, name: 77, "service_tier": "default"})).to_string();
        let answer = key.post(body.clone()).await;
        answer.ok();
        assert_eq!(answer.header("x-nemo-output-limit"), None);
        assert_eq!(nemo.provider().requests()[index].body, body, "not a byte is changed");
    }
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
async fn the_tokenizer_is_asked_where_only_the_bound_by_bytes_stands_in_the_way() {
    let nemo = Setup::default().provider("catalogue = \"openai\"").start().await;
    let price = UsdPerMillion { input: "2.50", cached: "1.25", output: "10" };
    nemo.provider().set_price("gpt-4o", price);
    // 12,000 bytes would hold 0.03 dollars; as some 2,000 tokens they hold a fifth of that.
    let text = json!([{"role": "user", "content": "hello ".repeat(2000)}]);
    let ask = json!({"model": "gpt-4o", "messages": text, "max_tokens": 10});
    let rich = nemo.rich_key().await;
    rich.chat(ask.clone()).await.ok();
    let by_bytes = rich.only_call().await;
    let key = nemo.key(budget("0.02")).await;
    key.chat(ask).await.ok();
    let by_tokens = key.only_call().await;
    assert_eq!(by_bytes.authorized["hold"]["basis"], "bytes");
    assert_eq!(by_tokens.authorized["hold"]["basis"], "tokenizer");
    assert!(by_bytes.hold() > 30_000_000 && by_tokens.hold() < 7_000_000, "{by_tokens:?}");
}

#[tokio::test]
async fn input_is_never_held_above_the_context_window() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    // As many tokens as there are bytes would be a million; the model takes 128,000 at most.
    let long = json!([{"role": "user", "content": "x".repeat(1_000_000)}]);
    assert_eq!(key.chat(json!({"messages": long})).await.cost(), 92_500);
    // What an image is in tokens does not follow from its bytes.
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]}]);
    assert_eq!(key.chat(json!({"messages": image})).await.cost(), 92_500);
    let calls = key.books_balance().await;
    for (call, basis) in calls.iter().zip(["bytes", "context_window"]) {
        let hold = &call.authorized["hold"];
        assert_eq!((&hold["input_tokens"], &hold["basis"]), (&json!(128_000), &json!(basis)));
        hold_adds_up(call);
    }
}

#[tokio::test]
async fn a_key_that_clamps_gets_the_output_limit_that_its_budget_pays_for() {
    let nemo = Nemo::start().await;
    let key =
        nemo.key(json!({"budgets": [{"window": "total", "limit": "0.005"}], "when_short": "clamp"})).await;
    let answer = key.chat(json!({})).await;
    answer.ok();
    let call = key.only_call().await;
    let limit = call.authorized["output_limit"].as_i64().unwrap();
    assert_eq!(answer.header("x-nemo-output-limit"), Some(limit.to_string().as_str()));
    assert_eq!(nemo.provider().requests()[0].json()["max_tokens"], limit, "under the caller's name");
    assert_eq!(call.authorized["output_limit_set"], true);
    // One token more would not have fitted.
    assert!(call.hold() <= 5_000_000 && call.hold() + OUTPUT > 5_000_000, "{call:?}");
    hold_adds_up(&call);
}

#[tokio::test]
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
    assert_eq!(nemo.provider().request_count(), 0, "nobody else was asked");
}

#[tokio::test]
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

#[tokio::test]
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

#[tokio::test]
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
