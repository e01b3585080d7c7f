//! The dashboard, from the first start to the first billed call, and how every page looks.

use nemo::dashboard::routes::{Who, all};
use nemo::openapi::Method as Taken;
use reqwest::Method;
use serde_json::{Value, json};

use super::Story;
use crate::fake_provider::Behaviour;
use crate::harness::Nemo;

/// Pages to look at.
fn pages() -> Vec<Value> {
    let shown = all().into_iter().filter(|route| route.method == Taken::Get && route.is_page);
    shown.map(|route| json!({"path": route.path, "anybody": route.who == Who::Anybody})).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_is_billed_by_keyboard_alone_and_the_secret_is_seen_once() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7).chunks(7));
    let link = nemo.first_link().await;
    let mut story = Story::start("dashboard", &nemo, json!({"link": link, "model": "gpt-test"})).await;

    let secret = story.until("first call").await["secret"].as_str().unwrap().to_owned();
    let key = nemo.ask("/api/keys").await["keys"][0]["id"].as_str().unwrap().to_owned();
    let events = nemo.ask(&format!("/api/keys/{key}/events")).await;
    let kinds = events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["KeyCreated", "CallAuthorized", "CallSettled"]);
    story.answer(json!({})).await;

    story.until("another key").await;
    let org = nemo.ask("/api/orgs").await["orgs"][0]["id"].as_str().unwrap().to_owned();
    let limits = json!({"budgets": [{"window": "day", "limit": "1"}]});
    nemo.tell("/api/keys", json!({"org": org, "name": "made elsewhere", "limits": limits})).await;
    story.answer(json!({})).await;

    story.end().await;

    let events = nemo.ask("/api/ledger/events?limit=1000").await.to_string();
    let logged = nemo.stderr().text() + &nemo.stdout().text();
    assert!(!events.contains(&secret) && !logged.contains(&secret), "the secret is in no event and no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_clean_in_both_themes_and_at_both_widths() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let (link, key) = (nemo.first_link().await, nemo.rich_key().await);
    key.chat(json!({"max_tokens": 50})).await.ok();
    key.books_balance().await;
    let mut story = Story::start("every-page", &nemo, json!({"link": link, "pages": pages()})).await;
    story.until("ids").await;
    let (org, person) = (nemo.org().await, nemo.operator_id("Ada").await);
    // Its key is wider than these.
    let bounds = json!({"key_bounds": {"budgets": [{"window": "day", "limit": "1"}], "models": ["gpt-*"]}});
    nemo.manage(Method::PUT, &format!("/api/orgs/{org}/limits"), bounds).await.ok();
    let budgets =
        json!({"budgets": [{"window": "month", "limit": "1"}, {"window": "day", "limit": "0.0001"}]});
    nemo.manage(Method::PUT, &format!("/api/orgs/{org}/budgets"), budgets).await.ok();
    story.answer(json!({"key": key.id(), "org": org, "person": person})).await;
    for page in pages() {
        assert_eq!(story.until("looked").await, page["path"]);
        story.answer(json!({})).await;
    }
    story.end().await;
}
