//! `x-nemo-dry-run: true`: what would become of a call, without any of it.

use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Answer, Key, Nemo, nanos};

async fn dry(key: &Key, more: Value) -> Answer {
    let request = key.request(key.body(more).to_string().into());
    Answer::of(request.header("x-nemo-dry-run", "true")).await
}

#[tokio::test]
async fn a_call_that_would_be_made_is_told_with_what_it_would_hold_and_is_not_made() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.key(json!({"budgets": [{"window": "day", "limit": "1"}], "requests_per_minute": 2})).await;
    let before = key.events().await.len();
    for _ in 0..5 {
        let answer = dry(&key, json!({"max_tokens": 50})).await;
        assert_eq!(answer.header("content-type"), Some("application/vnd.nemo.dry-run+json"));
        let told = answer.ok();
        assert_eq!((&told["admitted"], &told["refusal"]), (&json!(true), &Value::Null));
    }
    assert_eq!(key.events().await.len(), before, "nothing is recorded, and no rate counts it");
    assert_eq!(nemo.provider().request_count(), 0);
    let told = dry(&key, json!({"max_tokens": 50})).await.ok();
    key.chat(json!({"max_tokens": 50})).await.ok();
    let call = key.only_call().await;
    let hold = &call.authorized["hold"];
    assert_eq!(nanos(&told["call"]["hold"]), call.hold());
    assert_eq!(told["call"]["input_tokens"], hold["input_tokens"]);
    assert_eq!((&told["call"]["input_basis"], &told["call"]["output_limit"]), (&hold["basis"], &json!(50)));
    assert_eq!(told["call"]["price_card"], call.authorized["price_card"]);
}

#[tokio::test]
async fn a_call_that_would_not_be_made_is_told_with_what_stands_in_its_way_and_what_it_would_hold() {
    let nemo = Nemo::start().await;
    let poor = nemo.key(json!({"budgets": [{"window": "day", "limit": "0.0001"}]})).await;
    let narrow = nemo.key(json!({"unlimited": true, "models": ["gpt-house"]})).await;
    for (key, wish, status, code, is_sized) in [
        (&poor, json!({"max_tokens": 5000}), 402, "budget_exceeded", true),
        (&narrow, json!({}), 403, "model_not_allowed", true),
        (
            &narrow,
            json!({"model": "gpt-house", "max_tokens": 1_000_000}),
            400,
            "output_limit_too_high",
            false,
        ),
        (&narrow, json!({"model": "gpt-unpriced"}), 403, "model_not_allowed", false),
    ] {
        let before = key.events().await.len();
        let told = dry(key, wish).await.ok();
        assert_eq!((&told["admitted"], told["call"].is_object()), (&json!(false), is_sized), "{told}");
        assert_eq!((&told["refusal"]["status"], &told["refusal"]["code"]), (&json!(status), &json!(code)));
        assert!(told["refusal"]["message"].as_str().is_some_and(|text| text.len() > 10), "{told}");
        assert_eq!(told["refusal"]["budget"].is_object(), code == "budget_exceeded", "{told}");
        assert_eq!(key.events().await.len(), before);
    }
    assert_eq!(nemo.provider().request_count(), 0);
}

#[tokio::test]
async fn a_budget_that_is_short_is_told_with_all_that_is_needed_to_make_the_call_fit() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo
        .key(json!({"budgets": [{"window": "day", "limit": "0.02"}, {"window": "total", "limit": "9"}]}))
        .await;
    key.chat(json!({})).await.ok();
    let wish = |limit: &Value| json!({"max_tokens": limit});
    let told = dry(&key, wish(&json!(5000))).await.ok();
    let (hold, budget) = (nanos(&told["call"]["hold"]), &told["refusal"]["budget"]);
    assert_eq!(
        (&budget["of"], &budget["window"], &budget["limit"]),
        (&json!("key"), &json!("day"), &json!("0.02"))
    );
    assert_eq!((&budget["spent"], &budget["held"]), (&json!("0.0000925"), &json!("0")));
    assert_eq!(nanos(&budget["short"]), hold - (20_000_000 - 92_500));
    assert!(budget["resets_at"].as_str().is_some_and(|at| at.contains("T00:00:00")), "{budget}");
    assert_eq!(told["further_refusals"], json!([]));
    // What is said to fit fits, to the token.
    let fits = &budget["output_limit_that_fits"];
    assert_eq!(dry(&key, wish(fits)).await.ok()["admitted"], true, "{budget}");
    assert_eq!(dry(&key, wish(&json!(fits.as_u64().unwrap() + 1))).await.ok()["admitted"], false, "{budget}");
    // And what is said to be held is held.
    key.set_limits(json!({"unlimited": true})).await;
    key.chat(wish(&json!(5000))).await.ok();
    assert_eq!(key.calls().await[1].hold(), hold);
}

#[tokio::test]
async fn everything_else_that_stands_in_the_way_is_told_in_the_order_in_which_it_would_be_met() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.key(json!({"unlimited": true, "requests_per_minute": 1})).await;
    key.chat(json!({})).await.ok();
    let limits = json!({
        "budgets": [{"window": "day", "limit": "0.001"}, {"window": "total", "limit": "0.002"}],
        "models": ["gpt-house"], "requests_per_minute": 1, "tokens_per_minute": 10, "max_call_cost": "0.001",
    });
    key.set_limits(limits).await;
    let told = dry(&key, json!({})).await.ok();
    let further = told["further_refusals"].as_array().unwrap();
    let codes: Vec<_> = further.iter().map(|refusal| refusal["code"].as_str().unwrap()).collect();
    assert_eq!(told["refusal"]["code"], "model_not_allowed");
    let rates = ["call_too_dear", "rate_limit_exceeded", "tokens_above_rate"];
    assert_eq!(codes, [&rates[..], &["budget_exceeded"; 2]].concat());
    let windows: Vec<_> = further.iter().map(|refusal| refusal["budget"]["window"].as_str()).collect();
    assert_eq!(windows, [None, None, None, Some("total"), Some("day")]);
    assert!(further[1]["retry_after_secs"].as_u64().is_some_and(|secs| secs <= 60), "{told}");
    assert!(nanos(&told["call"]["hold"]) > 1_000_000, "{told}");
    assert_eq!(key.calls().await.len(), 1);
}

#[tokio::test]
async fn a_request_that_is_wrong_or_not_let_in_is_refused_as_ever() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    dry(&key, json!({"no_such_field": 1})).await.refused(400, "unknown_field");
    let odd = key.request(key.body(json!({})).to_string().into()).header("x-nemo-dry-run", "yes");
    Answer::of(odd).await.refused(400, "invalid_request");
    key.tell("revoke", json!({})).await;
    dry(&key, json!({})).await.refused(401, "key_revoked");
    assert_eq!(nemo.provider().request_count(), 0);
}
