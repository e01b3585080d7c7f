//! A chat request: the fields that bear on its price.

use super::fields::{FieldError, InertFields, PRICED};
use super::input::{self, InputBound};
use crate::proxy::scan::{Object, Scanned, unescaped};

/// Choices that one request can ask for, by OpenAI's own limit.
const MOST_CHOICES: u64 = 128;
/// Model names end up in events; none is longer than this.
const LONGEST_MODEL: usize = 256;
const STREAM_OPTIONS: &[&str] = &["include_usage", "include_obfuscation"];
pub(super) const INCLUDE_USAGE: &str = "include_usage";

/// A chat request, as far as its price goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRequest {
    /// The model as the caller named it.
    pub model: String,
    /// Choices asked for (`n`), at least 1. With more than one, output may be hidden until usage is reported.
    pub choices: u64,
    /// The request's own output limit for each choice, at least 1.
    pub output_limit: Option<u64>,
    /// The name under which the request gave its limit.
    pub limit_field: Option<LimitField>,
    /// The answer streams.
    pub streams: bool,
    /// The caller asked for the usage chunk. It is always asked of the provider, and stripped if this is false.
    pub wants_usage: bool,
    /// The most tokens in.
    pub input: InputBound,
}

/// The two names of the output limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitField {
    /// The older name.
    MaxTokens,
    /// The newer name, the only one that OpenAI's reasoning models accept.
    MaxCompletionTokens,
}

impl LimitField {
    /// The field's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`FieldError`]: the request is then not sent.
    pub fn read(body: &Scanned, inert: &InertFields) -> Result<Self, FieldError> {
        if let Some(name) = body.names().find(|name| !PRICED.contains(name) && !inert.contains(name)) {
            return Err(FieldError::unknown(name));
        }
        refuse_unpriceable(body)?;
        let (output_limit, limit_field) = output_limit(body)?;
        let streams = flag(body, "stream")?;
        if let Some(effort) = member(body, "reasoning_effort") {
            string("reasoning_effort", effort)?;
        }
        Ok(Self {
            model: model(body)?,
            choices: choices(body)?,
            output_limit,
            limit_field,
            streams,
            wants_usage: wants_usage(body, inert, streams)?,
            input: input::bound(body, inert)?,
        })
    }
}

/// A member that is there and not `null`, which this dialect takes for absent.
pub(super) fn member<'a>(body: &'a Scanned, name: &str) -> Option<&'a str> {
    body.get(name).filter(|raw| *raw != "null")
}

fn refuse_unpriceable(body: &Scanned) -> Result<(), FieldError> {
    let fields = [
        ("web_search_options", "searches that the provider runs have no stated maximum"),
        ("prediction", "rejected predictions are billed beyond the output limit"),
        ("audio", "audio output has no bound in tokens"),
        ("background", "the call would outlive its request"),
    ];
    for (field, reason) in fields {
        if member(body, field).is_some_and(|raw| raw != "false") {
            return Err(FieldError::not_priceable(field, reason));
        }
    }
    modalities(body)?;
    service_tier(body)?;
    cache_options(body)
}

fn modalities(body: &Scanned) -> Result<(), FieldError> {
    let Some(raw) = member(body, "modalities") else { return Ok(()) };
    let modalities: Vec<String> = serde_json::from_str(raw)
        .map_err(|_| FieldError::invalid("modalities", "must be an array of strings"))?;
    if modalities.iter().all(|modality| modality == "text") {
        return Ok(());
    }
    Err(FieldError::not_priceable("modalities", "only text output has a bound in tokens"))
}

fn service_tier(body: &Scanned) -> Result<(), FieldError> {
    let Some(raw) = member(body, "service_tier") else { return Ok(()) };
    match string("service_tier", raw)?.as_str() {
        "auto" | "default" => Ok(()),
        _ => {
            Err(FieldError::not_priceable("service_tier", "only the prices of the tier `default` are known"))
        }
    }
}

