//! How many tokens a request can come in with, at most.
//!
//! Two measures over the same walk: bytes (no byte-level tokenizer makes more tokens than there are bytes) and
//! the model's own tokenizer. To both come overheads for what the provider writes around the text. They are
//! generous on purpose: a token too many holds a few nano-dollars for the length of a call, a token too few is
//! an overspent budget.

use nemo_events::key::BoundBasis;
use nemo_events::price::Tokenizer;
use serde_json::value::RawValue;

use super::fields::{FieldError, InertFields};
use super::request::ChatRequest;
use super::schema;
use super::strings::length;
use crate::proxy::scan::{Object, Scanned, unescaped};

/// Once for each request: the start of the answer (3 tokens at OpenAI) and what chat templates put in front by
/// themselves (dates and identity: 30 tokens in Llama 3.1's, about 75 in gpt-oss's Harmony).
const REQUEST_OVERHEAD: u64 = 256;
/// Once for each request with tools: the instructions for using them (13 tokens at OpenAI, some 130 in Qwen's
/// template, 313 to 530 at Anthropic by its own documentation).
const TOOLS_OVERHEAD: u64 = 768;
/// For each message: the marks around it, its role apart, which is counted as text (3 tokens, 4 with a name at
/// OpenAI; 5 in Llama 3's template; up to 12 around a tool call in Harmony).
const MESSAGE_OVERHEAD: u64 = 16;
/// For each part of a message's content: a separator.
const PART_OVERHEAD: u64 = 4;
/// For each tool: what its rendering adds to its JSON (at most 22 tokens by OpenAI's cookbook).
const TOOL_OVERHEAD: u64 = 32;

const MESSAGE_KEYS: &[&str] = &[
    "annotations",
    "audio",
    "cache_control",
    "content",
    "extra_content",
    "function_call",
    "id",
    "name",
    "parsed",
    "prefix",
    "provider_specific_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "refusal",
    "role",
    "thinking_blocks",
    "tool_call_id",
    "tool_calls",
];
const TOOL_KEYS: &[&str] = &["cache_control", "custom", "function", "type"];
const PART_KEYS: &[&str] = &[
    "cache_control",
    "file",
    "image_url",
    "input_audio",
    "prompt_cache_breakpoint",
    "refusal",
    "text",
    "thinking",
    "type",
];

/// The most tokens that a request can come in with, before the context window caps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputBound {
    /// The bound; of no meaning where the basis is the context window.
    pub tokens: u64,
    /// `Bytes`, or `ContextWindow` if some content's tokens do not follow from its bytes.
    pub basis: BoundBasis,
    /// Some of it is audio, which only a card with a price for audio can price.
    pub audio: bool,
}

/// How text is measured.
#[derive(Clone, Copy)]
enum Measure {
    Bytes,
    Tokens(Tokenizer),
}

impl Measure {
    /// A JSON string that the model reads as text.
    fn text(self, raw: &str) -> u64 {
        let Some(text) = unescaped(raw) else { return length(raw) };
        match self {
            Self::Bytes => length(&text),
            Self::Tokens(tokenizer) => count_text(tokenizer, &text),
        }
    }

    /// JSON that the model reads as JSON, or in another notation for the same.
    fn structure(self, raw: &str) -> u64 {
        match self {
            Self::Bytes => schema::bytes(raw),
            Self::Tokens(tokenizer) => schema::tokens(raw, tokenizer),
        }
    }

    /// Either, by what it is.
    fn value(self, raw: &str) -> u64 {
        match raw.as_bytes() {
            [b'"', ..] => self.text(raw),
            b"null" => 0,
            _ => self.structure(raw),
        }
    }
}

/// Bounds the tokens in by bytes, and refuses what cannot be bound.
pub(super) fn bound(body: &Scanned, inert: &InertFields) -> Result<InputBound, FieldError> {
    walk(body, Some(inert), Measure::Bytes)
}

/// The tokens in by the model's own tokenizer, with the same overheads and never above the bound by bytes.
/// `None` where the bound is the context window. A tokenizer is loaded on its first use.
#[must_use]
pub fn exact_input_tokens(body: &Scanned, request: &ChatRequest, tokenizer: Tokenizer) -> Option<u64> {
    if request.input.basis == BoundBasis::ContextWindow {
        return None;
    }
    let exact = walk(body, None, Measure::Tokens(tokenizer)).ok()?;
    Some(exact.tokens.min(request.input.tokens))
}

