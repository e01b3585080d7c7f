//! A virtual key as its own account tells: the truth at one revision of its stream.

use nemo_events::key::Labels;
use nemo_events::limits::{KeyLimits, WindowKind};
use nemo_events::{KeyId, OrgId, PepperId, Revision, Timestamp};
use nemo_projections::CorruptLog;
use nemo_projections::key::{SecretState, Status};
use serde::Serialize;
use utoipa::ToSchema;

use super::key_room::{BudgetUse, OpenCalls, Rates, WindowUse};
use super::key_use::KeyUse;
use crate::ledger::KeyAccount;

/// A virtual key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Key {
    /// `key_` and 11 letters and digits.
    pub(crate) id: KeyId,
    /// The org that owns it, for life.
    pub(crate) org: OrgId,
    /// `active`, `blocked` or `revoked`. A key whose `limits.expires_at` has passed stays what it was.
    pub(crate) status: Status,
    /// When it was created.
    pub(crate) created_at: Timestamp,
    /// What it is for.
    pub(crate) labels: Labels,
    /// Revision of the event that set the labels.
    pub(crate) labels_revision: Revision,
    /// What it may do.
    pub(crate) limits: KeyLimits,
    /// Its secrets, oldest first; the last one is the current one.
    pub(crate) secrets: Vec<Secret>,
    /// Its budgets and what they have left.
    pub(crate) budgets: Vec<BudgetUse>,
    /// Spend in the current windows of all four kinds, whether or not a budget counts them.
    pub(crate) windows: Vec<WindowUse>,
    /// Its rates and what they have left.
    pub(crate) rates: Rates,
    /// Calls that have not ended.
    pub(crate) open_calls: OpenCalls,
    /// Models that a provider billed above the hold: refused to the key until they are cleared.
    pub(crate) flagged_models: Vec<Model>,
    /// Who used it for what.
    pub(crate) attribution: KeyUse,
}

/// What is told of a secret; there is no way back to the secret itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeySecret)]
pub(crate) struct Secret {
    /// Counts the key's secrets, from 1.
    pub(crate) version: u32,
    /// The last four characters of the key's text.
    pub(crate) last_four: String,
    /// The pepper that its digest was made with.
    pub(crate) pepper: PepperId,
    /// From this moment on it is refused; `null` for the current one.
    pub(crate) valid_until: Option<Timestamp>,
}

/// A model at a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelAtProvider)]
pub(crate) struct Model {
    /// The provider.
    pub(crate) provider: String,
    /// The model's name there.
    pub(crate) provider_model: String,
}

impl Key {
    /// The key as of a moment; `None` where there is no such key.
    ///
    /// # Errors
    /// Sums that do not fit, which the fold has excluded.
    pub(crate) fn of(id: KeyId, account: &KeyAccount, now: Timestamp) -> Result<Option<Self>, CorruptLog> {
        let Some(key) = &account.key else { return Ok(None) };
        let windows = WindowKind::ALL.map(|kind| key.windows.at(kind, now));
        let budgets = key.limits.budgets.iter();
        Ok(Some(Self {
            id,
            org: key.org,
            status: key.status,
            created_at: key.created_at,
            labels: key.labels.clone(),
            labels_revision: key.labels_revision,
            limits: key.limits.clone(),
            secrets: key.secrets.iter().map(Secret::of).collect(),
            budgets: budgets.map(|b| BudgetUse::of(b.limit, &key.windows.at(b.window, now))).collect(),
            windows: windows.iter().map(|window| WindowUse::of(window, key.created_at)).collect(),
            rates: Rates::of(key, now),
            open_calls: OpenCalls::of(key),
            flagged_models: key.flagged_models.iter().map(Model::of).collect(),
            attribution: KeyUse::of(account, now)?,
        }))
    }
}

impl Secret {
    fn of(state: &SecretState) -> Self {
        let SecretState { secret, valid_until, renewed_from: _ } = state;
        let (version, last_four, pepper) = (secret.version, secret.last_four.clone(), secret.pepper.clone());
        Self { version, last_four, pepper, valid_until: *valid_until }
    }
}

impl Model {
    fn of((provider, provider_model): &(String, String)) -> Self {
        Self { provider: provider.clone(), provider_model: provider_model.clone() }
    }
}
