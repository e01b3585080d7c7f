//! A person who signs in, in a list or by themselves, and links for them.

use nemo_events::{OperatorId, Timestamp};
use serde::{Deserialize, Serialize};

/// A person who signs in.
#[derive(Debug, Clone, Deserialize)]
pub struct Operator {
    /// Their id.
    pub id: OperatorId,
    /// What they sign in with.
    pub name: String,
    /// `admin`, `finance` or `auditor`.
    pub role: String,
    /// When they came.
    pub created_at: Timestamp,
    /// When they last signed in.
    #[serde(default)]
    pub last_login_at: Option<Timestamp>,
    /// When they were removed.
    #[serde(default)]
    pub removed_at: Option<Timestamp>,
    /// Sessions that they have at the node that answered.
    #[serde(default)]
    pub sessions: u64,
}

/// The answer to whatever changes one person.
#[derive(Debug, Deserialize)]
pub struct OperatorReply {
    /// The person.
    pub operator: Operator,
}

/// A link, as the server tells it.
#[derive(Debug, Deserialize)]
pub struct LinkReply {
    /// Where it leads at the server.
    pub path: String,
    /// Until when it holds.
    pub valid_until: Timestamp,
}

/// A link, as it is opened.
#[derive(Debug, Serialize)]
pub struct OperatorLink {
    /// For a browser.
    pub link: String,
    /// Until when it holds.
    pub valid_until: Timestamp,
}

/// The answer to signing everybody out.
#[derive(Debug, Deserialize)]
pub struct SignedOut {
    /// A position at which the ledger says so.
    pub position: u64,
}
