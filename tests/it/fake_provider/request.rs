//! Requests as the provider saw them: the bytes, kept for the test to look at, and what a chat request asks
//! for.

use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

/// A request that was fully read, answered or not.
#[derive(Clone, Debug)]
pub(crate) struct SeenRequest {
    /// Dense number from 0, in order of arrival.
    pub(crate) index: u64,
    /// The method.
    pub(crate) method: String,
    /// The target as sent, query included.
    pub(crate) path: String,
    /// Names as sent, values lossily decoded, in order, duplicates kept.
    pub(crate) headers: Vec<(String, String)>,
    /// Request line and headers, the bytes as received.
    pub(crate) head: Bytes,
    /// The body, the bytes as received (chunked encoding removed).
    pub(crate) body: Bytes,
    /// When it was fully read.
    pub(crate) at: Instant,
}

impl SeenRequest {
    /// The first header of this name, in any case: `seen.header("x-nemo-call-id")`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the bytes of head or body contain this text (leak tests).
    pub(crate) fn mentions(&self, text: &str) -> bool {
        let contains =
            |bytes: &[u8]| bytes.windows(text.len().max(1)).any(|window| window == text.as_bytes());
        contains(&self.head) || contains(&self.body)
    }

    /// The text after `Authorization: Bearer `.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    pub(super) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// What a chat request asks for.
#[derive(Clone, Debug)]
pub(crate) struct ChatRequest {
    /// Its model.
    pub(crate) model: String,
    /// Its `user` member, by which tests group the bill.
    pub(crate) user: Option<String>,
    /// Bytes of text in the contents of its messages.
    pub(crate) text_bytes: u64,
    /// `max_completion_tokens` or `max_tokens`.
    pub(crate) output_limit: Option<u64>,
    /// `n`, by default 1.
    pub(crate) choices: u64,
    /// `stream`.
    pub(crate) stream: bool,
    /// `stream_options.include_usage`.
    pub(crate) include_usage: bool,
    /// The whole body.
    pub(crate) body: Value,
}

impl ChatRequest {
    /// Reads a body as strictly as OpenAI does where a gateway could go wrong; the error is OpenAI's message.
    pub(super) fn parse(body: &[u8]) -> Result<ChatRequest, String> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| format!("could not parse the JSON body: {error}"))?;
        let model = body.get("model").and_then(Value::as_str).ok_or("you must provide a model parameter")?;
        let messages =
            body.get("messages").and_then(Value::as_array).ok_or("missing required parameter: 'messages'")?;
        if messages.is_empty()
            || messages.iter().any(|message| message.get("role").and_then(Value::as_str).is_none())
        {
            return Err("invalid 'messages': expected at least one message, each with a role".to_owned());
        }
        let stream = flag(&body, "stream")?;
        let options = body.get("stream_options").filter(|options| !options.is_null());
        if options.is_some() && !stream {
            return Err("the 'stream_options' parameter is only allowed when 'stream' is enabled".to_owned());
        }
        Ok(ChatRequest {
            model: model.to_owned(),
            user: body.get("user").and_then(Value::as_str).map(str::to_owned),
            text_bytes: messages.iter().map(text_bytes).sum(),
            output_limit: output_limit(&body)?,
            choices: count(&body, "n")?.unwrap_or(1),
            stream,
            include_usage: options.map_or(Ok(false), |options| flag(options, "include_usage"))?,
            body,
        })
    }
}

fn output_limit(body: &Value) -> Result<Option<u64>, String> {
    match (count(body, "max_tokens")?, count(body, "max_completion_tokens")?) {
        (Some(_), Some(_)) => {
            Err("setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported"
                .to_owned())
        }
        (old, new) => Ok(new.or(old)),
    }
}

/// A whole number of at least 1, if it is there and not null.
fn count(body: &Value, name: &str) -> Result<Option<u64>, String> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number @ 1..) => Ok(Some(number)),
            _ => Err(format!("invalid '{name}': integer of at least 1 expected, got {value}")),
        },
    }
}

fn flag(body: &Value, name: &str) -> Result<bool, String> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(format!("invalid type for '{name}': expected a boolean, got {other}")),
    }
}

fn text_bytes(message: &Value) -> u64 {
    let length = |text: &Value| text.as_str().map_or(0, |text| text.len() as u64);
    match message.get("content") {
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")).map(length).sum(),
        Some(content) => length(content),
        None => 0,
    }
}
