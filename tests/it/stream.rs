//! A streamed answer that goes well: the bytes that arrive, when they arrive, and that the last of them wait for
//! the bill.

use nemo_test_stores::on_each_store;
use serde_json::{Value, json};

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{INPUT, Key, Nemo, OUTPUT, sse_data};

/// A stream's event with the usage, as it stands in the stream, blank line included.
fn usage_event(stream: &str) -> String {
    let start = stream.find("\"choices\":[],\"usage\"").expect("a usage chunk");
    let start = stream[..start].rfind("data: ").unwrap();
    let line = stream[start..].find('\n').unwrap();
    let blank = if stream[start..start + line].ends_with('\r') { 2 } else { 1 };
    stream[start..start + line + 1 + blank].to_owned()
}

fn asking_for_usage() -> Value {
    json!({"stream_options": {"include_usage": true}})
}

async fn bytes_pass_unchanged(behaviour: Behaviour) {
    let nemo = Nemo::start().await;
    nemo.provider().script(behaviour.clone());
    let key = nemo.rich_key().await;
    let tail = key.stream(json!({})).await.rest().await;
    assert!(tail.is_done(), "{}", tail.text());
    let theirs = nemo.twin_of_provider(behaviour).await;
    assert_eq!(tail.text(), theirs.replace(&usage_event(&theirs), ""));
    let call = key.books_balance().await.remove(0);
    assert_eq!((call.ended["evidence"].as_str(), call.charged()), (Some("reported"), key.provider_bill()));
}

#[on_each_store]
async fn a_stream_passes_byte_for_byte_without_the_usage_that_nobody_asked_for() {
    bytes_pass_unchanged(Behaviour::success(9, 40)).await;
}

#[on_each_store]
async fn many_small_events_pass_byte_for_byte() {
    bytes_pass_unchanged(Behaviour::success(9, 400).chunks(400)).await;
}

#[on_each_store]
async fn crlf_line_ends_pass_byte_for_byte() {
    bytes_pass_unchanged(Behaviour::success(9, 40).crlf()).await;
}

#[on_each_store]
async fn comments_between_events_pass_byte_for_byte() {
    bytes_pass_unchanged(Behaviour::success(9, 40).comments()).await;
    bytes_pass_unchanged(Behaviour::success(9, 40).comments().crlf().split_every(5)).await;
}

#[on_each_store]
async fn characters_cut_in_half_pass_byte_for_byte() {
    bytes_pass_unchanged(Behaviour::success(9, 40).multibyte().split_every(1)).await;
    bytes_pass_unchanged(Behaviour::success(9, 40).multibyte().one_write().split_every(7)).await;
}

#[on_each_store]
async fn tool_calls_and_several_choices_pass_byte_for_byte() {
    bytes_pass_unchanged(Behaviour::success(9, 40).in_tool_call()).await;
}

#[on_each_store]
async fn the_usage_chunk_arrives_with_the_cost_if_it_was_asked_for() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    let tail = key.stream(asking_for_usage()).await.rest().await;
    let theirs = nemo.twin_of_provider(Behaviour::success(9, 7)).await;
    let event = usage_event(&theirs);
    // The cost is the last member of the usage object; every other byte is the provider's.
    let with_cost = event.replace("}}}\n\n", "},\"cost\":\"0.0000925\"}}\n\n");
    assert_ne!(event, with_cost);
    assert_eq!(tail.text(), theirs.replace(&event, &with_cost));
    assert_eq!(key.only_call().await.charged(), 9 * INPUT + 7 * OUTPUT);
}

#[on_each_store]
async fn usage_is_always_asked_of_the_provider_and_other_stream_options_are_kept() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let asked = [
        json!({}),
        json!({"stream_options": {"include_usage": false}}),
        json!({"stream_options": {"include_obfuscation": false}}),
    ];
    for more in asked {
        let tail = key.stream(more.clone()).await.rest().await;
        assert!(!tail.text().contains("\"usage\":{"), "{more}: {}", tail.text());
    }
    let seen: Vec<Value> =
        nemo.provider().requests().iter().map(|seen| seen.json()["stream_options"].clone()).collect();
    let expected = [
        json!({"include_usage": true}),
        json!({"include_usage": true}),
        json!({"include_obfuscation": false, "include_usage": true}),
    ];
    assert_eq!(seen, expected);
    assert_eq!(key.books_balance().await.len(), 3);
}