/// The one lifetime of cache entries that OpenAI has today; another would have another price.
fn cache_options(body: &Scanned) -> Result<(), FieldError> {
    let field = "prompt_cache_options";
    let Some(raw) = member(body, field) else { return Ok(()) };
    let options = Object::read(raw).ok_or_else(|| FieldError::invalid(field, "must be an object"))?;
    for (key, value) in options.members() {
        match (key.as_ref(), value) {
            ("mode", _) | ("ttl", "\"30m\"" | "null") => {}
            _ => return Err(FieldError::not_priceable(format!("{field}.{key}"), "its price is not known")),
        }
    }
    Ok(())
}

fn model(body: &Scanned) -> Result<String, FieldError> {
    let raw = member(body, "model").ok_or_else(|| FieldError::invalid("model", "is missing"))?;
    let model = string("model", raw)?;
    match model.len() {
        0 => Err(FieldError::invalid("model", "must not be empty")),
        1..=LONGEST_MODEL => Ok(model),
        _ => Err(FieldError::invalid("model", "is longer than 256 bytes")),
    }
}

fn choices(body: &Scanned) -> Result<u64, FieldError> {
    let choices = whole_number(body, "n")?.unwrap_or(1);
    if choices > MOST_CHOICES { Err(FieldError::invalid("n", "must be at most 128")) } else { Ok(choices) }
}

fn output_limit(body: &Scanned) -> Result<(Option<u64>, Option<LimitField>), FieldError> {
    let (old, new) = (LimitField::MaxTokens, LimitField::MaxCompletionTokens);
    match (whole_number(body, old.as_str())?, whole_number(body, new.as_str())?) {
        (Some(_), Some(_)) => {
            Err(FieldError::invalid(old.as_str(), "cannot be given together with `max_completion_tokens`"))
        }
        (Some(limit), None) => Ok((Some(limit), Some(old))),
        (None, Some(limit)) => Ok((Some(limit), Some(new))),
        (None, None) => Ok((None, None)),
    }
}

fn wants_usage(body: &Scanned, inert: &InertFields, streams: bool) -> Result<bool, FieldError> {
    let field = "stream_options";
    let Some(raw) = member(body, field) else { return Ok(false) };
    if !streams {
        return Err(FieldError::invalid(field, "is only allowed when `stream` is true"));
    }
    let options = Object::read(raw).ok_or_else(|| FieldError::invalid(field, "must be an object"))?;
    for (key, _) in options.members() {
        inert.admit(field, &key, STREAM_OPTIONS)?;
    }
    boolean("stream_options.include_usage", options.get(INCLUDE_USAGE))
}

fn flag(body: &Scanned, field: &str) -> Result<bool, FieldError> {
    boolean(field, body.get(field))
}

fn boolean(field: &str, raw: Option<&str>) -> Result<bool, FieldError> {
    match raw {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(FieldError::invalid(field, "must be true or false")),
    }
}

fn string(field: &str, raw: &str) -> Result<String, FieldError> {
    unescaped(raw).map(Into::into).ok_or_else(|| FieldError::invalid(field, "must be a string"))
}

