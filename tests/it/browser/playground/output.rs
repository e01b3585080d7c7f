//! Answers of a hostile model: shown as text, whatever they are.

use serde_json::json;

use super::saying;
use crate::browser::Story;
use crate::harness::Nemo;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_model_says_runs_or_is_fetched() {
    let nemo = Nemo::start().await;
    let key = nemo.key(json!({"unlimited": true})).await;
    let mut story = Story::start("playground-output", &nemo, json!({"key": key.secret()})).await;
    let payloads = story.until("payloads").await;
    let payloads: Vec<&str> =
        payloads.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(payloads.len() >= 200, "{}", payloads.len());
    nemo.provider().script_next(payloads.iter().map(|text| saying(text)));
    story.answer(json!({})).await;
    story.end().await;
    assert_eq!(key.ended_calls().await.len(), payloads.len(), "each was an answer of its own");
}
