//! Where a webhook stands, for those who look.

use nemo_events::{EventId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::Kept;
use nemo_projections::notice::NoticeKind;

/// Where a webhook stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// How far it has come.
    pub cursor: Kept,
    /// What was delivered last, since the start.
    pub delivered: Option<Finished>,
    /// What is tried again.
    pub failing: Option<Failing>,
    /// What was given up last, since the start.
    pub given_up: Option<Finished>,
}

/// An event that is not sent any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookFinished)]
pub struct Finished {
    /// The event's id.
    pub event: EventId,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: NoticeKind,
    /// When that was.
    pub at: Timestamp,
}

/// An event whose delivery has failed and is tried again. All that come after it wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookFailing)]
pub struct Failing {
    /// The event's id.
    pub event: EventId,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: NoticeKind,
    /// When the first attempt failed.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u64,
    /// What went wrong the last time.
    pub error: String,
    /// When it is tried again.
    pub next_at: Timestamp,
    /// When it is given up.
    pub given_up_at: Timestamp,
}
