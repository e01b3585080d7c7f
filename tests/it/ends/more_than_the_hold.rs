//! A provider that reports more than the call could cost.

use nemo_test_stores::on_each_store;

use super::*;

fn greedy() -> Behaviour {
    Behaviour::success(9, 0).output_tokens_regardless(5_000)
}

async fn overcharged(nemo: &Nemo, key: &Key, more: Value) -> Call {
    nemo.provider().script_next([greedy()]);
    if more["stream"] == true {
        assert!(key.stream(json!({"max_tokens": 100})).await.rest().await.is_done());
    } else {
        assert_eq!(key.chat(json!({"max_tokens": 100})).await.cost(), 9 * INPUT + 5_000 * OUTPUT);
    }
    key.ended_calls().await.pop().unwrap()
}

#[on_each_store]
async fn the_true_cost_is_recorded_and_flagged() {
    let nemo = Nemo::start().await;
    for more in [json!({}), json!({"stream": true})] {
        let key = nemo.rich_key().await;
        let call = overcharged(&nemo, &key, more).await;
        settled(&call, "reported", "completed", 9 * INPUT + 5_000 * OUTPUT);
        assert!(call.is_over_hold() && call.charged() > call.hold());
        key.books_balance().await;
    }
}

#[on_each_store]
async fn the_model_is_refused_to_that_key_until_it_is_cleared() {
    let nemo = Nemo::start().await;
    let (key, other) = (nemo.rich_key().await, nemo.rich_key().await);
    overcharged(&nemo, &key, json!({})).await;
    let answer = key.chat(json!({})).await;
    final_error(&answer, 403, "model_flagged");
    // By every name that leads there, and no other model; and no other key.
    key.chat(json!({"model": "gpt-house"})).await.refused(403, "model_flagged");
    let listed = key.get("/v1/models").await.ok();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["gpt-think"], "neither name of it is listed");
    key.get("/v1/models/gpt-test").await.refused(404, "model_not_found");
    key.chat(json!({"model": "gpt-think"})).await.ok();
    other.chat(json!({})).await.ok();
    assert_eq!(
        key.shown().await["flagged_models"],
        json!([{"provider": "fake", "provider_model": "gpt-test"}])
    );

    nemo.kill9().await;
    nemo.restart().await;
    key.chat(json!({})).await.refused(403, "model_flagged");
    key.tell("clear-model", json!({"provider": "fake", "provider_model": "gpt-test"})).await;
    key.chat(json!({})).await.ok();
    assert_eq!(key.shown().await["flagged_models"], json!([]));
    key.books_balance().await;
}

#[on_each_store]
async fn the_budget_that_was_overrun_stops_the_key() {
    let nemo = Nemo::start().await;
    let key = nemo.key(json!({"budgets": [{"window": "total", "limit": "0.01"}]})).await;
    overcharged(&nemo, &key, json!({})).await;
    let answer = key.chat(json!({"model": "gpt-think", "max_tokens": 1})).await;
    final_error(&answer, 402, "budget_exceeded");
    let total = key.shown().await["budgets"][0].clone();
    assert_eq!((&total["settled"], &total["free"]), (&json!("0.0500225"), &json!("0")));
}

#[on_each_store]
async fn a_report_beyond_all_amounts_is_charged_the_hold() {
    let nemo = Nemo::start().await;
    let (answer, call) = whole(&nemo, plain().reports(Report::numbers("9007199254740992", "40"))).await;
    answer.ok();
    settled(&call, "estimated", "completed", call.hold());
}
