//! What a call may cost at most: its hold, and the output limit that it is given where it brings none.

use nemo_test_stores::on_each_store;
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, UsdPerMillion};
use crate::harness::{Call, INPUT, Nemo, OUTPUT, Setup};

fn budget(dollars: &str) -> Value {
    json!({"budgets": [{"window": "total", "limit": dollars}]})
}

/// A hold is its bounds at the card's prices, and its input bound is no less than a token for each four bytes.
pub(crate) fn hold_adds_up(call: &Call) {
    let hold = &call.authorized["hold"];
    let (input, output) = (hold["input_tokens"].as_i64().unwrap(), hold["output_tokens"].as_i64().unwrap());
    assert!(input >= 10, "{hold}");
    assert_eq!(call.input_hold(), i128::from(input) * INPUT);
    assert_eq!(call.hold(), i128::from(input) * INPUT + i128::from(output) * OUTPUT);
}

#[on_each_store]
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

#[on_each_store]
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

#[on_each_store]
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

#[on_each_store]
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

#[on_each_store]
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

#[on_each_store]
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

#[on_each_store]
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

#[on_each_store]
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
