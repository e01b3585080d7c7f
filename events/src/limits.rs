//! What a key may do: budgets, rates and scopes.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::money::Nanos;
use crate::time::Timestamp;

/// The stretch of time that a budget counts. All in UTC; each is a pure function of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// From the key's creation, for ever.
    Total,
    /// A calendar day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

impl WindowKind {
    /// All kinds, in the order in which budgets are checked and shown.
    pub const ALL: [Self; 4] = [Self::Total, Self::Day, Self::Week, Self::Month];

    /// The name that JSON, errors and tables use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A cap on what a key may spend in one kind of window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Which windows it counts.
    pub window: WindowKind,
    /// The most that settled and held calls of one window may come to.
    pub limit: Nanos,
    /// Share of the limit, in percent, at which an alert is raised: once what is charged in a window reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_at_percent: Option<u8>,
}

/// What kind of route a call came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
}

impl Endpoint {
    /// The name that JSON, errors and tables use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens to a call whose own output limit does not fit the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhenShort {
    /// It is refused.
    #[default]
    Refuse,
    /// Its output limit is lowered to what fits, and the answer says so.
    Clamp,
}

/// Everything that limits one key. Absent means: not limited in that respect. A key without any
/// budget exists only if `unlimited` says so by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct KeyLimits {
    /// Caps on spend, at most one for each kind of window.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The key has no cap on spend, on purpose. Only valid without budgets.
    #[serde(skip_serializing_if = "is_false")]
    pub unlimited: bool,
    /// The most that one call may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_call_cost: Option<Nanos>,
    /// Authorised calls per 60 s, refilled evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Tokens per 60 s, refilled evenly: by bound when authorised, by use when settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Calls open at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_calls: Option<u32>,
    /// Patterns of models (`*` matches any run of characters); any one must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Endpoints that may be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<Endpoint>>,
    /// Networks that calls may come from.
    #[cfg_attr(feature = "schema", schema(value_type = Option<Vec<String>>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<IpNet>>,
    /// From this moment on the key is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What happens to a call whose output limit does not fit.
    #[serde(skip_serializing_if = "is_refuse")]
    pub when_short: WhenShort,
    /// Output limit given to a request that has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_output_tokens: Option<u32>,
    /// The same for reasoning models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_reasoning_output_tokens: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
const fn is_refuse(choice: &WhenShort) -> bool {
    matches!(choice, WhenShort::Refuse)
}
