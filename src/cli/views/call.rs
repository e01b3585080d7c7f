//! A call in a list.

use nemo_events::{CallId, Nanos, Timestamp, Usage};
use serde::Deserialize;

use super::Known;

/// A call in a list. What is `None` is not known before its end, or not at all.
#[derive(Debug, Clone, Deserialize)]
pub struct CallRow {
    /// The call.
    pub id: CallId,
    /// When it was authorised.
    pub authorized_at: Timestamp,
    /// The route that it came in by.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The provider that serves it.
    #[serde(default)]
    pub provider: Option<String>,
    /// The model's name there.
    #[serde(default)]
    pub provider_model: Option<String>,
    /// What its caller says that it is for.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it may cost at most.
    #[serde(default)]
    pub hold: Option<Nanos>,
    /// `open`, `settled`, `voided` or `forfeited`.
    pub outcome: String,
    /// What a settled cost rests on.
    #[serde(default)]
    pub evidence: Option<String>,
    /// How the answer of a settled call came to its end; why another one has none.
    #[serde(default, alias = "ending")]
    pub reason: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// What it is charged now.
    #[serde(default)]
    pub cost: Option<Nanos>,
    /// What it used.
    #[serde(default)]
    pub usage: Option<Known<Usage>>,
    /// The provider's HTTP status.
    #[serde(default)]
    pub status: Option<u16>,
    /// How long it took.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// The last correction of the charge.
    #[serde(default)]
    pub corrected_revision: Option<u64>,
}