/// Exact tokens of a text.
#[must_use]
pub fn count_text(tokenizer: Tokenizer, text: &str) -> u64 {
    let tokenizer = match tokenizer {
        Tokenizer::O200kBase => bpe_openai::o200k_base(),
        Tokenizer::Cl100kBase => bpe_openai::cl100k_base(),
    };
    u64::try_from(tokenizer.count(text)).unwrap_or(u64::MAX)
}

/// The most tokens that so many bytes of received text can be. A token that shows is at least one byte, so the
/// number of bytes is the only bound that holds for every tokenizer; those that do not show (the marks around
/// a tool call, the end of the turn) are what the caller's 256 extra tokens are for.
#[must_use]
pub const fn tokens_received(bytes: u64) -> u64 {
    bytes
}

/// Sums up; saturates, since any bound beyond the context window is the context window.
struct Walk<'i> {
    measure: Measure,
    /// Admits fields inside messages and tools; `None` for a request that was admitted before.
    inert: Option<&'i InertFields>,
    tokens: u64,
    /// Content whose tokens do not follow from its bytes.
    opaque: bool,
    /// Audio is among it.
    audio: bool,
}

fn walk(body: &Scanned, inert: Option<&InertFields>, measure: Measure) -> Result<InputBound, FieldError> {
    let mut walk = Walk { measure, inert, tokens: REQUEST_OVERHEAD, opaque: false, audio: false };
    let messages = body.get("messages").ok_or_else(|| FieldError::invalid("messages", "is missing"))?;
    walk.messages(messages)?;
    for field in ["tools", "functions"] {
        let Some(tools) = body.get(field).filter(|raw| *raw != "null") else { continue };
        walk.tools(field, tools)?;
    }
    for field in ["tool_choice", "function_call", "response_format"] {
        walk.add(body.get(field).map_or(0, |raw| measure.value(raw)));
    }
    let basis = if walk.opaque { BoundBasis::ContextWindow } else { BoundBasis::Bytes };
    Ok(InputBound { tokens: walk.tokens, basis, audio: walk.audio })
}

impl Walk<'_> {
    fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    fn admit(&self, parent: &str, key: &str, known: &[&str]) -> Result<(), FieldError> {
        self.inert.map_or(Ok(()), |inert| inert.admit(parent, key, known))
    }

    fn messages(&mut self, raw: &str) -> Result<(), FieldError> {
        let messages = elements(raw).ok_or_else(|| FieldError::invalid("messages", "must be an array"))?;
        if messages.is_empty() {
            return Err(FieldError::invalid("messages", "must not be empty"));
        }
        for (index, message) in messages.iter().enumerate() {
            self.message(&format!("messages[{index}]"), message.get())?;
        }
        Ok(())
    }

    fn message(&mut self, at: &str, raw: &str) -> Result<(), FieldError> {
        let message = Object::read(raw).ok_or_else(|| FieldError::invalid(at, "must be an object"))?;
        if !message.get("role").is_some_and(is_string) {
            return Err(FieldError::invalid(format!("{at}.role"), "must be a string"));
        }
        self.add(MESSAGE_OVERHEAD);
        for (key, value) in message.members() {
            self.admit("messages[]", &key, MESSAGE_KEYS)?;
            match (key.as_ref(), value.as_bytes()) {
                ("content", [b'[', ..]) => self.parts(&format!("{at}.content"), value)?,
                ("content", [b'"', ..] | b"null") => self.add(self.measure.value(value)),
                ("content", _) => {
                    return Err(FieldError::invalid(format!("{at}.content"), "must be a string or an array"));
                }
                ("audio", b"null") => {}
                ("audio", _) => (self.opaque, self.audio) = (true, true),
                _ => self.add(self.measure.value(value)),
            }
        }
        Ok(())
    }

    fn parts(&mut self, at: &str, raw: &str) -> Result<(), FieldError> {
        for (index, part) in elements(raw).unwrap_or_default().iter().enumerate() {
            self.part(&format!("{at}[{index}]"), part.get())?;
        }
        Ok(())
    }

    /// A part is text, or a medium whose tokens depend on its pixels, seconds or pages.
    fn part(&mut self, at: &str, raw: &str) -> Result<(), FieldError> {
        let part = Object::read(raw).ok_or_else(|| FieldError::invalid(at, "must be an object"))?;
        let kind = part.get("type").and_then(unescaped);
        let kind = kind.ok_or_else(|| FieldError::invalid(format!("{at}.type"), "must be a string"))?;
        if !matches!(&*kind, "text" | "refusal" | "thinking" | "image_url" | "input_audio" | "file") {
            return Err(FieldError::not_priceable(
                format!("{at}.type"),
                "content of this type is not understood",
            ));
        }
        self.add(PART_OVERHEAD);
        for (key, value) in part.members() {
            self.admit("messages[].content[]", &key, PART_KEYS)?;
            match &*key {
                "input_audio" => (self.opaque, self.audio) = (true, true),
                "image_url" | "file" => self.opaque = true,
                _ => self.add(self.measure.value(value)),
            }
        }
        Ok(())
    }

    fn tools(&mut self, field: &str, raw: &str) -> Result<(), FieldError> {
        let tools = elements(raw).ok_or_else(|| FieldError::invalid(field, "must be an array"))?;
        if !tools.is_empty() {
            self.add(TOOLS_OVERHEAD);
        }
        for (index, tool) in tools.iter().enumerate() {
            let at = format!("{field}[{index}]");
            let object =
                Object::read(tool.get()).ok_or_else(|| FieldError::invalid(&at, "must be an object"))?;
            if field == "tools" {
                self.tool(&at, &object)?;
            }
            self.add(TOOL_OVERHEAD);
            self.add(self.measure.structure(tool.get()));
        }
        Ok(())
    }

    /// A tool that the caller runs. One that the provider runs has a cost of its own.
    fn tool(&mut self, at: &str, tool: &Object<'_>) -> Result<(), FieldError> {
        let kind = tool.get("type").and_then(unescaped);
        let kind = kind.ok_or_else(|| FieldError::invalid(format!("{at}.type"), "must be a string"))?;
        if !matches!(&*kind, "function" | "custom") {
            let reason = "only tools that the caller runs (`function`, `custom`) have a known cost";
            return Err(FieldError::not_priceable(format!("{at}.type"), reason));
        }
        tool.members().try_for_each(|(key, _)| self.admit("tools[]", &key, TOOL_KEYS))
    }
}

