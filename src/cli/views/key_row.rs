//! A key in a list.

use nemo_events::limits::WindowKind;
use nemo_events::{KeyId, Nanos, OrgId, Timestamp};
use serde::Deserialize;

/// What a key is for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as in `nemo_events::key::Labels`")]
pub struct Labels {
    pub name: String,
    pub app: Option<String>,
    pub job: Option<String>,
    pub env: Option<String>,
    pub cost_centre: Option<String>,
    pub tags: Vec<String>,
}

/// What a key may do.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as in `nemo_events::limits::KeyLimits`")]
pub struct Limits {
    pub budgets: Vec<Cap>,
    pub unlimited: bool,
    pub max_call_cost: Option<Nanos>,
    pub requests_per_minute: Option<u64>,
    pub tokens_per_minute: Option<u64>,
    pub concurrent_calls: Option<u64>,
    pub models: Option<Vec<String>>,
    pub endpoints: Option<Vec<String>>,
    pub addresses: Option<Vec<String>>,
    pub expires_at: Option<Timestamp>,
    pub when_short: Option<String>,
}

/// A cap on spend.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "as in `nemo_events::limits::Budget`")]
pub struct Cap {
    pub window: WindowKind,
    pub limit: Nanos,
    #[serde(default)]
    pub alert_at_percent: Option<u8>,
}

impl Limits {
    /// The cap of one kind of window.
    #[must_use]
    pub fn cap(&self, window: WindowKind) -> Option<Nanos> {
        self.budgets.iter().find(|cap| cap.window == window).map(|cap| cap.limit)
    }
}

/// A key in a list.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyRow {
    /// Its id.
    pub id: KeyId,
    /// Its org.
    pub org: OrgId,
    /// `active`, `blocked` or `revoked`.
    pub status: String,
    /// What it is for.
    #[serde(default)]
    pub labels: Labels,
    /// What it may do.
    #[serde(default)]
    pub limits: Limits,
    /// The last four characters of its current secret.
    #[serde(default)]
    pub last_four: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last made a call.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// Calls that ended.
    #[serde(default)]
    pub calls: u64,
    /// What they are charged.
    #[serde(default)]
    pub spend: Nanos,
    /// Calls that have not ended.
    #[serde(default)]
    pub open_calls: u64,
    /// What they hold.
    #[serde(default)]
    pub held: Nanos,
}
