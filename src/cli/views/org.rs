//! An org, in a list or by itself, and the answers that hold one.

use nemo_events::{OrgId, Timestamp};
use serde::Deserialize;

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
}

/// The answer to whatever shows or changes one org.
#[derive(Debug, Deserialize)]
pub struct OrgReply {
    /// The org.
    pub org: Org,
    /// Keys that were revoked by archiving it.
    #[serde(default)]
    pub keys_revoked: u64,
    /// Calls that were cut by that.
    #[serde(default)]
    pub calls_cut: u64,
}
