//! Streams that break off, lie, or are written in unusual ways.

use nemo_test_stores::on_each_store;

use super::*;

#[on_each_store]
async fn one_that_breaks_off_is_charged_for_what_arrived() {
    let nemo = impatient().start().await;
    for how in [How::Reset, How::Close, How::End] {
        let (tail, call) = streamed(&nemo, plain().breaks(At::Chunk(2), how)).await;
        broke_off(&tail, "provider_failed");
        settled(&call, "estimated", "provider_failed", call.estimate(CHUNK));
        assert_eq!(call.ended["usage"]["output"], CHUNK + 256);
    }
    let (tail, call) = streamed(&nemo, plain().breaks(At::Chunk(2), How::Hang)).await;
    broke_off(&tail, "provider_timeout");
    settled(&call, "estimated", "timed_out", call.estimate(CHUNK));
}

#[on_each_store]
async fn one_that_breaks_off_before_the_first_word_is_charged_its_input() {
    let nemo = impatient().start().await;
    let ways = [
        (At::Head, How::Close, "provider_failed"),
        (At::Head, How::End, "provider_failed"),
        (At::Chunk(1), How::Reset, "provider_failed"),
        (At::Head, How::Hang, "provider_timeout"),
    ];
    for (at, how, code) in ways {
        let (tail, call) = streamed(&nemo, plain().breaks(at, how)).await;
        assert_eq!(tail.error_code().as_deref(), Some(code), "{}", tail.text());
        assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", call.estimate(0)));
    }
}

#[on_each_store]
async fn one_that_breaks_inside_an_event_is_charged_for_the_half_that_arrived() {
    let nemo = Nemo::start().await;
    // One event of 900 tokens, of which the provider bills all.
    let behaviour = Behaviour::success(9, 900).chunks(1).breaks(At::Inside(2), How::Close);
    let (tail, call) = streamed(&nemo, behaviour).await;
    assert_eq!(tail.error_code().as_deref(), Some("provider_failed"));
    assert_eq!((call.end.as_str(), &call.ended["evidence"]), ("CallSettled", &json!("estimated")));
    assert!(call.charged() >= 9 * INPUT + 900 * OUTPUT && call.charged() <= call.hold(), "{call:?}");
}

#[on_each_store]
async fn one_without_done_is_complete_once_its_usage_has_come() {
    let nemo = Nemo::start().await;
    for how in [How::End, How::Close, How::Reset] {
        let (tail, call) = streamed(&nemo, plain().breaks(At::BeforeLast, how)).await;
        assert!(tail.is_done(), "{}", tail.text());
        settled(&call, "reported", "completed", PLAIN);
    }
}

#[on_each_store]
async fn an_error_in_one_passes_and_is_charged_for_what_arrived() {
    let nemo = Nemo::start().await;
    let (tail, call) = streamed(&nemo, plain().error_event_after(3)).await;
    broke_off(&tail, "provider_error");
    let told = tail.events().pop().unwrap();
    assert_eq!(told["error"]["message"], "the model failed while it answered");
    settled(&call, "estimated", "provider_failed", call.estimate(2 * CHUNK));
}

fn malformed() -> Behaviour {
    Behaviour::malformed_json().prompt_tokens(9).output_tokens(40)
}

#[on_each_store]
async fn an_event_that_nobody_can_read_passes_and_the_usage_counts() {
    let nemo = Nemo::start().await;
    nemo.provider().script(malformed());
    let key = nemo.rich_key().await;
    let tail = key.stream(json!({})).await.rest().await;
    let theirs = nemo.twin_of_provider(malformed()).await;
    assert_eq!(tail.data().len() + 1, crate::harness::sse_data(&theirs).len(), "all but the usage");
    assert!(tail.is_done());
    settled(&key.books_balance().await[0], "reported", "completed", PLAIN);
}

#[on_each_store]
async fn one_without_usable_usage_is_delivered_and_estimated() {
    let nemo = Nemo::start().await;
    for report in unusable_reports() {
        let (tail, call) = streamed(&nemo, plain().reports(report.clone())).await;
        assert!(tail.is_done(), "{report:?}: {}", tail.text());
        assert_eq!(tail.content().len(), ANSWER);
        settled(&call, "estimated", "completed", call.estimate(ANSWER));
    }
}

#[on_each_store]
async fn of_two_reports_in_one_the_dearer_counts() {
    let nemo = Nemo::start().await;
    let twice = |prompt, completion: u64| {
        plain().reports(Report::TwiceFirst(format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion}}}"#
        )))
    };
    let (tail, call) = streamed(&nemo, twice(1, 1)).await;
    assert!(tail.is_done());
    settled(&call, "reported", "completed", PLAIN);
    let (_, call) = streamed(&nemo, twice(9, 50)).await;
    settled(&call, "reported", "completed", 9 * INPUT + 50 * OUTPUT);
    let (_, call) = streamed(&nemo, plain().reports(Report::TwiceFirst("\"many\"".to_owned()))).await;
    settled(&call, "reported", "completed", PLAIN);
}

#[on_each_store]
async fn usage_that_comes_early_or_with_every_chunk_counts_if_the_answer_is_complete() {
    let nemo = Nemo::start().await;
    for report in [Report::Early, Report::Running] {
        let (tail, call) = streamed(&nemo, plain().reports(report)).await;
        assert!(tail.is_done(), "{}", tail.text());
        settled(&call, "reported", "completed", PLAIN);
    }
}

