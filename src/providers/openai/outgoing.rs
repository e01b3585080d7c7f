//! The body that goes on to the provider: the one received, with what the gateway decided spliced in.

use bytes::Bytes;

use super::request::{ChatRequest, INCLUDE_USAGE, LimitField, member};
use crate::proxy::scan::Scanned;

/// Which names of the output limit a provider obeys. One that it ignores would leave the output unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputLimitField {
    /// Both: the caller's choice is kept, and `max_completion_tokens` used where the caller made none.
    #[default]
    Both,
    /// `max_tokens` only, whatever the caller used.
    MaxTokens,
}

/// Whether a provider has service tiers with prices of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServiceTier {
    /// It has, as OpenAI has: `default` is always asked for, since a project may be set up for another one.
    #[default]
    Default,
    /// It has none by that name: the field is not sent.
    None,
}

/// What a provider of this dialect understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flavour {
    /// How it is told the output limit.
    pub output_limit: OutputLimitField,
    /// How it is told the service tier.
    pub service_tier: ServiceTier,
}

impl ChatRequest {
    /// The body that the provider gets: the one received, with its own name of the model, the output limit for
    /// each choice, the usage chunk asked for if it streams, and the service tier. What already says so stays.
    #[must_use]
    pub fn outgoing(&self, body: &Scanned, model: &str, output_limit: u64, flavour: Flavour) -> Bytes {
        let mut edits: Vec<(&str, Option<String>)> = Vec::with_capacity(5);
        if model != self.model {
            edits.push(("model", Some(serde_json::Value::from(model).to_string())));
        }
        self.limit_edits(output_limit, flavour.output_limit, &mut edits);
        if self.streams && !self.wants_usage {
            edits.push(("stream_options", Some(with_usage(member(body, "stream_options")))));
        }
        let tier = body.get("service_tier");
        match flavour.service_tier {
            ServiceTier::Default if tier != Some("\"default\"") => {
                edits.push(("service_tier", Some("\"default\"".to_owned())));
            }
            ServiceTier::None if tier.is_some() => edits.push(("service_tier", None)),
            ServiceTier::Default | ServiceTier::None => {}
        }
        let edits: Vec<_> = edits.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        body.splice(&edits)
    }

    fn limit_edits(&self, limit: u64, knows: OutputLimitField, edits: &mut Vec<(&str, Option<String>)>) {
        let field = match knows {
            OutputLimitField::Both => self.limit_field.unwrap_or(LimitField::MaxCompletionTokens),
            OutputLimitField::MaxTokens => LimitField::MaxTokens,
        };
        let asked = self.limit_field.filter(|asked| *asked != field);
        edits.extend(asked.map(|asked| (asked.as_str(), None)));
        if asked.is_some() || self.output_limit != Some(limit) {
            edits.push((field.as_str(), Some(limit.to_string())));
        }
    }
}

/// Stream options that ask for the usage chunk, whatever else they ask for.
fn with_usage(options: Option<&str>) -> String {
    let edit = [(INCLUDE_USAGE, Some("true"))];
    let merged = options
        .and_then(|raw| Scanned::parse(Bytes::copy_from_slice(raw.as_bytes())).ok())
        .and_then(|scanned| String::from_utf8(scanned.splice(&edit).into()).ok());
    merged.unwrap_or_else(|| r#"{"include_usage":true}"#.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::openai::InertFields;

    const HELLO: &str = r#""messages":[{"role":"user","content":"Hello!"}]"#;

    fn scan(body: &str) -> Scanned {
        let scanned = Scanned::parse(Bytes::copy_from_slice(body.as_bytes()));
        scanned.unwrap_or_else(|error| unreachable!("{error}: {body}"))
    }

    /// A request with these members more.
    fn with(members: &str) -> String {
        format!(r#"{{"model":"gpt-4o",{HELLO}{}{members}}}"#, if members.is_empty() { "" } else { "," })
    }

    fn request(body: &str) -> ChatRequest {
        let read = ChatRequest::read(&scan(body), &InertFields::default());
        read.unwrap_or_else(|error| unreachable!("{error}: {body}"))
    }

    fn sent(body: &str, model: &str, limit: u64, flavour: Flavour) -> String {
        let bytes = request(body).outgoing(&scan(body), model, limit, flavour);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_request_that_already_says_everything_goes_on_byte_for_byte() {
        let body = with(
            r#" "max_tokens": 10, "stream":true,"stream_options":{"include_usage":true},"service_tier":"default""#,
        );
        assert_eq!(sent(&body, "gpt-4o", 10, Flavour::default()), body);
    }

    #[test]
    fn model_limit_and_tier_are_spliced_into_what_was_received() {
        let body = format!(r#"{{ "model" : "mine", {HELLO} , "temperature": 0.10 }}"#);
        let expected = format!(
            r#"{{ "model" : "gpt-4o\"", {HELLO} , "temperature": 0.10,"max_completion_tokens":4096,"service_tier":"default" }}"#
        );
        assert_eq!(sent(&body, "gpt-4o\"", 4096, Flavour::default()), expected);
    }

    #[test]
    fn the_limit_goes_under_the_caller_s_name_or_the_one_that_the_provider_obeys() {
        let tier = r#","service_tier":"default"}"#;
        let old = with(r#""max_tokens":100"#);
        let lowered = old.replace("100}", "50") + tier;
        assert_eq!(sent(&old, "gpt-4o", 50, Flavour::default()), lowered);
        let only_old = Flavour { output_limit: OutputLimitField::MaxTokens, service_tier: ServiceTier::None };
        assert_eq!(sent(&old, "gpt-4o", 100, only_old), old);
        assert_eq!(sent(&with(r#""max_completion_tokens":100"#), "gpt-4o", 100, only_old), old);
        assert_eq!(sent(&with(""), "gpt-4o", 100, only_old), old);
        assert_eq!(sent(&with(r#""service_tier":"auto""#), "gpt-4o", 100, only_old), old);
        let null = with(r#""max_completion_tokens":null"#);
        assert_eq!(sent(&null, "gpt-4o", 7, Flavour::default()), null.replace("null}", "7") + tier);
    }

    #[test]
    fn a_stream_is_always_asked_for_its_usage() {
        let flavour = Flavour { service_tier: ServiceTier::None, ..Flavour::default() };
        let options = |given: &str| {
            let body = with(&format!(r#""max_tokens":1,"stream":true{given}"#));
            let sent = sent(&body, "gpt-4o", 1, flavour);
            sent.split_once(r#""stream_options":"#).map(|(_, options)| options.to_owned()).unwrap_or_default()
        };
        assert_eq!(options(""), r#"{"include_usage":true}}"#);
        assert_eq!(options(r#","stream_options":null"#), r#"{"include_usage":true}}"#);
        assert_eq!(options(r#","stream_options":{"include_usage": false}"#), r#"{"include_usage": true}}"#);
        let kept = options(r#","stream_options":{ "include_obfuscation":false }"#);
        assert_eq!(kept, r#"{ "include_obfuscation":false,"include_usage":true }}"#);
    }
}
