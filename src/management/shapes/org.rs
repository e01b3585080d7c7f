//! An org as its own account tells.

use nemo_events::org::OrgLimits;
use nemo_events::{KeyId, OrgId, Timestamp};
use nemo_projections::OrgState;
use nemo_projections::org::Standing;
use nemo_read_model::OrgSpend;
use serde::Serialize;
use utoipa::ToSchema;

use super::org_room::OrgBudgetUse;

/// An org.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Org {
    /// Its UUID.
    pub(crate) id: OrgId,
    /// What people call it.
    pub(crate) name: String,
    /// `active`, `suspended` or `archived`.
    pub(crate) status: Standing,
    /// When it was created.
    pub(crate) created_at: Timestamp,
    /// Limits for its keys.
    pub(crate) limits: OrgLimits,
    /// Its own budgets, which all its keys share, and what they have left.
    pub(crate) budgets: Vec<OrgBudgetUse>,
}

impl Org {
    /// The org with this state at a moment; what its keys spend is told where it could be read.
    pub(crate) fn of(id: OrgId, state: OrgState, spend: Option<&OrgSpend>, now: Timestamp) -> Self {
        let budgets = OrgBudgetUse::all(&state, spend, now);
        let OrgState { name, created_at, standing, limits, .. } = state;
        Self { id, name, status: standing, created_at, limits, budgets }
    }
}

/// Keys that are wider than the bounds of their org.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeysOutsideBounds)]
pub(crate) struct KeysOutside {
    /// How many there are; revoked ones do not count.
    pub(crate) count: u64,
    /// The newest of them, at most 20.
    pub(crate) keys: Vec<KeyOutside>,
}

/// A key that is wider than the bounds of its org.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyOutsideBounds)]
pub(crate) struct KeyOutside {
    /// `key_` and 11 letters and digits.
    pub(crate) id: KeyId,
    /// What people call it.
    pub(crate) name: String,
    /// The last four characters of its current secret.
    pub(crate) last_four: String,
    /// The fields of its limits that are wider than the bounds.
    pub(crate) fields: Vec<&'static str>,
}

impl From<nemo_read_model::KeysOutside> for KeysOutside {
    fn from(outside: nemo_read_model::KeysOutside) -> Self {
        let nemo_read_model::KeysOutside { count, newest } = outside;
        Self { count, keys: newest.into_iter().map(KeyOutside::from).collect() }
    }
}

impl From<nemo_read_model::KeyOutside> for KeyOutside {
    fn from(key: nemo_read_model::KeyOutside) -> Self {
        let nemo_read_model::KeyOutside { key: id, name, last_four, fields } = key;
        Self { id, name, last_four, fields }
    }
}
