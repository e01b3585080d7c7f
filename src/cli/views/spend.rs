//! Spend, added up by the server.

use nemo_events::{Nanos, Timestamp, Usage};
use serde::Deserialize;

use super::Known;
use crate::cli::reply::Verbatim;

/// The answer to a question about spend.
#[derive(Deserialize)]
pub struct SpendReply {
    /// The rows.
    pub rows: Vec<Verbatim<SpendRow>>,
    /// Their sum.
    pub total: SpendTotal,
}

/// Spend of one group in one stretch of time.
#[derive(Debug, Clone, Deserialize)]
pub struct SpendRow {
    /// First moment of the stretch.
    #[serde(default)]
    pub start: Option<Timestamp>,
    /// Whose or what spend this is.
    #[serde(default)]
    pub group: SpendGroup,
    /// What it comes to.
    #[serde(flatten)]
    pub total: SpendTotal,
}

/// What rows are told apart by.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SpendGroup {
    /// The key's or the org's id.
    pub id: Option<String>,
    /// A name, or a label's value.
    pub name: Option<String>,
    /// The model's provider.
    pub provider: Option<String>,
    /// A set of tags.
    pub tags: Option<Vec<String>>,
}

/// What calls come to.
#[derive(Debug, Clone, Deserialize)]
pub struct SpendTotal {
    /// Calls that ended.
    pub calls: u64,
    /// Those that cost nothing.
    #[serde(default)]
    pub voided: u64,
    /// Those that were settled on an estimate.
    #[serde(default)]
    pub estimated: u64,
    /// Those that were forfeited.
    #[serde(default)]
    pub unconfirmed: u64,
    /// What they are charged.
    pub cost: Nanos,
    /// Units by kind.
    #[serde(default)]
    pub usage: Option<Known<Usage>>,
}
