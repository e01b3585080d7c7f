//! `GET /api/overview` and `GET /api/prices/history` against what the ledger itself says.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Key, Nemo, nanos};

/// What the overview reflects once the whole ledger is in it.
async fn overview(nemo: &Nemo) -> Value {
    let head = nemo.ask("/api/ledger").await["position"].clone();
    nemo.ask(&format!("/api/overview?min_position={head}")).await
}

/// Every event of the ledger, by stream.
async fn events(nemo: &Nemo) -> Vec<Value> {
    let page = nemo.ask("/api/ledger/events?limit=200").await;
    assert_eq!(page["next_after"], Value::Null, "so few fit on one page");
    page["events"].as_array().unwrap().clone()
}

/// What events of calls come to, added up one after the other: charged, ended, voided.
fn naive(events: &[Value]) -> (i128, u64, u64) {
    let mut charged: BTreeMap<String, i128> = BTreeMap::new();
    let mut voided = 0;
    for event in events {
        let data = &event["data"];
        let call = data["call"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "CallSettled" => drop(charged.insert(call, nanos(&data["cost"]))),
            "CallForfeited" | "CallCorrected" => drop(charged.insert(call, nanos(&data["charged"]))),
            "CallVoided" => {
                voided += 1;
                charged.insert(call, 0);
            }
            _ => {}
        }
    }
    (charged.values().sum(), charged.len() as u64, voided)
}

async fn key_of_job(nemo: &Nemo, job: &str, limits: Value) -> Key {
    let key = nemo.key(limits).await;
    let labels = json!({"name": format!("{job} key"), "job": job});
    nemo.manage(Method::PUT, &key.path("/labels"), labels).await.ok();
    key
}

#[tokio::test]
async fn the_overview_is_what_the_events_come_to() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let limits = || json!({"budgets": [{"window": "month", "limit": "1"}]});
    let (chat, batch) =
        (key_of_job(&nemo, "chat", limits()).await, key_of_job(&nemo, "batch", limits()).await);
    for key in [&chat, &batch, &chat] {
        key.chat(json!({"max_tokens": 50})).await.ok();
        key.books_balance().await;
    }
    nemo.provider().script_next([Behaviour::error(400)]);
    assert_eq!(batch.chat(json!({"max_tokens": 50})).await.status, 400);
    batch.books_balance().await;

    let found = overview(&nemo).await;
    let (charged, ended, voided) = naive(&events(&nemo).await);
    let month = &found["month"];
    assert_eq!(nanos(&month["cost"]), charged);
    assert_eq!((month["calls"].as_u64(), month["voided"].as_u64()), (Some(ended), Some(voided)));
    assert_eq!((ended, voided), (4, 1));
    let days = found["days"].as_array().unwrap();
    let by_job =
        |job: &str| days.iter().filter(|day| day["job"] == job).map(|day| nanos(&day["cost"])).sum::<i128>();
    assert_eq!((by_job("chat"), by_job("batch")), (chat.charged().await, batch.charged().await));
    assert_eq!(by_job("chat") + by_job("batch"), charged);
    let closest: Vec<_> = found["closest"].as_array().unwrap().iter().map(|cap| cap["key"].clone()).collect();
    assert_eq!(closest, [json!(chat.id()), json!(batch.id())], "who spent more is closer");
    assert_eq!(nanos(&found["closest"][0]["spent"]), chat.charged().await);
    assert_eq!(found["keys"]["active"], 2);
    let kinds: Vec<_> = found["deeds"].as_array().unwrap().iter().map(|deed| deed["type"].clone()).collect();
    assert_eq!(kinds[..2], ["KeyRelabelled", "KeyCreated"], "the latest first, and nothing of calls");
    assert_eq!(found["deeds"][0]["actor"]["kind"], "master_key");
    assert_eq!(found["deeds"][0]["name"], "batch key");
}

#[tokio::test]
async fn a_cap_that_was_lowered_below_what_was_spent_is_told_with_its_cause() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.key(json!({"budgets": [{"window": "total", "limit": "1"}]})).await;
    key.chat(json!({"max_tokens": 50})).await.ok();
    key.books_balance().await;
    assert_eq!(overview(&nemo).await["caps"], json!({"over": 0, "used_up": 0, "near": 0, "over_caps": []}));
    key.set_limits(json!({"budgets": [{"window": "total", "limit": "0.000001"}]})).await;
    let caps = overview(&nemo).await["caps"].clone();
    assert_eq!((&caps["over"], &caps["over_caps"][0]["cause"]), (&json!(1), &json!("cap_lowered")), "{caps}");
    assert_eq!(caps["over_caps"][0]["key"], key.id());

    key.chat(json!({"max_tokens": 50})).await.refused(402, "budget_exceeded");
    key.tell("block", json!({})).await;
    let refused = overview(&nemo).await["refusals"].clone();
    assert_eq!(
        refused,
        json!([{"code": "budget_exceeded", "count": 1}]),
        "written with the key's next event"
    );
}

#[tokio::test]
async fn a_models_prices_are_told_with_the_cards_that_calls_cite() {
    let nemo = Nemo::start().await;
    let before = nemo.ask("/api/prices/history?model=gpt-test").await;
    assert_eq!((&before["published"], before["configured"].as_array().unwrap().len()), (&json!([]), 1));
    let card = before["configured"][0]["price_card"].clone();
    assert_eq!(before["configured"][0]["in_force"], true);
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    key.books_balance().await;
    let head = nemo.ask("/api/ledger").await["position"].clone();
    let after = nemo.ask(&format!("/api/prices/history?model=gpt-test&min_position={head}")).await;
    assert_eq!(after["published"][0]["price_card"], card, "{after}");
    let unknown = nemo.manage(Method::GET, "/api/prices/history?model=%3Cimg%3E", Value::Null).await;
    unknown.refused(404, "model_not_found");
    assert!(!unknown.text().contains("img"));
}
