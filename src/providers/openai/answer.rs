//! Answers: a whole body, or one event of a stream. Read for the bill alone, so that whatever else a provider
//! puts into them passes by; this runs for every event, so that text is borrowed and no tree is built.

use std::borrow::Cow;

use nemo_events::Usage;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::strings::{Strings, length};
use super::usage::{UsageError, read_usage};

/// The answer is not JSON of the known shape. For an estimate, all its bytes are then output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer is not of the known shape")]
pub struct AnswerError;

/// What a non-streaming body says.
#[derive(Debug)]
pub struct ChatAnswer<'a> {
    /// The provider's id for the answer.
    pub id: Option<Cow<'a, str>>,
    /// What was used; `None` if the body says nothing.
    pub usage: Option<Result<Usage, UsageError>>,
    /// The body is an error, whatever the status.
    pub is_error: bool,
    output: Output<'a>,
}

impl<'a> ChatAnswer<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`AnswerError`]
    pub fn read(body: &'a [u8]) -> Result<Self, AnswerError> {
        let wire = Wire::read(body)?;
        let usage = wire.usage();
        Ok(Self { id: wire.id.text(), usage, is_error: wire.error.is_some(), output: Output(wire.choices) })
    }

    /// Bytes of all output: text, refusal, reasoning, names and arguments of tool calls.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.output.bytes()
    }

    /// Hands over each piece of output, as for [`super::count_text`].
    pub fn each_text(&self, take: &mut dyn FnMut(&str)) {
        self.output.each(take);
    }
}

/// What a streamed event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    /// Has choices. It may carry usage as well: some providers put it with the last choice.
    Content,
    /// Has usage and no choices: the chunk that `include_usage` asks for.
    Usage,
    /// Has neither, such as Azure's first chunk with filter results.
    Other,
    /// An error in the stream.
    Error,
    /// `[DONE]`.
    Done,
}

/// What one streamed event says.
#[derive(Debug)]
pub struct ChatChunk<'a> {
    /// What it is.
    pub kind: ChunkKind,
    /// The provider's id for the answer.
    pub id: Option<Cow<'a, str>>,
    /// What was used so far; the last report of a stream counts.
    pub usage: Option<Result<Usage, UsageError>>,
    /// A choice has come to its end.
    pub finished: bool,
    output: Output<'a>,
}

impl<'a> ChatChunk<'a> {
    /// Reads an event's data.
    ///
    /// # Errors
    /// [`AnswerError`]
    pub fn read(data: &'a [u8]) -> Result<Self, AnswerError> {
        if data.trim_ascii() == b"[DONE]" {
            let output = Output(Vec::new());
            return Ok(Self { kind: ChunkKind::Done, id: None, usage: None, finished: false, output });
        }
        let wire = Wire::read(data)?;
        let usage = wire.usage();
        let kind = match (wire.error.is_some(), wire.choices.is_empty(), &usage) {
            (true, _, _) => ChunkKind::Error,
            (false, false, _) => ChunkKind::Content,
            (false, true, Some(_)) => ChunkKind::Usage,
            (false, true, None) => ChunkKind::Other,
        };
        let finished = wire.choices.iter().any(|choice| choice.finish_reason.is_some());
        Ok(Self { kind, id: wire.id.text(), usage, finished, output: Output(wire.choices) })
    }

    /// Bytes of output: text, refusal, reasoning, names and arguments of tool calls.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.output.bytes()
    }

    /// Hands over each piece of output, as for [`super::count_text`].
    pub fn each_text(&self, take: &mut dyn FnMut(&str)) {
        self.output.each(take);
    }
}

/// The members that matter. A member that occurs twice fails to read: nobody could say which one counts.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    id: Strings<'a>,
    #[serde(borrow, default, deserialize_with = "null_is_empty")]
    choices: Vec<Choice<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<IgnoredAny>,
}

impl<'a> Wire<'a> {
    fn read(data: &'a [u8]) -> Result<Self, AnswerError> {
        let text = std::str::from_utf8(data).map_err(|_| AnswerError)?;
        serde_json::from_str(text).map_err(|_| AnswerError)
    }

    fn usage(&self) -> Option<Result<Usage, UsageError>> {
        self.usage.map(|raw| read_usage(raw.get()))
    }
}

/// One choice: `delta` in a stream, `message` in a body.
#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Message<'a>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    finish_reason: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Strings<'a>,
    #[serde(borrow, default)]
    refusal: Strings<'a>,
    #[serde(borrow, default)]
    reasoning: Strings<'a>,
    #[serde(borrow, default)]
    reasoning_content: Strings<'a>,
    #[serde(borrow, default, deserialize_with = "null_is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
}

impl Message<'_> {
    fn each(&self, take: &mut dyn FnMut(&str)) {
        self.content.each(take);
        self.refusal.each(take);
        // Some providers send the same reasoning under both names.
        let both = [&self.reasoning, &self.reasoning_content];
        if let Some(longer) = both.into_iter().max_by_key(|strings| strings.bytes()) {
            longer.each(take);
        }
        let calls = self.tool_calls.iter().flat_map(|call| [&call.function, &call.custom]);
        for call in calls.chain([&self.function_call]).flatten() {
            call.name.each(take);
            call.arguments.each(take);
        }
    }
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    custom: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Strings<'a>,
    /// A custom tool's is called `input`.
    #[serde(borrow, default, alias = "input")]
    arguments: Strings<'a>,
}

#[derive(Debug)]
struct Output<'a>(Vec<Choice<'a>>);

