//! Orgs and the overview as they are used from a keyboard.

use reqwest::Method;
use serde_json::json;

use super::Story;
use crate::fake_provider::Behaviour;
use crate::harness::{Nemo, until};

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

#[tokio::test(flavor = "multi_thread")]
async fn an_org_is_made_and_archived_by_keyboard_and_a_chart_is_read_with_it() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    nemo.manage(Method::PUT, &key.path("/labels"), json!({"name": "shop", "job": "chat"})).await.ok();
    key.chat(json!({"max_tokens": 50})).await.ok();
    key.books_balance().await;
    until("lists are current", || async {
        let status = nemo.ask("/api/ledger").await;
        (status["position"] == status["read_model"]["position"]).then_some(())
    })
    .await;
    let today = nemo.ask("/api/overview").await["days"][0]["day"].as_str().unwrap()[..10].to_owned();
    let plan = json!({"link": nemo.first_link().await, "hostile": HOSTILE, "today": today});
    let mut story = Story::start("orgs", &nemo, plan).await;
    story.until("still there").await;
    let of_story = || async {
        let orgs = nemo.ask("/api/orgs").await["orgs"].clone();
        orgs.as_array().unwrap().iter().find(|org| org["name"] == HOSTILE).cloned()
    };
    assert_eq!(of_story().await.unwrap()["status"], "active", "another name archives nothing");
    story.answer(json!({})).await;
    story.end().await;
    until("the org is archived", || async { of_story().await.filter(|org| org["status"] == "archived") })
        .await;
}
