//! Spend, added up.

use nemo_events::{Nanos, Timestamp, Usage};
use nemo_read_model::{Group, SpendSums};
use serde::Serialize;
use utoipa::ToSchema;

/// What the calls of one group in one stretch of time come to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpendRow {
    /// First moment of the stretch; `null` where time is not divided.
    start: Option<Timestamp>,
    /// Whose or what spend this is.
    group: SpendGroup,
    #[serde(flatten)]
    total: SpendTotal,
}

/// What rows are told apart by. Without any grouping it is empty.
#[derive(Debug, Default, Serialize, ToSchema)]
struct SpendGroup {
    /// The key's or the org's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its present name; a label's value, `null` for calls without the label; a provider, model or endpoint.
    name: Option<String>,
    /// The model's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// The set of tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
}

/// What calls come to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpendTotal {
    /// Calls that ended, voided ones included.
    calls: u64,
    /// Calls among them that cost nothing.
    voided: u64,
    /// Calls among them that were settled on an estimate which nobody has corrected.
    estimated: u64,
    /// Calls among them that were forfeited and not corrected since.
    unconfirmed: u64,
    /// What they are charged.
    cost: Nanos,
    /// Units by kind.
    usage: Usage,
}

impl From<SpendSums> for SpendTotal {
    fn from(sums: SpendSums) -> Self {
        let SpendSums { calls, voided, estimated, unconfirmed, cost, usage } = sums;
        Self { calls, voided, estimated, unconfirmed, cost, usage }
    }
}

impl From<nemo_read_model::SpendRow> for SpendRow {
    fn from(row: nemo_read_model::SpendRow) -> Self {
        Self { start: row.start, group: row.group.into(), total: row.sums.into() }
    }
}

impl From<Group> for SpendGroup {
    fn from(group: Group) -> Self {
        let named = |name: String| Self { name: Some(name), ..Self::default() };
        match group {
            Group::Everything => Self::default(),
            Group::Key(id, name) => Self { id: Some(id.to_string()), ..named(name) },
            Group::Org(id, name) => Self { id: Some(id.to_string()), name, ..Self::default() },
            Group::Label(name) => Self { name, ..Self::default() },
            Group::Tags(tags) => Self { tags: Some(tags), ..Self::default() },
            Group::Provider(name) => named(name),
            Group::Model(provider, name) => Self { provider: Some(provider), ..named(name) },
            Group::Endpoint(endpoint) => named(endpoint.to_string()),
        }
    }
}
