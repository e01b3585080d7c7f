//! Webhooks.

use nemo_events::Timestamp;
use serde::Deserialize;

/// A webhook, as the server knows it.
#[derive(Debug, Deserialize)]
pub struct WebhookRow {
    /// Its name.
    pub name: String,
    /// Where messages go, as far as that is told.
    pub receiver: String,
    /// What it is told of.
    pub events: Vec<String>,
    /// How it stands.
    pub state: String,
    /// How far it has come.
    pub position: Option<u64>,
    /// Messages that wait.
    pub backlog: Option<u64>,
    /// When the oldest of them was recorded.
    pub oldest: Option<Timestamp>,
    /// What was delivered last.
    pub delivered: Option<FinishedMessage>,
    /// What is tried again.
    pub failing: Option<FailingMessage>,
    /// What was given up last.
    pub given_up: Option<FinishedMessage>,
}

/// A message that is not sent any more.
#[derive(Debug, Deserialize)]
pub struct FinishedMessage {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// When that was.
    pub at: Timestamp,
}

/// A message that is tried again.
#[derive(Debug, Deserialize)]
pub struct FailingMessage {
    /// How often it was tried.
    pub attempts: u64,
    /// What went wrong the last time.
    pub error: String,
}

/// What came of a test.
#[derive(Debug, Deserialize)]
pub struct TestedWebhook {
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The message's id.
    pub id: String,
    /// The receiver's status.
    pub status: Option<u64>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long that took.
    pub duration_ms: u64,
}