fn elements(raw: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw).ok()
}

fn is_string(raw: &str) -> bool {
    raw.starts_with('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn scan(body: &str) -> Scanned {
        let scanned = Scanned::parse(Bytes::copy_from_slice(body.as_bytes()));
        scanned.unwrap_or_else(|error| unreachable!("{error}: {body}"))
    }

    fn request(body: &str) -> ChatRequest {
        let read = ChatRequest::read(&scan(body), &InertFields::default());
        read.unwrap_or_else(|error| unreachable!("{error}: {body}"))
    }

    fn bound_of(body: &str) -> InputBound {
        request(body).input
    }

    fn exact(body: &str, tokenizer: Tokenizer) -> Option<u64> {
        exact_input_tokens(&scan(body), &request(body), tokenizer)
    }

    fn user(content: &str) -> String {
        format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":{content}}}]}}"#)
    }

    #[test]
    fn text_counts_by_its_bytes_after_unescaping() {
        let overhead = REQUEST_OVERHEAD + MESSAGE_OVERHEAD + 4; // "user"
        for (content, bytes) in
            [(r#""Hello!""#, 6), (r#""\u00e9\n\ud83e\udd80""#, 7), (r#""é🦀""#, 6), ("null", 0), (r#""""#, 0)]
        {
            assert_eq!(
                bound_of(&user(content)),
                InputBound { tokens: overhead + bytes, basis: BoundBasis::Bytes, audio: false },
                "{content}"
            );
        }
        let parts = r#"[{"type":"text","text":"ab"},{"type":"refusal","refusal":"no"}]"#;
        assert_eq!(bound_of(&user(parts)).tokens, overhead + 2 * PART_OVERHEAD + 4 + 2 + 7 + 2);
    }

    #[test]
    fn an_agent_s_conversation_counts_all_that_the_model_reads() {
        let body = r#"{"model":"gpt-4o","messages":[
            {"role":"system","content":"Be brief.","name":"boss"},
            {"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"Zürich\"}"}}]},
            {"role":"tool","tool_call_id":"call_1","content":"{\"sun\":true}"}],
            "tools":[{"type":"function","function":{"name":"get_weather","description":"Weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string","enum":["Zürich","Bern"]}},"required":["city"]},"strict":true}}],
            "response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}}}"#;
        let read = bound_of(body);
        assert_eq!(read.basis, BoundBasis::Bytes);
        let least = REQUEST_OVERHEAD + TOOLS_OVERHEAD + TOOL_OVERHEAD + 3 * MESSAGE_OVERHEAD;
        assert!(read.tokens > least + 400 && read.tokens < least + 700, "{}", read.tokens);
        let counted = exact(body, Tokenizer::O200kBase);
        assert!(counted.is_some_and(|tokens| tokens > least + 60 && tokens < read.tokens), "{counted:?}");
    }

    #[test]
    fn what_is_not_text_counts_as_the_context_window() {
        let image = r#"[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"low"}}]"#;
        let sound = r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]"#;
        let file = r#"[{"type":"file","file":{"file_id":"file-1"}}]"#;
        let disguised = r#"[{"type":"text","text":"","image_url":{"url":"https://x/y.png"}}]"#;
        for content in [image, sound, file, disguised] {
            assert_eq!(bound_of(&user(content)).basis, BoundBasis::ContextWindow, "{content}");
            assert_eq!(exact(&user(content), Tokenizer::O200kBase), None);
        }
        let spoken = r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_1"}}]}"#;
        assert_eq!(bound_of(spoken).basis, BoundBasis::ContextWindow);
    }

    #[test]
    fn the_tokenizers_are_openai_s() {
        // By tiktoken: "Hello, world!" is [13225, 11, 2375, 0] and [9906, 11, 1917, 0].
        assert_eq!(count_text(Tokenizer::O200kBase, "Hello, world!"), 4);
        assert_eq!(count_text(Tokenizer::Cl100kBase, "Hello, world!"), 4);
        assert_eq!(count_text(Tokenizer::O200kBase, ""), 0);
        // "你好世界": o200k has both words, cl100k has not.
        assert!(count_text(Tokenizer::O200kBase, "你好世界") < count_text(Tokenizer::Cl100kBase, "你好世界"));
    }

    #[test]
    fn a_long_text_is_bound_far_tighter_by_its_tokenizer() {
        let body = user(&format!("\"{}\"", "The quick brown fox jumps over the lazy dog. ".repeat(200)));
        let (bytes, counted) = (bound_of(&body).tokens, exact(&body, Tokenizer::O200kBase).unwrap_or(0));
        assert_eq!(bytes, REQUEST_OVERHEAD + MESSAGE_OVERHEAD + 4 + 9000);
        assert!((2001..2400).contains(&counted), "{counted}");
    }

    #[test]
    fn a_schema_counts_alike_however_it_is_spaced() {
        let tools = |schema: &str| {
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{schema}]}}"#)
        };
        let compact = r#"{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}}}"#;
        let spaced = compact.replace(':', " :\n      ").replace('{', "{    ");
        let counts = [compact, &spaced].map(|schema| exact(&tools(schema), Tokenizer::O200kBase));
        assert!(counts[0].is_some() && counts[0] == counts[1], "{counts:?}");
    }

    #[test]
    fn a_schema_counts_for_more_than_its_rendering_in_typescript() {
        let schema = r#"{"type":"function","function":{"name":"get_current_weather","description":"Get the current weather in a given location","parameters":{"type":"object","properties":{"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},"unit":{"type":"string","enum":["celsius","fahrenheit"]}},"required":["location"]}}}"#;
        let rendered = "namespace functions {\n\n// Get the current weather in a given location\ntype get_current_weather = (_: {\n// The city and state, e.g. San Francisco, CA\nlocation: string,\nunit?: \"celsius\" | \"fahrenheit\",\n}) => any;\n\n} // namespace functions";
        for tokenizer in [Tokenizer::O200kBase, Tokenizer::Cl100kBase] {
            assert!(schema::tokens(schema, tokenizer) > count_text(tokenizer, rendered));
        }
        assert!(schema::bytes(schema) > length(rendered));
    }

    proptest! {
        #[test]
        fn no_text_has_more_tokens_than_bytes(text in ".*") {
            for tokenizer in [Tokenizer::O200kBase, Tokenizer::Cl100kBase] {
                prop_assert!(count_text(tokenizer, &text) <= length(&text));
            }
        }

        #[test]
        fn the_exact_count_never_exceeds_the_bound_by_bytes(texts in prop::collection::vec(".*", 1..4), cl100k in any::<bool>()) {
            let messages: Vec<_> = texts.iter().map(|text| serde_json::json!({"role": "user", "content": text})).collect();
            let tools = serde_json::json!([{"type": "custom", "custom": {"name": "f", "description": texts.concat()}}]);
            let body = serde_json::json!({"model": "m", "messages": messages, "tools": tools}).to_string();
            let tokenizer = if cl100k { Tokenizer::Cl100kBase } else { Tokenizer::O200kBase };
            let counted = exact(&body, tokenizer);
            prop_assert!(counted.is_some_and(|tokens| tokens <= bound_of(&body).tokens && tokens >= REQUEST_OVERHEAD));
        }
    }
}
