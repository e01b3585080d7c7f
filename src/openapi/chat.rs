//! What a chat completion looks like. Bodies are scanned and passed on, never parsed into these shapes; a test
//! holds their fields together with those that are understood.
#![expect(dead_code, reason = "shapes that are described and never made")]

use utoipa::ToSchema;

/// A chat completion as OpenAI defines it. Fields that are not listed are refused with `unknown_field` unless
/// the operator admits them with the setting `inert_fields`; listed ones may still be refused with
/// `request_not_priceable` where their cost has no bound.
#[derive(ToSchema)]
pub struct ChatCompletionRequest {
    /// The model, as `GET /v1/models` names it; `provider/model` asks for a provider.
    #[schema(max_length = 256)]
    model: String,
    /// The conversation.
    #[schema(min_items = 1)]
    messages: Vec<Message>,
    /// The most tokens of output, hidden reasoning included. Without a limit one is set, and named in
    /// `x-nemo-output-limit`.
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u64>,
    /// The older name of `max_completion_tokens`.
    #[schema(minimum = 1)]
    max_tokens: Option<u64>,
    /// How many answers.
    #[schema(minimum = 1, maximum = 128)]
    n: Option<u64>,
    /// The answer comes as server-sent events.
    stream: Option<bool>,
    /// Only with `stream`.
    stream_options: Option<StreamOptions>,
    /// Functions that the model may call.
    tools: Option<Vec<Object>>,
    /// Which function it must call.
    #[schema(value_type = Option<Value>)]
    tool_choice: Option<Value>,
    /// An older form of `tools`.
    functions: Option<Vec<Object>>,
    /// An older form of `tool_choice`.
    #[schema(value_type = Option<Value>)]
    function_call: Option<Value>,
    /// The form of the answer.
    #[schema(value_type = Option<Object>)]
    response_format: Option<Object>,
    /// How much the model thinks.
    reasoning_effort: Option<String>,
    /// Only `auto` or `default`; the call is always sent as `default`.
    service_tier: Option<String>,
    /// Only `["text"]`.
    modalities: Option<Vec<String>>,
    /// How entries of the provider's cache last.
    #[schema(value_type = Option<Object>)]
    prompt_cache_options: Option<Object>,
    /// Refused: audio output has no bound in tokens.
    #[schema(value_type = Option<Object>)]
    audio: Option<Object>,
    /// Refused unless false: the call would outlive its request.
    background: Option<bool>,
    /// Refused: rejected predictions are billed beyond the output limit.
    #[schema(value_type = Option<Object>)]
    prediction: Option<Object>,
    /// Refused: searches have no stated maximum.
    #[schema(value_type = Option<Object>)]
    web_search_options: Option<Object>,
    /// Passed on.
    frequency_penalty: Option<f64>,
    /// Passed on.
    #[schema(value_type = Option<Object>)]
    logit_bias: Option<Object>,
    /// Passed on.
    logprobs: Option<bool>,
    /// Passed on.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Object>,
    /// Passed on.
    min_p: Option<f64>,
    /// Passed on.
    parallel_tool_calls: Option<bool>,
    /// Passed on.
    presence_penalty: Option<f64>,
    /// Passed on.
    prompt_cache_key: Option<String>,
    /// Passed on.
    prompt_cache_retention: Option<String>,
    /// Passed on.
    repetition_penalty: Option<f64>,
    /// Passed on.
    safety_identifier: Option<String>,
    /// Passed on.
    seed: Option<i64>,
    /// Passed on: a string, or a list of them.
    #[schema(value_type = Option<Value>)]
    stop: Option<Value>,
    /// Passed on.
    store: Option<bool>,
    /// Passed on.
    temperature: Option<f64>,
    /// Passed on.
    top_k: Option<f64>,
    /// Passed on.
    top_logprobs: Option<u64>,
    /// Passed on.
    top_p: Option<f64>,
    /// Passed on.
    user: Option<String>,
    /// Passed on.
    verbosity: Option<String>,
}

/// Stands for any JSON in the shapes above.
struct Value;
/// Stands for any object.
struct Object;

/// A message.
#[derive(ToSchema)]
#[schema(as = ChatMessage)]
pub struct Message {
    /// Who speaks: `system`, `developer`, `user`, `assistant`, `tool`.
    role: String,
    /// A text, or a list of parts.
    #[schema(value_type = Option<Value>)]
    content: Option<Value>,
}

/// How an answer streams.
#[derive(ToSchema)]
pub struct StreamOptions {
    /// Whether a last chunk tells the usage.
    include_usage: Option<bool>,
    /// Passed on.
    include_obfuscation: Option<bool>,
}

/// The provider's answer, as it came, malformed or not.
#[derive(ToSchema)]
pub struct ChatCompletion {
    /// The provider's id for it.
    id: Option<String>,
    /// The answers.
    choices: Option<Vec<Choice>>,
    /// Tokens, as the provider counts them.
    #[schema(value_type = Option<Value>)]
    usage: Option<Value>,
}

/// One answer.
#[derive(ToSchema)]
#[schema(as = ChatChoice)]
pub struct Choice {
    /// Counts the answers, from 0.
    index: u64,
    /// What the model says.
    #[schema(value_type = Object)]
    message: Object,
    /// Why it stopped.
    finish_reason: Option<String>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test fails loudly")]
    use std::collections::BTreeSet;

    use utoipa::PartialSchema;
    use utoipa::openapi::RefOr;
    use utoipa::openapi::schema::Schema;

    use super::*;
    use crate::providers::openai::understood_fields;

    #[test]
    fn the_request_lists_exactly_the_fields_that_are_understood() {
        let RefOr::T(Schema::Object(object)) = ChatCompletionRequest::schema() else { panic!("an object") };
        let described: BTreeSet<&str> = object.properties.keys().map(String::as_str).collect();
        let understood: BTreeSet<&str> = understood_fields().collect();
        assert_eq!(described, understood);
    }
}
