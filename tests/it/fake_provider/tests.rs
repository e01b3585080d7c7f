//! The fake is what Nemo is measured against, so it is measured first: bills computed by hand, shapes as
//! OpenAI's, and connections that break where they should. A plain blocking client is enough, as the provider
//! has threads of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that is wrong about these fails")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::{At, Behaviour, Ending, FakeProvider, How, Phase, Report, UsdPerMillion};

/// 2,500, 1,250 and 10,000 nano-dollars per token.
const PRICE: UsdPerMillion<'_> = UsdPerMillion { input: "2.50", cached: "1.25", output: "10" };

async fn provider(behaviour: Behaviour) -> FakeProvider {
    let provider = FakeProvider::start().await;
    provider.set_price("gpt-test", PRICE);
    provider.script(behaviour);
    provider
}

/// 40 bytes of text, that is 10 tokens.
fn chat(more: Value) -> Value {
    let mut body =
        json!({"model": "gpt-test", "messages": [{"role": "user", "content": "0123456789".repeat(4)}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn streamed() -> Value {
    chat(json!({"stream": true, "stream_options": {"include_usage": true}, "max_tokens": 100}))
}

fn send(provider: &FakeProvider, body: &Value, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(provider.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request(provider, body, more).as_bytes()).unwrap();
    stream
}

fn request(provider: &FakeProvider, body: &Value, more: &str) -> String {
    let (key, body) = (provider.key(), body.to_string());
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: fake\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{more}\r\n{body}"
    )
}

/// What arrives until the connection ends, and how it ends.
fn receive(mut stream: TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).map(drop).map_err(|error| error.kind());
    (bytes, end)
}

/// One answer in full: head and body, chunked encoding removed.
fn exchange(provider: &FakeProvider, body: &Value) -> (String, String) {
    let (bytes, end) = receive(send(provider, body, "connection: close\r\n"));
    end.unwrap();
    let (head, body) = split(&bytes);
    if !head.contains("transfer-encoding: chunked") {
        return (head, String::from_utf8(body).unwrap());
    }
    let (body, ended) = unchunk(&body);
    assert!(ended);
    (head, String::from_utf8(body).unwrap())
}

fn split(bytes: &[u8]) -> (String, Vec<u8>) {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(bytes[..at].to_vec()).unwrap(), bytes[at + 4..].to_vec())
}

/// The payload of all chunks, the last one perhaps in part, and whether the terminating chunk is there.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut payload = Vec::new();
    while let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) {
        let end = rest.len().min(start + size as usize);
        payload.extend_from_slice(&rest[start..end]);
        if size == 0 {
            return (payload, true);
        }
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    (payload, false)
}

/// The JSON of the events of a complete stream.
fn events(body: &str) -> Vec<Value> {
    let mut lines: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(lines.pop(), Some("[DONE]"));
    lines.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_plain_answer_is_billed_for_what_it_says() {
    let provider = provider(Behaviour::default().output_tokens(7)).await;
    let (head, body) = exchange(&provider, &chat(json!({"user": "key-1", "max_tokens": 100})));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("x-request-id: req_fake_0"), "{head}");
    assert_eq!(body["usage"]["prompt_tokens"], 10);
    assert_eq!(body["usage"]["completion_tokens"], 7);
    assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap().len(), 28);
    let bill = provider.bill();
    assert_eq!(bill.for_user("key-1"), 10 * 2_500 + 7 * 10_000);
    assert_eq!((bill.total(), bill.by_api_key()[FakeProvider::KEY]), (95_000, 95_000));
    assert_eq!(bill.calls[0].ending, Ending::Complete);
}

