//! The playground: conversations, where the key is, what a hostile answer can do, and every refusal.

mod key;
mod output;
mod refusals;

use std::process::Command;

use serde_json::{Value, json};

use super::{Story, tell};
use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Call, INPUT, Nemo, OUTPUT, nanos};

/// A streamed answer that says exactly this, and its usage.
fn saying(text: &str) -> Behaviour {
    let chunk = |choices: Value| json!({"id": "chatcmpl-fake", "object": "chat.completion.chunk", "choices": choices});
    let said = chunk(json!([{"index": 0, "delta": {"role": "assistant", "content": text}}]));
    let end = chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]));
    let mut usage = chunk(json!([]));
    usage["usage"] = json!({"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16});
    let body = format!("data: {said}\n\ndata: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
    Behaviour::raw(200, "text/event-stream", body)
}

/// What the page shows of a call, against what the ledger has of it.
fn shows(shown: &Value, call: &Call, tokens: &str) {
    let cost = &shown["cost"].as_str().unwrap();
    assert_eq!(nanos(&json!(cost.trim_start_matches('$').trim_end_matches('0'))), call.charged(), "{shown}");
    assert_eq!(shown["tokens"], tokens, "{shown}");
    assert!(shown["whole"].as_str().unwrap().contains(&call.id), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_costs_what_the_page_says_and_is_in_the_ledger() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7).chunks(7));
    let key = nemo.rich_key().await;
    let plan = json!({"key": key.secret(), "models": ["gpt-house", "gpt-test", "gpt-think"]});
    let mut story = Story::start("playground", &nemo, plan).await;

    let shown = story.until("answered").await;
    let calls = key.ended_calls().await;
    shows(&shown, &calls[0], "9 in, 7 out");
    assert_eq!(calls[0].charged(), 9 * INPUT + 7 * OUTPUT);
    assert_eq!(shown["event"], format!("@{}", key.events().await.len() - 1));
    assert_eq!(calls[0].authorized["tags"], json!(["playground"]));
    assert_eq!(shown["left"], "$9.99", "never more than there is: {shown}");
    let sent = nemo.provider().requests()[0].json();
    assert_eq!((&sent["temperature"], &sent["max_completion_tokens"]), (&json!(0.5), &json!(300)));
    let system = json!({"role": "system", "content": "Be brief."});
    assert_eq!(sent["messages"], json!([system, {"role": "user", "content": "First question"}]));
    story.answer(json!({})).await;

    let shown = story.until("answered again").await;
    shows(&shown, &key.ended_calls().await[1], "9 in, 7 out");
    let sent = nemo.provider().requests()[1].json();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 4, "the whole conversation: {sent}");
    assert_eq!(sent["messages"][2]["role"], "assistant");
    assert_eq!(sent["stream"], Value::Null);
    story.answer(json!({})).await;

    let curl = story.until("curl").await.as_str().unwrap().to_owned();
    let mut shell = Command::new("bash");
    shell.args(["-c", &curl]).env("NEMO_API_KEY", key.secret());
    let ran = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    assert!(ran.status.success(), "{curl}");
    let sent = nemo.provider().requests()[2].json();
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!(messages.last().unwrap()["content"], "It's \"quoted\" $HOME `id`");
    story.answer(json!({})).await;

    story.until("talk in code").await;
    nemo.provider().script(saying(ABOUT_KEYS));
    story.answer(json!({})).await;
    story.until("refuse").await;
    nemo.provider().script(Behaviour::rate_limited(30));
    story.answer(json!({})).await;
    story.end().await;
}

const ABOUT_KEYS: &str = "A leaked key is a contained incident when every key carries its own cap: revoke the one \
    key, and everything else keeps working. The ledger already knows each call it made.\n\nTo make one:\n\n\
    ```sh\nnemo keys create --org acme --name nightly-report --budget day=2.50\n```\n\nIt is shown once.";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_an_answer_sees_its_bill_and_a_revoke_elsewhere_cuts_it() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 40));
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    let plan = json!({"key": key.secret(), "id": key.id(), "name": "test", "link": nemo.first_link().await});
    let mut story = Story::start("playground-cut", &nemo, plan).await;

    let shown = story.until("stopped").await;
    let call = key.only_call().await;
    assert_eq!(call.charged(), call.estimate(40), "ten tokens were received");
    shows(&shown, &call, "–");
    assert!(shown["said"].as_str().unwrap().starts_with("one two"), "{shown}");
    story.answer(json!({})).await;

    let end = story.end().await;
    println!("a running answer was cut {} ms after the revoke was acknowledged", end["cutAfterMs"]);
    let calls = key.ended_calls().await;
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].charged(), calls[1].estimate(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_money_and_text_are_read_as_they_are_meant() {
    tell("playground-modules", &Nemo::start().await, json!({})).await;
}
