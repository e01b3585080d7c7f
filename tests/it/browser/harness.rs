//! The harness finds what is wrong where something is.

use serde_json::json;

use super::Story;
use crate::harness::Nemo;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_may_not_do_is_found_where_it_does_it() {
    let nemo = Nemo::start().await;
    let elsewhere = format!("http://{}/", nemo.provider().address());
    let mut story = Story::start("harness", &nemo, json!({ "elsewhere": elsewhere })).await;
    let asked = story.until("ping").await;
    story.answer(json!({ "pong": asked })).await;
    assert_eq!(story.end().await, "told");
}