impl Output<'_> {
    fn each(&self, take: &mut dyn FnMut(&str)) {
        for choice in &self.0 {
            if let Some(message) = choice.delta.as_ref().or(choice.message.as_ref()) {
                message.each(take);
            }
        }
    }

    fn bytes(&self) -> u64 {
        let mut sum = 0_u64;
        self.each(&mut |text| sum = sum.saturating_add(length(text)));
        sum
    }
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(data: &str) -> ChatChunk<'_> {
        ChatChunk::read(data.as_bytes()).unwrap_or_else(|error| unreachable!("{error}: {data}"))
    }

    fn texts(chunk: &ChatChunk<'_>) -> Vec<String> {
        let mut texts = Vec::new();
        chunk.each_text(&mut |text| texts.push(text.to_owned()));
        texts
    }

    const CONTENT: &str = r#"{"id":"chatcmpl-BxYz12","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" né"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"r4N7vQ2m"}"#;
    const FINISH: &str = r#"{"id":"chatcmpl-BxYz12","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}"#;
    const USAGE: &str = r#"{"id":"chatcmpl-BxYz12","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}"#;

    #[test]
    fn the_chunks_of_an_openai_stream_are_told_apart() {
        let content = chunk(CONTENT);
        assert_eq!((content.kind, content.output_bytes(), content.finished), (ChunkKind::Content, 4, false));
        assert_eq!((content.id.as_deref(), content.usage.is_none()), (Some("chatcmpl-BxYz12"), true));
        let finish = chunk(FINISH);
        assert_eq!((finish.kind, finish.output_bytes(), finish.finished), (ChunkKind::Content, 0, true));
        let usage = chunk(USAGE);
        assert_eq!((usage.kind, usage.finished), (ChunkKind::Usage, false));
        assert_eq!(usage.usage, Some(Ok(Usage { input: 19, output: 10, ..Usage::default() })));
        assert_eq!(chunk("[DONE]").kind, ChunkKind::Done);
        assert_eq!(chunk(" [DONE]\n").kind, ChunkKind::Done);
    }

    #[test]
    fn azure_s_filter_results_are_neither_content_nor_usage() {
        let first = r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}"#;
        assert_eq!(chunk(first).kind, ChunkKind::Other);
        assert_eq!(chunk(r#"{"choices":null}"#).kind, ChunkKind::Other);
    }

    #[test]
    fn usage_may_come_with_the_last_choice() {
        let last = chunk(
            r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":6}}"#,
        );
        assert_eq!((last.kind, last.finished), (ChunkKind::Content, true));
        assert_eq!(last.usage, Some(Ok(Usage { input: 5, output: 6, ..Usage::default() })));
    }

    #[test]
    fn usage_that_cannot_be_billed_by_is_there_but_an_error() {
        for usage in [r#"{"prompt_tokens":-5,"completion_tokens":1}"#, "\"many\"", "1e18", "[]"] {
            let data = format!(r#"{{"choices":[],"usage":{usage}}}"#);
            assert!(matches!(chunk(&data).usage, Some(Err(_))), "{usage}");
        }
    }

    #[test]
    fn an_error_in_the_stream_is_an_error_even_beside_choices() {
        assert_eq!(
            chunk(r#"{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}"#)
                .kind,
            ChunkKind::Error
        );
        let routed = r#"{"error":{"code":502},"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"error"}]}"#;
        assert_eq!((chunk(routed).kind, chunk(routed).output_bytes()), (ChunkKind::Error, 1));
        assert_eq!(chunk(r#"{"error":null,"choices":[]}"#).kind, ChunkKind::Other);
    }

    #[test]
    fn all_that_the_model_wrote_is_output() {
        let all = chunk(
            r#"{"choices":[{"delta":{"role":"assistant","content":"a\n","refusal":"b","reasoning_content":"hm","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"index":1,"custom":{"name":"g","input":"in"}}],"function_call":{"name":"h","arguments":"{}"}}},{"index":1,"delta":{"content":"é"}}]}"#,
        );
        assert_eq!(texts(&all), ["a\n", "b", "hm", "f", "{\"x\":1}", "g", "in", "h", "{}", "é"]);
        assert_eq!(all.output_bytes(), 21);
    }

    #[test]
    fn reasoning_under_two_names_counts_once_and_content_in_parts_counts_whole() {
        let both = chunk(r#"{"choices":[{"delta":{"reasoning":"think","reasoning_content":"think"}}]}"#);
        assert_eq!(both.output_bytes(), 5);
        let parts = chunk(
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"ok"}]}}]}"#,
        );
        assert_eq!(texts(&parts), ["hm", "ok"]);
    }

    #[test]
    fn what_is_not_of_the_known_shape_is_an_error() {
        let cut = CONTENT.get(..CONTENT.len() / 2).unwrap_or_default();
        let twice = r#"{"choices":[],"usage":null,"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
        for data in [cut, "", "7", "\"[DONE]\"", twice, r#"{"choices":{}}"#, r#"{"choices":["x"]}"#] {
            assert!(ChatChunk::read(data.as_bytes()).is_err(), "{data}");
        }
        assert!(ChatChunk::read(b"{\"id\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_body_has_id_usage_and_output_and_may_be_an_error() {
        let body = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21},"service_tier":"default"}"#;
        let answer = ChatAnswer::read(body.as_bytes()).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(
            (answer.id.as_deref(), answer.output_bytes(), answer.is_error),
            (Some("chatcmpl-1"), 9, false)
        );
        assert_eq!(answer.usage, Some(Ok(Usage { input: 9, output: 12, ..Usage::default() })));
        let failed = ChatAnswer::read(br#"{"error":{"message":"no"}}"#);
        assert!(failed.is_ok_and(|answer| answer.is_error && answer.usage.is_none()));
    }
}
