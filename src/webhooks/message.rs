//! What is sent: a body and three headers after the Standard Webhooks scheme. The body of an event is the same
//! at every attempt; its signature covers the moment of the attempt.

use bytes::Bytes;
use nemo_events::{EventId, Position, Timestamp};
use nemo_read_model::OutboxRow;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::auth::webhook_secret::WebhookSecrets;

/// The type of a message that only tests whether the receiver takes one.
const TEST: &str = "webhook.test";

/// A message, ready to be signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The same at every attempt.
    pub(super) id: EventId,
    /// JSON.
    pub(super) body: Bytes,
}

#[derive(Serialize)]
struct Body<'a, D: Serialize> {
    r#type: &'a str,
    timestamp: Timestamp,
    id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    data: D,
}

#[derive(Serialize)]
struct Test<'a> {
    webhook: &'a str,
}

impl Message {
    /// What is told of an event.
    ///
    /// # Errors
    /// An outbox that does not hold what was written to it.
    pub(super) fn of(row: &OutboxRow) -> Result<Self, serde_json::Error> {
        let data: &RawValue = serde_json::from_str(&row.data)?;
        let position = Some(row.position);
        Self::new(row.event, row.kind.as_str(), row.recorded_at, position, data)
    }

    /// What tests a webhook.
    ///
    /// # Errors
    /// None: a name and a time can be written as JSON.
    pub(super) fn test(id: EventId, webhook: &str, now: Timestamp) -> Result<Self, serde_json::Error> {
        Self::new(id, TEST, now, None, Test { webhook })
    }

    fn new(
        id: EventId,
        kind: &str,
        timestamp: Timestamp,
        position: Option<Position>,
        data: impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_vec(&Body { r#type: kind, timestamp, id, position, data })?;
        Ok(Self { id, body: body.into() })
    }

    /// The headers of an attempt at this second.
    ///
    /// # Errors
    /// None: an id, a number and base64 can stand in a header.
    pub(super) fn headers(
        &self,
        secrets: &WebhookSecrets,
        now_secs: i64,
    ) -> Result<HeaderMap, InvalidHeaderValue> {
        let id = self.id.to_string();
        let signature = secrets.sign(&id, now_secs, &self.body);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("webhook-id"), id.parse()?);
        headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(now_secs));
        headers.insert(HeaderName::from_static("webhook-signature"), signature.parse()?);
        Ok(headers)
    }
}