#[tokio::test]
async fn the_bill_rounds_up_once_per_call() {
    let provider = provider(Behaviour::success(3, 1).cached_tokens(2)).await;
    provider.set_price(
        "gpt-test",
        UsdPerMillion { input: "0.0000001", cached: "0.000000001", output: "0.000001" },
    );
    exchange(&provider, &chat(json!({})));
    // 1 × 100 + 2 × 1 + 1 × 1,000 millionths of a nano-dollar.
    assert_eq!(provider.billed_nanos(), 1);
    provider.set_price("gpt-test", UsdPerMillion { input: "1.000000001", cached: "0.5", output: "0" });
    exchange(&provider, &chat(json!({})));
    // 1,000,000,001 + 2 × 500,000,000 millionths, rounded up.
    assert_eq!(provider.bill().calls[1].nanos, 2_001);
}

#[tokio::test]
async fn a_full_hold_generates_exactly_the_limit_of_every_choice() {
    let provider = provider(Behaviour::full_hold(1_000)).await;
    exchange(&provider, &chat(json!({"max_completion_tokens": 300, "n": 2})));
    assert_eq!(provider.billed_nanos(), 1_000 * 2_500 + 600 * 10_000);
    provider.script(Behaviour::tenth_of_hold(1_000));
    exchange(&provider, &chat(json!({"max_completion_tokens": 300, "n": 2})));
    assert_eq!(provider.bill().calls[1].nanos, 100 * 2_500 + 60 * 10_000);
}

