//! Which fields of a request are understood, and what is said about the others.

use std::collections::BTreeSet;

/// Why a request's fields keep it from being priced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Not known here, so nobody can say that it leaves the price alone.
    #[error(
        "the field `{name}` is not understood, so what it costs is not known; an operator can admit it with the setting `inert_fields`"
    )]
    UnknownField {
        /// As `inert_fields` would name it, such as `top_a` or `messages[].images`.
        name: String,
    },
    /// Known, and its cost has no bound.
    #[error("`{field}` cannot be priced: {reason}")]
    NotPriceable {
        /// Where, such as `messages[2].content[0].type`.
        field: String,
        /// Why.
        reason: &'static str,
    },
    /// Of the wrong type, out of range, or missing.
    #[error("`{field}` {reason}")]
    Invalid {
        /// Where.
        field: String,
        /// What it must be.
        reason: &'static str,
    },
}

impl FieldError {
    /// The field that the error is about: `param` in OpenAI's error body.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::UnknownField { name } => name,
            Self::NotPriceable { field, .. } | Self::Invalid { field, .. } => field,
        }
    }

    pub(super) fn unknown(name: &str) -> Self {
        const LONGEST: usize = 100;
        Self::UnknownField { name: name.chars().take(LONGEST).collect() }
    }

    pub(super) fn not_priceable(field: impl Into<String>, reason: &'static str) -> Self {
        Self::NotPriceable { field: field.into(), reason }
    }

    pub(super) fn invalid(field: impl Into<String>, reason: &'static str) -> Self {
        Self::Invalid { field: field.into(), reason }
    }
}

/// The fields that bear on the price, each of them read in `request.rs` or refused by name.
pub(super) const PRICED: &[&str] = &[
    "audio",
    "background",
    "function_call",
    "functions",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "modalities",
    "model",
    "n",
    "prediction",
    "prompt_cache_options",
    "reasoning_effort",
    "response_format",
    "service_tier",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
    "web_search_options",
];

/// The fields that cannot move the price beyond the hold, and so pass through unread. They choose among
/// outputs within the output limit (sampling, `stop`, `seed`, `logit_bias`, `verbosity`), add to the answer
/// what is not billed (`logprobs`), name whom or what the call is for (`user`, `metadata`,
/// `safety_identifier`), or say where the provider keeps things (`store`, the cache key and its retention: the
/// hold is at the dearest of the plain and the cache prices). The last three are what other providers of
/// this dialect call their sampling knobs.
const INERT: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "stop",
    "store",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "min_p",
    "repetition_penalty",
    "top_k",
];

/// Every field that is understood without a setting.
pub fn understood_fields() -> impl Iterator<Item = &'static str> {
    PRICED.iter().chain(INERT).copied()
}

/// Fields that do not move the price: the built-in ones and those that the setting `inert_fields` adds.
/// No setting can admit a field that is known not to be priceable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InertFields {
    added: BTreeSet<String>,
}

impl InertFields {
    /// The built-in fields and these, named as [`FieldError::UnknownField`] names them.
    pub fn with(added: impl IntoIterator<Item = String>) -> Self {
        Self { added: added.into_iter().collect() }
    }

    /// Whether a field is inert.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        INERT.contains(&name) || self.added.contains(name)
    }

    /// Admits a field inside another if it is one of those known there, or was added.
    pub(super) fn admit(&self, parent: &str, key: &str, known: &[&str]) -> Result<(), FieldError> {
        if known.contains(&key) {
            return Ok(());
        }
        let name = format!("{parent}.{key}");
        if self.added.contains(&name) { Ok(()) } else { Err(FieldError::unknown(&name)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_both_priced_and_inert() {
        assert!(PRICED.iter().all(|name| !INERT.contains(name)));
    }

    #[test]
    fn an_unknown_field_s_message_names_the_field_and_the_setting() {
        let message = FieldError::unknown("top_a").to_string();
        assert!(message.contains("`top_a`") && message.contains("`inert_fields`"), "{message}");
        assert_eq!(FieldError::unknown(&"é".repeat(5000)).field().chars().count(), 100);
    }
}
