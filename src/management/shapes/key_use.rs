//! Who used a key, from where, for which models and how much.

use nemo_events::Timestamp;
use nemo_projections::CorruptLog;
use nemo_projections::attribution::{FirstSeen, ModelUse, RefusedFor, Used};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::KeyAccount;

/// Use of a key. Spend counts calls that ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyUse {
    /// All calls.
    pub(crate) total: Used,
    /// Those authorised on this UTC day.
    pub(crate) day: Used,
    /// Those authorised in this UTC month.
    pub(crate) month: Used,
    /// When a call was last authorised.
    pub(crate) last_used_at: Option<Timestamp>,
    /// The dearest models, at most 16.
    pub(crate) models: Vec<ModelUse>,
    /// All other models together.
    pub(crate) other_models: Used,
    /// Where calls came from: the first 64.
    pub(crate) addresses: FirstSeen,
    /// What made them: the first 64.
    pub(crate) user_agents: FirstSeen,
    /// Refusals by code.
    pub(crate) refusals: Vec<RefusedFor>,
    /// Refusals with any further code.
    pub(crate) other_refusals: u64,
    /// Calls that cost nothing.
    pub(crate) voided: u64,
    /// Calls that settled on an estimate.
    pub(crate) estimated: u64,
    /// Calls of which nobody knows what they cost.
    pub(crate) unconfirmed: u64,
}

impl KeyUse {
    pub(super) fn of(account: &KeyAccount, now: Timestamp) -> Result<Self, CorruptLog> {
        let attribution = &account.attribution;
        let models = attribution.top_models()?;
        Ok(Self {
            total: attribution.total,
            day: attribution.day(now),
            month: attribution.month(now),
            last_used_at: attribution.last_used_at,
            models: models.top,
            other_models: models.other,
            addresses: attribution.addresses.clone(),
            user_agents: attribution.user_agents.clone(),
            refusals: attribution.refusals.clone(),
            other_refusals: attribution.refusals_other,
            voided: attribution.voided,
            estimated: attribution.estimated,
            unconfirmed: attribution.unconfirmed,
        })
    }
}