#[tokio::test]
async fn a_stream_has_the_shape_of_openai() {
    let provider = provider(Behaviour::success(50, 20).cached_tokens(10).reasoning_tokens(8).chunks(3)).await;
    let (head, body) = exchange(&provider, &streamed());
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let events = events(&body);
    assert_eq!(events.len(), 1 + 3 + 1 + 1);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
    assert!(events[..5].iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
    assert_eq!(events[5]["choices"], json!([]));
    assert_eq!(events[5]["usage"]["completion_tokens_details"]["reasoning_tokens"], 8);
    assert_eq!(events[5]["usage"]["total_tokens"], 70);
    assert_eq!(text(&events).len(), 4 * 12);
    assert_eq!(provider.billed_nanos(), 40 * 2_500 + 10 * 1_250 + 20 * 10_000);
}

#[tokio::test]
async fn a_stream_without_include_usage_says_nothing_about_usage() {
    let provider = provider(Behaviour::default()).await;
    let (_, body) = exchange(&provider, &chat(json!({"stream": true})));
    assert!(!body.contains("usage"));
    assert_eq!(provider.billed_nanos(), 10 * 2_500 + 16 * 10_000);
}

#[tokio::test]
async fn odd_bytes_change_nothing_but_the_bytes() {
    let odd = Behaviour::default().multibyte().crlf().comments().split_every(7);
    let provider = provider(odd.clone()).await;
    let (_, plain) = exchange(&provider, &streamed());
    assert!(plain.contains(": keep-alive\r\n\r\ndata: {"));
    let expected = text(&events(&plain));
    assert_eq!((expected.len(), expected.chars().next()), (64, Some(' ')));
    for behaviour in [odd.clone().one_write(), odd.trickle(Duration::ZERO)] {
        provider.script(behaviour);
        assert_eq!(text(&events(&exchange(&provider, &streamed()).1)), expected);
    }
}

#[tokio::test]
async fn errors_are_openais_and_cost_nothing() {
    let provider = provider(Behaviour::default()).await;
    for status in [400, 401, 403, 404, 408, 409, 429, 500, 503] {
        provider.script_next([Behaviour::error(status)]);
        let (head, body) = exchange(&provider, &chat(json!({})));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"]["message"].is_string());
    }
    provider.script_next([
        Behaviour::rate_limited(3),
        Behaviour::error_leaking_the_key(401),
        Behaviour::redirect(307),
    ]);
    assert!(exchange(&provider, &chat(json!({}))).0.contains("retry-after: 3"));
    assert!(exchange(&provider, &chat(json!({}))).1.contains(FakeProvider::KEY));
    let (head, _) = exchange(&provider, &chat(json!({})));
    assert!(
        head.contains(&format!("location: {}/redirected/chat/completions", provider.base_url())),
        "{head}"
    );
    assert_eq!(
        (provider.billed_nanos(), provider.redirects_followed(), provider.request_count()),
        (0, 0, 12)
    );
}

#[tokio::test]
async fn a_request_that_openai_would_refuse_takes_no_behaviour() {
    let provider = provider(Behaviour::default()).await;
    provider.script_next([Behaviour::error(503)]);
    let refused = |body: &Value, status: &str| assert!(exchange(&provider, body).0.starts_with(status));
    refused(&json!({"model": "gpt-test", "messages": []}), "HTTP/1.1 400");
    refused(&chat(json!({"stream_options": {"include_usage": true}})), "HTTP/1.1 400");
    refused(&chat(json!({"max_tokens": 0})), "HTTP/1.1 400");
    refused(&chat(json!({"model": "gpt-unknown"})), "HTTP/1.1 404");
    refused(&chat(json!({})), "HTTP/1.1 503");
    provider.accept_keys(["sk-another"]);
    refused(&chat(json!({})), "HTTP/1.1 200");
    let mut wrong = TcpStream::connect(provider.address()).unwrap();
    wrong
        .write_all(b"GET /v1/models HTTP/1.1\r\nauthorization: Bearer sk-wrong\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert!(receive(wrong).0.starts_with(b"HTTP/1.1 401"));
    assert_eq!(provider.bill().by_api_key().keys().collect::<Vec<_>>(), ["sk-another"]);
}

#[tokio::test]
async fn lies_about_usage_do_not_change_the_bill() {
    let provider = provider(Behaviour::default()).await;
    let lies = [
        (Report::Nothing, json!({})),
        (
            Report::numbers("-5", "1e18"),
            json!({"prompt_tokens": -5, "completion_tokens": 1e18, "total_tokens": 1e18}),
        ),
        (Report::Json("\"many\"".to_owned()), json!("many")),
    ];
    for (report, expected) in lies {
        provider.script(Behaviour::default().reports(report));
        let body: Value = serde_json::from_str(&exchange(&provider, &chat(json!({}))).1).unwrap();
        assert_eq!(body.get("usage").cloned().unwrap_or(json!({})), expected);
    }
    provider.script(Behaviour::default().reports(Report::TwiceFirst("{\"prompt_tokens\":1}".to_owned())));
    let twice = events(&exchange(&provider, &streamed()).1);
    let usages: Vec<&Value> = twice.iter().filter(|event| event["choices"] == json!([])).collect();
    assert_eq!((usages.len(), &usages[1]["usage"]["completion_tokens"]), (2, &json!(16)));
    provider.script(Behaviour::default().reports(Report::Early));
    assert_eq!(events(&exchange(&provider, &streamed()).1)[1]["usage"]["completion_tokens"], 16);
    assert_eq!(provider.billed_nanos(), 5 * (10 * 2_500 + 16 * 10_000));
}

#[tokio::test]
async fn a_reset_after_chunks_reaches_the_client_and_bills_what_was_sent() {
    let provider = provider(Behaviour::success(100, 20).breaks(At::Chunk(3), How::Reset)).await;
    let (bytes, end) = receive(send(&provider, &streamed(), ""));
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    assert_eq!(String::from_utf8_lossy(&bytes).matches("data: ").count(), 3);
    let bill = provider.until_settled().await.unwrap();
    // The role chunk and two of four content chunks.
    assert_eq!(bill.calls[0].output_tokens, 10);
    assert_eq!((bill.total(), bill.calls[0].ending), (100 * 2_500 + 10 * 10_000, Ending::Cut));
}

#[tokio::test]
async fn every_way_of_breaking_off_is_what_it_says() {
    let provider = provider(Behaviour::default()).await;
    let broken = |at, how, body: &Value| {
        provider.script(Behaviour::breaking(at, how));
        receive(send(&provider, body, ""))
    };
    provider.script(Behaviour::breaking(At::Accept, How::Reset));
    let silent = TcpStream::connect(provider.address()).unwrap();
    assert_eq!(receive(silent), (vec![], Err(ErrorKind::ConnectionReset)));
    assert_eq!(broken(At::Unread, How::Close, &streamed()), (vec![], Err(ErrorKind::ConnectionReset)));
    assert_eq!(provider.request_count(), 0);
    assert_eq!(broken(At::Read, How::Close, &streamed()), (vec![], Ok(())));
    assert_eq!(broken(At::Read, How::Reset, &streamed()), (vec![], Err(ErrorKind::ConnectionReset)));
    let (bytes, end) = broken(At::Head, How::Close, &streamed());
    assert_eq!((split(&bytes).1, end), (vec![], Ok(())));
    let (bytes, _) = broken(At::Inside(2), How::Close, &streamed());
    let (payload, ended) = unchunk(&split(&bytes).1);
    assert!(!ended && !payload.ends_with(b"\n\n"));
    let (bytes, _) = broken(At::BeforeLast, How::Close, &streamed());
    let (payload, ended) = unchunk(&split(&bytes).1);
    assert!(!ended && payload.ends_with(b"\n\n") && !String::from_utf8(payload).unwrap().contains("[DONE]"));
    provider.script(Behaviour::breaking(At::BeforeLast, How::End).closes());
    let (_, body) = exchange(&provider, &streamed());
    assert!(body.contains("\"choices\":[]") && !body.contains("[DONE]"));
    provider.script(Behaviour::default().missing_bytes(100));
    let (head, body) = exchange(&provider, &chat(json!({})));
    assert!(head.contains(&format!("content-length: {}", body.len() + 100)));
}

#[tokio::test]
async fn a_hang_lasts_until_the_client_gives_up_and_is_billed_for_the_prompt() {
    let provider = provider(Behaviour::breaking(At::Read, How::Hang)).await;
    let mut phases = provider.on_phase();
    let stream = send(&provider, &chat(json!({})), "");
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (bytes, end) = receive(stream);
    assert!(bytes.is_empty() && matches!(end, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)));
    provider.until("hung up", |provider| provider.connections_open() == 0).await.unwrap();
    assert_eq!(provider.billed_nanos(), 10 * 2_500);
    assert_eq!(phases.recv().await.unwrap().phase, Phase::Received);
    assert_eq!(phases.recv().await.unwrap().phase, Phase::BrokeOff);
    provider.script(Behaviour::breaking(At::Read, How::Close).unbilled());
    assert_eq!(receive(send(&provider, &chat(json!({})), "")), (vec![], Ok(())));
    assert_eq!(provider.billed_nanos(), 10 * 2_500);
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_the_stream_and_the_bill() {
    let provider = provider(Behaviour::success(100, 40)).await;
    provider.hold_at(Phase::MidStream(2));
    let stream = send(&provider, &streamed(), "");
    provider.until_held(Phase::MidStream(2), 1).await.unwrap();
    assert_eq!(provider.bill().calls[0].ending, Ending::Running);
    drop(stream);
    let bill = provider.until_settled().await.unwrap();
    assert_eq!((bill.calls[0].output_tokens, bill.total()), (10, 100 * 2_500 + 10 * 10_000));
    provider.script(Behaviour::success(100, 40).finishes_unheard());
    let stream = send(&provider, &streamed(), "");
    provider.until_held(Phase::MidStream(2), 1).await.unwrap();
    drop(stream);
    assert_eq!(provider.until_settled().await.unwrap().calls[1].output_tokens, 40);
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_when_it_closes() {
    let provider = provider(Behaviour::flood(64)).await;
    let stream = send(&provider, &streamed(), "");
    provider.until("streaming", |provider| provider.billed_nanos() > 10 * 2_500).await.unwrap();
    drop(stream);
    let bill = provider.until_settled().await.unwrap();
    assert_eq!(bill.calls[0].ending, Ending::Cut);
}

#[tokio::test]
async fn an_error_in_a_stream_ends_it_without_usage_or_done() {
    let provider = provider(Behaviour::success(100, 20).error_event_after(2)).await;
    let (_, body) = exchange(&provider, &streamed());
    let last: Value = serde_json::from_str(
        body.lines().rfind(|line| !line.is_empty()).unwrap().strip_prefix("data: ").unwrap(),
    )
    .unwrap();
    assert!(last["error"]["message"].is_string() && !body.contains("[DONE]"));
    assert_eq!(provider.billed_nanos(), 100 * 2_500 + 5 * 10_000);
}

#[tokio::test]
async fn holds_stop_requests_at_their_phase_until_released() {
    let provider = provider(Behaviour::default()).await;
    provider.hold_at(Phase::Received);
    let streams: Vec<TcpStream> =
        (0..3).map(|_| send(&provider, &chat(json!({})), "connection: close\r\n")).collect();
    assert_eq!(provider.until_held(Phase::Received, 3).await.unwrap(), [0, 1, 2]);
    assert_eq!(provider.release_one(Phase::Received), Some(0));
    provider.until("one done", |provider| provider.bill().count(Ending::Complete) == 1).await.unwrap();
    assert_eq!(provider.held_at(Phase::Received), [1, 2]);
    provider.release();
    assert!(streams.into_iter().all(|stream| receive(stream).1.is_ok()));
    assert_eq!(provider.bill().count(Ending::Complete), 3);
}

#[tokio::test]
async fn a_provider_that_is_down_refuses_and_comes_back_on_its_port() {
    let provider = provider(Behaviour::default()).await;
    let mut idle = TcpStream::connect(provider.address()).unwrap();
    provider.until("accepted", |provider| provider.connections_open() == 1).await.unwrap();
    provider.refuse();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    assert_eq!(TcpStream::connect(provider.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    provider.resume();
    assert!(exchange(&provider, &chat(json!({}))).0.starts_with("HTTP/1.1 200"));
    provider.hold_at(Phase::FirstByte);
    let stream = send(&provider, &chat(json!({})), "");
    provider.until_held(Phase::FirstByte, 1).await.unwrap();
    provider.stop();
    assert!(!split(&receive(stream).0).0.is_empty());
    assert_eq!(provider.bill().calls[1].ending, Ending::Cut);
    let again = FakeProvider::start_on(provider.address()).await;
    assert_eq!((again.address(), again.billed_nanos()), (provider.address(), 0));
}

#[tokio::test]
async fn kept_alive_connections_and_chunked_requests_are_understood() {
    let provider = provider(Behaviour::default()).await;
    let chunked = |body: &str| {
        body.as_bytes().chunks(9).fold(String::new(), |sent, chunk| {
            sent + &format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
        })
    };
    let body = chat(json!({"user": "chunked"})).to_string();
    let mut stream = send(&provider, &chat(json!({"user": "first"})), "");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nx-nemo-call-id: call-2\r\nconnection: close\r\n\r\n",
        provider.key()
    );
    stream.write_all(format!("{head}{}0\r\n\r\n", chunked(&body)).as_bytes()).unwrap();
    assert_eq!(String::from_utf8(receive(stream).0).unwrap().matches("HTTP/1.1 200 OK").count(), 2);
    let seen = &provider.requests()[1];
    assert_eq!((seen.body.as_ref(), seen.header("X-Nemo-Call-Id")), (body.as_bytes(), Some("call-2")));
    assert!(seen.mentions("chunked") && !seen.mentions("sk-nemo-"));
    assert_eq!(provider.bill().by_user().len(), 2);
    assert_eq!(provider.connections_accepted(), 1);
}

#[tokio::test]
async fn many_connections_at_once_are_billed_each() {
    let provider = provider(Behaviour::success(10, 4)).await;
    std::thread::scope(|scope| {
        for client in 0..64 {
            let provider = &provider;
            scope.spawn(move || {
                for _ in 0..5 {
                    exchange(
                        provider,
                        &chat(json!({"user": format!("key-{client}"), "stream": client % 2 == 0})),
                    );
                }
            });
        }
    });
    let by_user = provider.bill().by_user();
    assert_eq!(by_user.len(), 64);
    assert!(by_user.values().all(|nanos| *nanos == 5 * (10 * 2_500 + 4 * 10_000)));
}
