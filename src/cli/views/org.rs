//! An org, in a list or by itself, and the answers that hold one.

use nemo_events::limits::WindowKind;
use nemo_events::org::OrgLimits as AllLimits;
use nemo_events::{KeyId, Nanos, OrgId, Timestamp};
use serde::Deserialize;

use super::Limits;

/// An org, in a list or by itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// What people call it.
    pub name: String,
    /// `active`, `suspended` or `archived`.
    pub status: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// How many keys it has, revoked ones included; told in lists only.
    #[serde(default)]
    pub keys: Option<u64>,
    /// What it states for its keys.
    #[serde(default)]
    pub limits: OrgLimits,
    /// Its own budgets and what they have left.
    #[serde(default)]
    pub budgets: Vec<OrgBudgetUse>,
}

/// An org's own budget and what it has left.
#[derive(Debug, Clone, Deserialize)]
pub struct OrgBudgetUse {
    /// Which windows it counts.
    pub window: WindowKind,
    /// The cap.
    pub limit: Nanos,
    /// Charged calls of its keys, where that can be told.
    #[serde(default)]
    pub spent: Option<Nanos>,
    /// Holds of their open calls.
    #[serde(default)]
    pub held: Option<Nanos>,
    /// What they have in slices besides.
    #[serde(default)]
    pub idle: Option<Nanos>,
    /// What is left.
    pub free: Nanos,
    /// When the window ends.
    #[serde(default)]
    pub resets_at: Option<Timestamp>,
}

/// What an org states for its keys.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct OrgLimits {
    /// What a new key gets that states nothing.
    pub key_defaults: Option<Limits>,
    /// What no key may be wider than.
    pub key_bounds: Option<Limits>,
}

/// Keys that are wider than the bounds of their org.
#[derive(Debug, Clone, Deserialize)]
pub struct KeysOutside {
    /// How many there are.
    pub count: u64,
    /// The newest of them.
    #[serde(default)]
    pub keys: Vec<KeyOutside>,
}

/// A key that is wider than the bounds of its org.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyOutside {
    /// The key.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// In which fields.
    #[serde(default)]
    pub fields: Vec<String>,
}

/// What is read of an org in order to change its limits: all of them, or none.
#[derive(Debug, Deserialize)]
pub struct LimitsOfOrg {
    /// The org.
    pub org: WithOrgLimits,
}

/// See [`LimitsOfOrg`].
#[derive(Debug, Deserialize)]
pub struct WithOrgLimits {
    /// What it states for its keys.
    pub limits: AllLimits,
}

/// The answer to whatever shows or changes one org.
#[derive(Debug, Deserialize)]
pub struct OrgReply {
    /// The org.
    pub org: Org,
    /// Keys that are wider than its bounds, where there are bounds and lists can be read.
    #[serde(default)]
    pub keys_outside_bounds: Option<KeysOutside>,
    /// Keys that were revoked by archiving it.
    #[serde(default)]
    pub keys_revoked: u64,
    /// Calls that were cut by that.
    #[serde(default)]
    pub calls_cut: u64,
}