#[on_each_store]
async fn a_stream_s_head_names_the_call_and_what_is_left() {
    let nemo = Nemo::start().await;
    let key = nemo.key(json!({"budgets": [{"window": "day", "limit": "1"}], "requests_per_minute": 5})).await;
    let stream = key.stream(json!({"max_tokens": null})).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    assert_eq!(stream.header("x-nemo-output-limit"), Some("4096"));
    assert_eq!(stream.header("x-ratelimit-remaining-requests"), Some("4"));
    assert!(stream.header("x-request-id").is_some());
    assert!(stream.header("x-nemo-cost").is_none(), "nobody knows it yet");
    for theirs in ["set-cookie", "openai-organization", "openai-version"] {
        assert_eq!(stream.header(theirs), None);
    }
    let (call, left) =
        (stream.header("x-nemo-call-id").unwrap().to_owned(), stream.header("x-nemo-budget-remaining"));
    let left = crate::harness::nanos(&left.unwrap().into());
    assert!(stream.rest().await.is_done());
    let told = key.only_call().await;
    assert_eq!((told.id.as_str(), left), (call.as_str(), 1_000_000_000 - told.hold()));
}

async fn is_open(key: &Key) -> bool {
    key.calls().await[0].end.is_empty()
}

#[on_each_store]
async fn the_last_bytes_of_a_stream_arrive_only_when_the_bill_is_durable() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    nemo.provider().hold_at(Phase::BeforeLast);
    let key = nemo.rich_key().await;
    let mut stream = key.stream(asking_for_usage()).await;
    // The provider has sent all but [DONE]; of that, the usage is kept back.
    nemo.provider().until_held(Phase::BeforeLast, 1).await.unwrap();
    stream.until("\"finish_reason\":\"stop\"").await;
    assert!(is_open(&key).await);
    assert!(!stream.text().contains("\"usage\":{") && !stream.text().contains("[DONE]"), "{}", stream.text());
    nemo.provider().release();
    // By the time that the first of the last bytes is here, the ledger has the bill.
    stream.until("\"cost\"").await;
    let call = key.calls().await.remove(0);
    assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", 92_500));
    assert!(stream.rest().await.is_done());
}

#[on_each_store]
async fn an_answer_in_one_piece_arrives_only_when_the_bill_is_durable() {
    let nemo = Nemo::start().await;
    nemo.provider().hold_at(Phase::BeforeLast);
    let key = nemo.rich_key().await;
    let asking = tokio::spawn({
        let key = key.clone();
        async move { key.chat(json!({})).await }
    });
    nemo.provider().until_held(Phase::BeforeLast, 1).await.unwrap();
    assert!(is_open(&key).await && !asking.is_finished());
    nemo.provider().release();
    asking.await.unwrap().ok();
    assert!(!is_open(&key).await, "the answer came before its bill");
}

#[on_each_store]
async fn what_a_provider_has_sent_does_not_wait_for_what_it_has_not() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 40).chunks(3));
    nemo.provider().hold_at(Phase::FirstByte);
    nemo.provider().hold_at(Phase::MidStream(2));
    let key = nemo.rich_key().await;
    // The head is here while the provider has not sent a byte of the body …
    let mut stream = key.stream(json!({})).await;
    assert_eq!(nemo.provider().until_held(Phase::FirstByte, 1).await.unwrap().len(), 1);
    assert_eq!((stream.status, stream.text().as_str()), (200, ""));
    nemo.provider().release_one(Phase::FirstByte);
    // … and the first words are here while it holds the others.
    stream.until("one two").await;
    assert_eq!(nemo.provider().until_held(Phase::MidStream(2), 1).await.unwrap().len(), 1);
    assert_eq!(sse_data(&stream.text()).len(), 2);
    nemo.provider().release();
    assert!(stream.rest().await.is_done());
    key.books_balance().await;
}

#[on_each_store]
async fn a_stream_with_several_choices_or_from_a_reasoning_model_is_billed_exactly() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 30).reasoning_tokens(10));
    let key = nemo.rich_key().await;
    assert!(key.stream(json!({"n": 3})).await.rest().await.is_done());
    assert!(key.stream(json!({"model": "gpt-think"})).await.rest().await.is_done());
    let calls = key.books_balance().await;
    assert_eq!(calls[0].charged(), 9 * INPUT + 3 * 30 * OUTPUT);
    assert_eq!(calls[1].charged(), 9 * INPUT + 30 * OUTPUT);
    assert_eq!(calls[1].ended["usage"]["reasoning"], 10);
}
