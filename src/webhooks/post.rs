//! One attempt to deliver a message. What the receiver says besides its status is not read, and a redirect is not
//! followed: it would be sent what was meant for somebody else.

use std::error::Error;
use std::time::{Duration, Instant};

use nemo_events::{EventId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Webhook;
use super::message::Message;

const MICROS_PER_SEC: i64 = 1_000_000;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered(u16),
    /// The receiver wants no such thing any more (410).
    Gone,
    /// It answered something else.
    Refused(u16),
    /// It did not answer in time.
    TimedOut(u32),
    /// It could not be reached, or hung up.
    Unreachable(String),
}

impl Outcome {
    /// The word that metrics use.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Gone => "gone",
            Self::Refused(_) => "refused",
            Self::TimedOut(_) => "timed_out",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// The receiver's status, if it had one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Delivered(status) | Self::Refused(status) => Some(*status),
            Self::Gone => Some(410),
            Self::TimedOut(_) | Self::Unreachable(_) => None,
        }
    }

    /// What went wrong, for people; `None` where nothing did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Delivered(_) => None,
            Self::Gone => Some("it answered 410: it wants no such thing any more".to_owned()),
            Self::Refused(status @ 300..=399) => {
                Some(format!("it answered {status}: redirects are not followed"))
            }
            Self::Refused(status) => Some(format!("it answered {status}")),
            Self::TimedOut(secs) => Some(format!("it did not answer within {secs} s")),
            Self::Unreachable(why) => Some(format!("it cannot be reached: {why}")),
        }
    }
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookTested)]
pub struct Tested {
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The message's id, `webhook-id`.
    pub id: EventId,
    /// The receiver's status; `null` if it did not answer.
    pub status: Option<u16>,
    /// What went wrong; `null` if nothing did.
    pub error: Option<String>,
    /// How long that took, in milliseconds.
    pub duration_ms: u64,
}

impl Webhook {
    /// Sends a test, once, whatever else waits.
    pub async fn test(&self, now: Timestamp) -> Tested {
        let (id, began) = (EventId::from_uuid(Uuid::now_v7()), Instant::now());
        let outcome = match Message::test(id, &self.entry.name, now) {
            Ok(message) => self.post(&message, now).await,
            Err(error) => Outcome::Unreachable(error.to_string()),
        };
        Tested {
            delivered: outcome.trouble().is_none(),
            id,
            status: outcome.status(),
            error: outcome.trouble(),
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Sends a message, once.
    pub(super) async fn post(&self, message: &Message, now: Timestamp) -> Outcome {
        let headers = match message.headers(&self.secrets.load(), now.as_micros() / MICROS_PER_SEC) {
            Ok(headers) => headers,
            Err(error) => return Outcome::Unreachable(error.to_string()),
        };
        let secs = self.entry.timeout_secs;
        let request = self.http.post(self.entry.url.clone()).headers(headers).body(message.body.clone());
        let sent = request.timeout(Duration::from_secs(secs.into())).send().await;
        match sent.map(|answer| answer.status().as_u16()) {
            Ok(status @ 200..=299) => Outcome::Delivered(status),
            Ok(410) => Outcome::Gone,
            Ok(status) => Outcome::Refused(status),
            Err(error) if error.is_timeout() => Outcome::TimedOut(secs),
            Err(error) => Outcome::Unreachable(chain(&error.without_url())),
        }
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let sources = std::iter::successors(Some(error), |&error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
