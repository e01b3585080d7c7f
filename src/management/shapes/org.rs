//! An org as its own account tells.

use nemo_events::org::OrgLimits;
use nemo_events::{OrgId, Timestamp};
use nemo_projections::OrgState;
use nemo_projections::org::Standing;
use serde::Serialize;
use utoipa::ToSchema;

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
}

impl Org {
    /// The org with this state.
    pub(crate) fn of(id: OrgId, state: OrgState) -> Self {
        let OrgState { name, created_at, standing, limits } = state;
        Self { id, name, status: standing, created_at, limits }
    }
}
