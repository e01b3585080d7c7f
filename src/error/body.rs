//! The bodies of errors, one shape for each dialect.

use serde::Serialize;
use utoipa::ToSchema;

/// An error, as OpenAI tells it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiError<'a> {
    /// What is wrong.
    pub error: OpenAiErrorDetail<'a>,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiErrorDetail<'a> {
    /// What is wrong and what to do, for people.
    pub message: &'a str,
    /// The kind of error, for clients that know OpenAI's.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The field that it is about.
    pub param: Option<&'a str>,
    /// The code: stable, for programs.
    pub code: &'a str,
}

/// An error, as Anthropic tells it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnthropicError<'a> {
    /// Always `error`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// What is wrong.
    pub error: AnthropicErrorDetail<'a>,
    /// Finds the request in the log.
    pub request_id: Option<&'a str>,
}

/// What is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnthropicErrorDetail<'a> {
    /// The kind of error, for clients that know Anthropic's.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// What is wrong and what to do, for people.
    pub message: &'a str,
    /// The code: stable, for programs.
    pub code: &'a str,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it and what it may be, for people.
    pub detail: String,
}

/// An error as problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: Option<&'a str>,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do, for people.
    pub detail: &'a str,
    /// The code: stable, for programs.
    pub code: &'a str,
    /// The field or parameter that it is about.
    pub param: Option<&'a str>,
    /// What is wrong field by field, where several are.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    pub errors: &'a [FieldError],
    /// Finds the request in the log.
    pub request_id: Option<&'a str>,
}
