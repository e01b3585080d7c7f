//! What is written into a stream: the cost beside the usage, and an error when the stream breaks.

use bytes::Bytes;
use serde::Serialize;

use crate::proxy::scan::Scanned;
use crate::proxy::sse;

/// A streamed event's data with `"cost"` in its usage object, all other bytes as they were. Without a usage
/// object nothing is changed. The cost is in dollars, as a decimal string.
#[must_use]
pub fn usage_chunk_with_cost(data: &[u8], cost: &str) -> Vec<u8> {
    with_cost(data, cost).map_or_else(|| data.to_vec(), Into::into)
}

fn with_cost(data: &[u8], cost: &str) -> Option<Bytes> {
    let chunk = Scanned::parse(Bytes::copy_from_slice(data)).ok()?;
    let usage = Scanned::parse(Bytes::copy_from_slice(chunk.get("usage")?.as_bytes())).ok()?;
    let cost = serde_json::Value::from(cost).to_string();
    let usage = usage.splice(&[("cost", Some(&cost))]);
    Some(chunk.splice(&[("usage", Some(std::str::from_utf8(&usage).ok()?))]))
}

/// An error that ends a stream whose status has long been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StreamError<'a> {
    /// For people.
    pub message: &'a str,
    /// OpenAI's word for the kind, such as `server_error`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The field that it is about.
    pub param: Option<&'a str>,
    /// Nemo's code.
    pub code: Option<&'a str>,
}

impl StreamError<'_> {
    /// The event: `data: {"error":{…}}` and a blank line. The official clients raise it as an API error.
    #[must_use]
    pub fn event(&self) -> Bytes {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: &'a StreamError<'a>,
        }
        // Strings always become JSON.
        sse::event(&serde_json::to_vec(&Envelope { error: self }).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cost(data: &str) -> String {
        String::from_utf8_lossy(&usage_chunk_with_cost(data.as_bytes(), "0.000125")).into_owned()
    }

    #[test]
    fn the_cost_goes_into_usage_and_all_other_bytes_stay() {
        let data =
            r#"{ "id":"x", "choices":[], "usage":{"prompt_tokens":1, "completion_tokens":2 } , "z":1.0 }"#;
        let expected = r#"{ "id":"x", "choices":[], "usage":{"prompt_tokens":1, "completion_tokens":2,"cost":"0.000125" } , "z":1.0 }"#;
        assert_eq!(with_cost(data), expected);
    }

    #[test]
    fn a_provider_s_own_cost_is_replaced() {
        assert_eq!(with_cost(r#"{"usage":{"cost":0.7,"x":1}}"#), r#"{"usage":{"cost":"0.000125","x":1}}"#);
    }

    #[test]
    fn without_a_usage_object_nothing_changes() {
        for data in
            ["[DONE]", r#"{"choices":[]}"#, r#"{"usage":null}"#, r#"{"usage":"many"}"#, "{\"usage\":{", ""]
        {
            assert_eq!(with_cost(data), data);
        }
    }

    #[test]
    fn an_error_in_a_stream_is_one_event_in_openai_s_dialect() {
        let error = StreamError {
            message: "the \"provider\"\nbroke off",
            kind: "server_error",
            param: None,
            code: Some("provider_failed"),
        };
        let expected = "data: {\"error\":{\"message\":\"the \\\"provider\\\"\\nbroke off\",\"type\":\"server_error\",\"param\":null,\"code\":\"provider_failed\"}}\n\n";
        assert_eq!(error.event(), expected.as_bytes());
    }
}