/// A whole number of at least 1.
fn whole_number(body: &Scanned, field: &str) -> Result<Option<u64>, FieldError> {
    let Some(raw) = member(body, field) else { return Ok(None) };
    if !raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(FieldError::invalid(field, "must be a number"));
    }
    if raw.contains(['.', 'e', 'E']) {
        return Err(FieldError::invalid(
            field,
            "must be a whole number, written without a point or exponent",
        ));
    }
    match raw.parse::<u64>() {
        Ok(number @ 1..) => Ok(Some(number)),
        Ok(_) => Err(FieldError::invalid(field, "must be at least 1")),
        Err(_) if raw.starts_with('-') => Err(FieldError::invalid(field, "must be at least 1")),
        Err(_) => Err(FieldError::invalid(field, "is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use nemo_events::key::BoundBasis;

    const HELLO: &str = r#""messages":[{"role":"user","content":"Hello!"}]"#;

    fn scan(body: &str) -> Scanned {
        let scanned = Scanned::parse(Bytes::copy_from_slice(body.as_bytes()));
        scanned.unwrap_or_else(|error| unreachable!("{error}: {body}"))
    }

    /// A request with these members more.
    fn with(members: &str) -> String {
        format!(r#"{{"model":"gpt-4o",{HELLO}{}{members}}}"#, if members.is_empty() { "" } else { "," })
    }

    fn read(body: &str) -> Result<ChatRequest, FieldError> {
        ChatRequest::read(&scan(body), &InertFields::default())
    }

    fn request(body: &str) -> ChatRequest {
        read(body).unwrap_or_else(|error| unreachable!("{error}: {body}"))
    }

    #[test]
    fn the_smallest_request_has_one_choice_and_no_limit() {
        let request = request(&with(""));
        assert_eq!((request.model.as_str(), request.choices), ("gpt-4o", 1));
        assert_eq!((request.output_limit, request.limit_field), (None, None));
        assert_eq!((request.streams, request.wants_usage), (false, false));
        assert_eq!(request.input.basis, BoundBasis::Bytes);
    }

    #[test]
    fn a_request_with_everything_that_has_a_price_or_none_is_read() {
        let body = with(
            r#""max_completion_tokens":500,"n":3,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","maximum":1e400}}}],"tool_choice":"auto",
            "response_format":{"type":"json_object"},"modalities":["text"],"reasoning_effort":"low","service_tier":"auto",
            "prompt_cache_options":{"mode":"implicit","ttl":"30m"},"background":false,"prediction":null,"audio":null,
            "temperature":0.2,"top_p":1,"seed":7,"stop":["x"],"logit_bias":{"1":2},"logprobs":true,"top_logprobs":2,"user":"u",
            "metadata":{"a":"b"},"store":false,"parallel_tool_calls":true,"verbosity":"low","prompt_cache_key":"k","top_k":40"#,
        );
        let request = request(&body);
        assert_eq!((request.choices, request.output_limit), (3, Some(500)));
        assert_eq!(request.limit_field, Some(LimitField::MaxCompletionTokens));
        assert!(request.streams && request.wants_usage);
    }

    #[test]
    fn null_is_absent_as_the_official_clients_take_it() {
        let body = with(
            r#""max_tokens":null,"max_completion_tokens":9,"n":null,"stream":null,"stream_options":null,"tools":null,"service_tier":null,"modalities":null,"web_search_options":null"#,
        );
        assert_eq!(request(&body).output_limit, Some(9));
    }

    #[test]
    fn a_field_that_nobody_understands_is_refused_by_name() {
        let unknown = |body: &str, name: &str| {
            assert_eq!(read(body), Err(FieldError::UnknownField { name: name.into() }), "{body}");
        };
        unknown(&with(r#""moderation":{"model":"omni-moderation-latest"}"#), "moderation");
        unknown(&with(r#""MAX_TOKENS":5"#), "MAX_TOKENS");
        unknown(
            &with(r#""stream":true,"stream_options":{"continuous_usage_stats":true}"#),
            "stream_options.continuous_usage_stats",
        );
        unknown(
            r#"{"model":"m","messages":[{"role":"user","content":"x","images":["…"]}]}"#,
            "messages[].images",
        );
        let part = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x","Image_url":{}}]}]}"#;
        unknown(part, "messages[].content[].Image_url");
        unknown(
            &with(r#""tools":[{"type":"function","function":{},"google_search":{}}]"#),
            "tools[].google_search",
        );
    }

    #[test]
    fn the_setting_admits_a_field_by_the_name_in_the_error_but_none_that_is_not_priceable() {
        let added =
            ["top_a", "stream_options.x", "messages[].images", "web_search_options"].map(str::to_owned);
        let inert = InertFields::with(added);
        let body = r#"{"model":"m","top_a":1,"stream":true,"stream_options":{"x":1},"messages":[{"role":"user","content":"","images":[]}]}"#;
        assert!(ChatRequest::read(&scan(body), &inert).is_ok());
        let searching = ChatRequest::read(&scan(&with(r#""web_search_options":{}"#)), &inert);
        assert!(matches!(searching, Err(FieldError::NotPriceable { .. })));
    }

    #[test]
    fn what_has_no_bound_is_not_priceable_and_is_named() {
        let refused = |members: &str, name: &str| match read(&with(members)) {
            Err(FieldError::NotPriceable { field, .. }) => assert_eq!(field, name, "{members}"),
            other => unreachable!("{members}: {other:?}"),
        };
        refused(r#""web_search_options":{}"#, "web_search_options");
        refused(r#""modalities":["text","audio"]"#, "modalities");
        refused(r#""audio":{"voice":"alloy","format":"wav"}"#, "audio");
        refused(r#""background":true"#, "background");
        refused(r#""prediction":{"type":"content","content":"x"}"#, "prediction");
        refused(r#""service_tier":"flex""#, "service_tier");
        refused(r#""service_tier":"priority""#, "service_tier");
        refused(r#""prompt_cache_options":{"ttl":"12h"}"#, "prompt_cache_options.ttl");
        refused(r#""tools":[{"type":"web_search"}]"#, "tools[0].type");
        let video = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"video_url"}]}]}"#;
        assert!(
            matches!(read(video), Err(FieldError::NotPriceable { field, .. }) if field == "messages[0].content[0].type")
        );
    }

    #[test]
    fn wrong_types_and_ranges_are_refused_by_name() {
        let invalid = |members: &str, name: &str| match read(&with(members)) {
            Err(FieldError::Invalid { field, .. }) => assert_eq!(field, name, "{members}"),
            other => unreachable!("{members}: {other:?}"),
        };
        for bad in ["0", "-1", "1.5", "1.0", "1e3", "\"5\"", "[]", "true", "99999999999999999999"] {
            invalid(&format!(r#""max_tokens":{bad}"#), "max_tokens");
            invalid(&format!(r#""max_completion_tokens":{bad}"#), "max_completion_tokens");
            invalid(&format!(r#""n":{bad}"#), "n");
        }
        invalid(r#""n":129"#, "n");
        invalid(r#""max_tokens":5,"max_completion_tokens":5"#, "max_tokens");
        invalid(r#""stream":"yes""#, "stream");
        invalid(r#""stream_options":{"include_usage":true}"#, "stream_options");
        invalid(r#""stream":true,"stream_options":[]"#, "stream_options");
        invalid(r#""stream":true,"stream_options":{"include_usage":1}"#, "stream_options.include_usage");
        invalid(r#""modalities":"text""#, "modalities");
        invalid(r#""service_tier":1"#, "service_tier");
        invalid(r#""reasoning_effort":3"#, "reasoning_effort");
        invalid(r#""tools":{}"#, "tools");
        invalid(r#""tools":[1]"#, "tools[0]");
        invalid(r#""tools":[{"function":{}}]"#, "tools[0].type");
        for (body, name) in [
            (format!("{{{HELLO}}}"), "model"),
            (format!(r#"{{"model":"",{HELLO}}}"#), "model"),
            (format!(r#"{{"model":7,{HELLO}}}"#), "model"),
            (format!(r#"{{"model":"{}",{HELLO}}}"#, "m".repeat(257)), "model"),
            (r#"{"model":"m"}"#.to_owned(), "messages"),
            (r#"{"model":"m","messages":"hi"}"#.to_owned(), "messages"),
            (r#"{"model":"m","messages":[]}"#.to_owned(), "messages"),
            (r#"{"model":"m","messages":["hi"]}"#.to_owned(), "messages[0]"),
            (r#"{"model":"m","messages":[{"content":"hi"}]}"#.to_owned(), "messages[0].role"),
            (r#"{"model":"m","messages":[{"role":"user","content":{}}]}"#.to_owned(), "messages[0].content"),
            (
                r#"{"model":"m","messages":[{"role":"user","content":["hi"]}]}"#.to_owned(),
                "messages[0].content[0]",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user","content":[{"text":"hi"}]}]}"#.to_owned(),
                "messages[0].content[0].type",
            ),
        ] {
            assert!(
                matches!(read(&body), Err(FieldError::Invalid { field, .. }) if field == name),
                "{body}: {:?}",
                read(&body)
            );
        }
    }
}
