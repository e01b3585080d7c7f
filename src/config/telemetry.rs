//! `[telemetry]`.

use reqwest::Url;

use super::kind::{Flag, Optional, Text, Whole, not_empty};
use super::reference::section;

const ADDRESS: &str =
    "an http or https URL without a name or password, such as \"http://127.0.0.1:4318/v1/traces\"";

section! {
    /// `[telemetry]`: traces for OpenTelemetry. Off unless they have somewhere to go.
    pub struct Telemetry in "[telemetry]" {
        /// Where traces are sent, by OTLP over HTTP. What the collector wants to see in headers stands in `OTEL_EXPORTER_OTLP_HEADERS`.
        otlp_endpoint: Option<Url> = Optional(Text(ADDRESS, address)), "none: no traces";
        /// The service's name in traces.
        service_name: String = Text("a name", not_empty::<String>), "nemo";
        /// Of a hundred calls so many are traced; a caller who sends `traceparent` decides for itself.
        sample_percent: u8 = Whole(0..=100), "100";
        /// Whether providers are sent a `traceparent` too.
        send_traceparent: bool = Flag, "false";
    }
}

fn address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain).then_some(url)
}
