//! A key by itself: the truth at one revision of its stream.

use nemo_events::limits::WindowKind;
use nemo_events::{CallId, KeyId, Nanos, OrgId, Timestamp};
use serde::Deserialize;

use super::{KeyRow, Labels, Limits};

/// A key by itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Its org.
    pub org: OrgId,
    /// `active`, `blocked` or `revoked`.
    pub status: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// What it is for.
    #[serde(default)]
    pub labels: Labels,
    /// What it may do.
    #[serde(default)]
    pub limits: Limits,
    /// Its secrets, the current one last.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Its budgets and what they have left.
    #[serde(default)]
    pub budgets: Vec<BudgetUse>,
    /// Spend in the current windows.
    #[serde(default)]
    pub windows: Vec<WindowUse>,
    /// Its rates and what they have left.
    #[serde(default)]
    pub rates: Rates,
    /// Calls that have not ended.
    #[serde(default)]
    pub open_calls: OpenCalls,
    /// Models that are refused to it until they are cleared.
    #[serde(default)]
    pub flagged_models: Vec<Model>,
    /// Who used it for what.
    #[serde(default)]
    pub attribution: KeyUse,
}

/// What is told of a secret.
#[derive(Debug, Clone, Deserialize)]
pub struct Secret {
    /// Counts the key's secrets, from 1.
    pub version: u32,
    /// The last four characters of the key's text.
    pub last_four: String,
    /// From this moment on it is refused.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
}

/// A budget and what it has left.
#[derive(Debug, Clone, Deserialize)]
pub struct BudgetUse {
    /// Which windows it counts.
    pub window: WindowKind,
    /// The cap.
    pub limit: Nanos,
    /// Charged calls.
    pub settled: Nanos,
    /// Holds of open calls.
    pub held: Nanos,
    /// What is left.
    pub free: Nanos,
    /// When the window ends.
    #[serde(default)]
    pub resets_at: Option<Timestamp>,
}

/// Spend in one window.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct WindowUse {
    /// Its kind.
    pub window: WindowKind,
    /// Holds of open calls.
    pub held: Nanos,
}

/// Rates and what they have left.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Calls per minute.
    pub requests_per_minute: Option<RateUse>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<RateUse>,
    /// Calls at the same time.
    pub concurrent_calls: Option<RateUse>,
}

/// A limit and what fits now.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct RateUse {
    /// The limit.
    pub limit: u64,
    /// What fits now.
    pub remaining: u64,
}

/// Calls that have not ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct OpenCalls {
    /// How many there are.
    pub count: u64,
    /// The oldest of them.
    pub calls: Vec<OpenCall>,
}

/// A call that has not ended.
#[derive(Debug, Clone, Deserialize)]
pub struct OpenCall {
    /// The call.
    pub id: CallId,
    /// What it may cost at most.
    pub hold: Nanos,
    /// The provider that serves it.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
    /// When it was authorised.
    pub authorized_at: Timestamp,
    /// When its owner cuts it.
    pub deadline: Timestamp,
}

/// A model at a provider.
#[derive(Debug, Clone, Deserialize)]
pub struct Model {
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
}

/// Use of a key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct KeyUse {
    /// All calls that ended.
    pub total: Used,
    /// When it last made a call.
    pub last_used_at: Option<Timestamp>,
    /// The dearest models.
    pub models: Vec<ModelUse>,
    /// All other models together.
    pub other_models: Used,
    /// Refusals by code.
    pub refusals: Vec<RefusedFor>,
}

/// Ended calls and what they are charged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Used {
    /// How many.
    pub calls: u64,
    /// What they are charged.
    pub spend: Nanos,
}

/// What a key did with one model.
#[derive(Debug, Clone, Deserialize)]
pub struct ModelUse {
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// When it was first called.
    pub first_seen: Timestamp,
    /// Its ended calls.
    pub used: Used,
}

/// How often a key was refused for one reason.
#[derive(Debug, Clone, Deserialize)]
pub struct RefusedFor {
    /// The refusal's code.
    pub code: String,
    /// How often.
    pub count: u64,
}

impl From<&Key> for KeyRow {
    fn from(key: &Key) -> Self {
        let last_four = key.secrets.last().map(|secret| secret.last_four.clone());
        // What the window without an end holds is all that is held.
        let total = key.windows.iter().find(|window| window.window == WindowKind::Total);
        Self {
            id: key.id,
            org: key.org,
            status: key.status.clone(),
            labels: key.labels.clone(),
            limits: key.limits.clone(),
            last_four: last_four.unwrap_or_default(),
            created_at: key.created_at,
            last_used_at: key.attribution.last_used_at,
            calls: key.attribution.total.calls,
            spend: key.attribution.total.spend,
            open_calls: key.open_calls.count,
            held: total.map(|window| window.held).unwrap_or_default(),
        }
    }
}