#[on_each_store]
async fn usage_that_came_before_the_break_is_not_the_last_word() {
    let nemo = Nemo::start().await;
    for report in [Report::Early, Report::Running] {
        let (tail, call) = streamed(&nemo, plain().reports(report).breaks(At::Inside(4), How::Close)).await;
        assert!(!tail.is_done() && !tail.text().contains("[DONE]"), "{}", tail.text());
        assert_eq!(tail.error_code().as_deref(), Some("provider_failed"));
        assert_eq!(
            (&call.ended["evidence"], &call.ended["ending"]),
            (&json!("estimated"), &json!("provider_failed"))
        );
        assert!(call.charged() >= call.estimate(CHUNK), "{call:?}");
    }
}

#[on_each_store]
async fn one_that_claims_to_be_compressed_is_charged_its_hold() {
    let nemo = Nemo::start().await;
    let (answer, call) = streamed_in_vain(&nemo, plain().claims_gzip()).await;
    final_error(&answer, 502, "provider_failed");
    settled(&call, "estimated", "provider_failed", call.hold());
}

#[on_each_store]
async fn one_under_another_content_type_is_what_it_is() {
    let nemo = Nemo::start().await;
    let (tail, call) = streamed(&nemo, plain().content_type("text/plain")).await;
    assert!(tail.is_done());
    settled(&call, "reported", "completed", PLAIN);
}

#[on_each_store]
async fn an_answer_in_one_piece_in_place_of_one_counts_as_output() {
    let nemo = Nemo::start().await;
    let content = "word ".repeat(700);
    let body =
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}).to_string();
    // The provider bills 700 tokens, and says nothing of it.
    let behaviour = Behaviour::raw(200, "application/json", body.clone()).prompt_tokens(9).output_tokens(700);
    let (tail, call) = streamed(&nemo, behaviour).await;
    assert_eq!(tail.error_code().as_deref(), Some("provider_failed"), "{}", tail.text());
    settled(&call, "estimated", "provider_failed", call.estimate(body.len()));
}

#[on_each_store]
async fn a_line_that_never_ends_is_cut_and_charged_the_hold() {
    let nemo = Nemo::start().await;
    let (tail, call) = streamed(&nemo, Behaviour::endless_line(4)).await;
    assert_eq!(tail.error_code().as_deref(), Some("provider_failed"));
    settled(&call, "estimated", "provider_failed", call.hold());
}

#[on_each_store]
async fn a_flood_of_events_is_charged_no_more_than_the_hold() {
    let nemo = Nemo::start().await;
    let (tail, call) = streamed(&nemo, Behaviour::flood(4)).await;
    assert!(tail.is_done() && tail.bytes.len() > 4 * 1024 * 1024);
    settled(&call, "estimated", "completed", call.hold());
}

/// The text of a stream with 40 bytes of output, and what ends it.
fn handmade(end: &str) -> String {
    let (role, text) = (r#"{"role":"assistant","content":""}"#, "one two six ten all one two six ten all ");
    let chunk =
        |delta: &str| format!("data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
    chunk(role) + &chunk(&format!("{{\"content\":\"{text}\"}}")) + end
}

const USAGE: &str = r#""usage":{"prompt_tokens":9,"completion_tokens":10}"#;
const LAST: &str = r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#;

#[on_each_store]
async fn streams_that_are_written_in_other_ways_pass_and_are_billed_exactly() {
    let nemo = Nemo::start().await;
    let usual =
        handmade(&format!("data: {{{LAST}}}\n\ndata: {{\"choices\":[],{USAGE}}}\n\ndata: [DONE]\n\n"));
    let variants = [
        usual.clone(),
        usual.replace("data: ", "data:"),
        usual.replace('\n', "\r"),
        format!("\u{feff}{usual}"),
        usual.replace("data: {\"id", "event: chunk\nid: 7\nretry: 9\ndata: {\"id"),
        usual.replace("\"choices\":[],", "\"choices\":[],\ndata: "),
        usual.trim_end().to_owned(),
        handmade(&format!("data: {{{LAST},{USAGE}}}\n\ndata: [DONE]\n\n")),
        handmade(&format!("data: {{{LAST},{USAGE}}}\n\n")),
        handmade(&format!("data: {{{LAST}}}\n\ndata: {{\"choices\":[],{USAGE}}}\n\n")),
        format!("{usual}data: {{\"choices\":[]}}\n\n"),
    ];
    for text in variants {
        let behaviour =
            Behaviour::raw(200, "text/event-stream", text.clone()).prompt_tokens(9).output_tokens(10);
        nemo.provider().script_next([behaviour]);
        let key = nemo.rich_key().await;
        let tail = key.stream(json!({})).await.rest().await;
        assert!(
            tail.text().contains(FIRST_WORDS) && tail.text().trim_end().ends_with("[DONE]"),
            "{}",
            tail.text()
        );
        settled(&key.books_balance().await[0], "reported", "completed", 9 * INPUT + 10 * OUTPUT);
    }
}

#[on_each_store]
async fn one_that_is_empty_is_charged_its_input() {
    let nemo = Nemo::start().await;
    let (tail, call) = streamed(&nemo, Behaviour::raw(200, "text/event-stream", "").output_tokens(0)).await;
    assert_eq!(tail.error_code().as_deref(), Some("provider_failed"));
    settled(&call, "estimated", "provider_failed", call.estimate(0));
}

#[on_each_store]
async fn a_slow_one_is_not_a_silent_one() {
    let nemo = Setup::default().provider("idle_timeout_secs = 2").start().await;
    let slow = plain().each_chunk_after(std::time::Duration::from_millis(400));
    let (tail, call) = streamed(&nemo, slow).await;
    assert!(tail.is_done());
    settled(&call, "reported", "completed", PLAIN);
    assert!(call.ended["duration_ms"].as_u64().unwrap() > 2_000, "longer than the silence that is allowed");
}
