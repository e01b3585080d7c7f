//! A call, in a list or by itself, and a correction of its charge.

use nemo_events::{CallId, KeyId, Nanos, Revision, Timestamp, Usage};
use serde::Deserialize;

use super::Known;
use crate::cli::render::events::Event;

/// The answer that shows one call.
#[derive(Debug, Deserialize)]
pub struct CallReply {
    /// The call.
    pub call: CallRow,
    /// Its authorisation, its end, and the last correction of its charge.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// A call whose charge was corrected.
#[derive(Debug, Clone, Deserialize)]
pub struct CorrectedRow {
    /// The call.
    pub call: CallId,
    /// The key that made it.
    pub key: KeyId,
    /// What it was charged before.
    pub charged_before: Nanos,
    /// What it is charged now.
    pub charged: Nanos,
    /// The revision of the key's stream that this is.
    #[serde(default)]
    pub revision: Option<Revision>,
}

/// A call in a list. What is `None` is not known before its end, or not at all.
#[derive(Debug, Clone, Deserialize)]
pub struct CallRow {
    /// The call.
    pub id: CallId,
    /// The key that made it.
    #[serde(default)]
    pub key: Option<KeyId>,
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
