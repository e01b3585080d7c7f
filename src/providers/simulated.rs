//! A provider that only pretends: it speaks OpenAI's chat dialect on loopback, says in every answer that
//! it is simulated, and costs nothing. For trying Nemo without an account anywhere.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

const WORDS: &[&str] = &[
    "This",
    "answer",
    "is",
    "simulated.",
    "No",
    "model",
    "was",
    "asked,",
    "nothing",
    "left",
    "this",
    "machine,",
    "and",
    "no",
    "provider",
    "will",
    "send",
    "a",
    "bill.",
    "The",
    "ledger,",
    "though,",
    "is",
    "real:",
    "the",
    "hold",
    "was",
    "durable",
    "before",
    "this",
    "request",
    "was",
    "sent,",
    "and",
    "its",
    "cost",
    "is",
    "an",
    "event",
    "by",
    "now.",
];
/// Tokens that each word is said to be.
const TOKENS_PER_WORD: u64 = 2;
const PACE: Duration = Duration::from_millis(15);

#[derive(Deserialize)]
struct Ask {
    model: String,
    #[serde(default)]
    messages: Vec<Value>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    #[serde(default)]
    stream: bool,
}

/// The provider, listening; it serves while its future is polled, and leaves the process's signals to others.
///
/// # Errors
/// Where it cannot listen.
pub fn serve(listener: TcpListener) -> std::io::Result<Server> {
    let server = HttpServer::new(|| {
        App::new()
            .route("/v1/chat/completions", web::post().to(complete))
            .route("/v1/models", web::get().to(models))
    });
    Ok(server.workers(1).tcp_nodelay(true).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

async fn models() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "object": "list", "data": [] }))
}

async fn complete(ask: web::Json<Ask>) -> HttpResponse {
    let (words, finish) = answer(&ask);
    let usage = usage(&ask, words.len());
    if ask.stream {
        return stream(&ask.model, words, finish, &usage);
    }
    HttpResponse::Ok().json(json!({
        "id": "chatcmpl-simulated", "object": "chat.completion", "created": 0, "model": ask.model,
        "choices": [{
            "index": 0, "message": { "role": "assistant", "content": words.join(" ") }, "finish_reason": finish,
        }],
        "usage": usage,
    }))
}

/// The words that fit the request's limit, and why they end there.
fn answer(ask: &Ask) -> (&'static [&'static str], &'static str) {
    let limit = ask.max_completion_tokens.or(ask.max_tokens).unwrap_or(u64::MAX) / TOKENS_PER_WORD;
    let fits = usize::try_from(limit).unwrap_or(usize::MAX);
    match WORDS.get(..fits) {
        Some(words) if fits < WORDS.len() => (words, "length"),
        _ => (WORDS, "stop"),
    }
}

fn usage(ask: &Ask, words: usize) -> Value {
    let text: usize = ask.messages.iter().map(|message| message.to_string().len()).sum();
    let prompt = u64::try_from(text).unwrap_or(u64::MAX) / 4;
    let completion = u64::try_from(words).unwrap_or(u64::MAX).saturating_mul(TOKENS_PER_WORD);
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt.saturating_add(completion),
    })
}

fn stream(model: &str, words: &'static [&'static str], finish: &'static str, usage: &Value) -> HttpResponse {
    let chunk = |choices: Value, usage: &Value| {
        let data = json!({
            "id": "chatcmpl-simulated", "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {data}\n\n"))
    };
    let delta =
        |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let mut chunks =
        vec![chunk(delta(json!({ "role": "assistant", "content": "" }), Value::Null), &Value::Null)];
    for (index, word) in words.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        chunks.push(chunk(delta(json!({ "content": format!("{space}{word}") }), Value::Null), &Value::Null));
    }
    chunks.push(chunk(delta(json!({}), json!(finish)), &Value::Null));
    chunks.push(chunk(json!([]), usage));
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    let paced = stream::unfold(chunks.into_iter(), |mut chunks| async {
        let chunk = chunks.next()?;
        tokio::time::sleep(PACE).await;
        Some((Ok::<_, std::convert::Infallible>(chunk), chunks))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(Box::pin(paced))
}
