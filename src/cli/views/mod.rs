//! What is read of the server's answers. More may be in them, and what is not essential may be missing:
//! a server of another version is still understood as far as it goes.

mod call;
mod key;
mod key_row;
mod operator;
mod org;
mod price;
mod replay;
mod spend;
mod webhook;

use nemo_events::key::Labels as AllLabels;
use nemo_events::limits::KeyLimits;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use call::{CallReply, CallRow, CorrectedRow};
pub use key::{
    BudgetUse, Key, KeyUse, Model, ModelUse, OpenCall, OpenCalls, RateUse, Rates, RefusedFor, Secret, Used,
    WindowUse,
};
pub use key_row::{Cap, KeyRow, Labels, Limits};
pub use operator::{LinkReply, Operator, OperatorLink, OperatorReply, SignedOut};
pub use org::{KeyOutside, KeysOutside, LimitsOfOrg, Org, OrgBudgetUse, OrgLimits, OrgReply, WithOrgLimits};
pub use price::{MainRates, PriceRow, PriceTier};
pub use replay::KeyThen;
pub use spend::{SpendGroup, SpendReply, SpendRow, SpendTotal};
pub use webhook::{FailingMessage, FinishedMessage, TestedWebhook, WebhookRow};

use crate::cli::secret::NewSecret;

/// The answer to whatever shows or changes one key.
#[derive(Debug, Deserialize)]
pub struct KeyReply {
    /// The key.
    pub key: Key,
    /// Calls that were cut by revoking it.
    #[serde(default)]
    pub calls_cut: u64,
}

/// The answer that holds a full key.
#[derive(Debug, Deserialize)]
pub struct IssuedReply {
    /// The key.
    pub key: Key,
    /// Its full text.
    pub secret: NewSecret,
}

/// What is read of a key in order to change its limits: all of them, or none.
#[derive(Debug, Deserialize)]
pub struct LimitsOfKey {
    /// The key.
    pub key: WithLimits,
}

/// See [`LimitsOfKey`].
#[derive(Debug, Deserialize)]
pub struct WithLimits {
    /// What it may do.
    pub limits: KeyLimits,
}

/// What is read of a key in order to change its labels: all of them, or none.
#[derive(Debug, Deserialize)]
pub struct LabelsOfKey {
    /// The key.
    pub key: WithLabels,
}

/// See [`LabelsOfKey`].
#[derive(Debug, Deserialize)]
pub struct WithLabels {
    /// What it is for.
    pub labels: AllLabels,
}

/// A value that a server of another version may write in a way that is not known here.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Known<T> {
    /// As known.
    Yes(T),
    /// Otherwise.
    No(IgnoredAny),
}

impl<T> Known<T> {
    /// The value, if it is known.
    pub const fn get(&self) -> Option<&T> {
        match self {
            Self::Yes(value) => Some(value),
            Self::No(_) => None,
        }
    }
}
