//! Events of a key's stream, `key-<public id>`: the whole life of one virtual key, its calls included.

use serde::{Deserialize, Serialize};

use crate::codec::event_stream;
use crate::digest::Digest;
use crate::ids::{CallId, OrgId, PepperId, PriceCardId, RequestId, Revision};
use crate::limits::{Endpoint, KeyLimits, WindowKind};
use crate::money::Nanos;
use crate::time::{Day, Timestamp};
use crate::usage::Usage;

event_stream! {
    /// What can happen to a virtual key.
    pub enum KeyEvent {
        KeyCreated = 1,
        KeyRelabelled = 1,
        KeyLimitsSet = 1,
        KeyBlocked = 1,
        KeyUnblocked = 1,
        KeySecretRotated = 1,
        KeySecretRetired = 1,
        KeyDigestRenewed = 1,
        KeyModelCleared = 1,
        KeyRevoked = 1,
        CallAuthorized = 1,
        CallSettled = 1,
        CallVoided = 1,
        CallForfeited = 1,
        CallCorrected = 1,
        CallsRefused = 1,
        BudgetAlertRaised = 1,
        AllotmentRequired = 1,
        AllotmentReceived = 1,
        AllotmentReturned = 1,
    }
}

/// What a key is for. A call is attributed to the labels in force when it was authorised.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    /// What people call the key.
    pub name: String,
    /// The application that uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The job within the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The environment, such as `prod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The cost centre that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_centre: Option<String>,
    /// Free tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What is kept of a secret: enough to recognise it, too little to use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySecret {
    /// Counts the key's secrets, from 1.
    pub version: u32,
    /// HMAC-SHA256 of the full key under the pepper.
    pub digest: Digest,
    /// The pepper's id.
    pub pepper: PepperId,
    /// The last four characters of the key's text, for people to tell keys apart.
    pub last_four: String,
}

/// A key came into being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyCreated {
    /// The org that owns it, for life.
    pub org: OrgId,
    /// What it is for.
    pub labels: Labels,
    /// What it may do.
    pub limits: KeyLimits,
    /// Its first secret.
    pub secret: KeySecret,
}

/// The labels were replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRelabelled {
    /// All labels from now on.
    pub labels: Labels,
}

/// The limits were replaced, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimitsSet {
    /// All limits from now on.
    pub limits: KeyLimits,
}

/// The key was blocked: refused until unblocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyBlocked {
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The key was unblocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUnblocked {}

/// The key got a new secret; the previous ones work until the overlap ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySecretRotated {
    /// The new secret.
    pub secret: KeySecret,
    /// From this moment on the earlier secrets are refused.
    pub previous_valid_until: Timestamp,
    /// The earlier secret was reported leaked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaked: bool,
}

/// An earlier secret's overlap was ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySecretRetired {
    /// The version that is refused from now on.
    pub version: u32,
}

/// The same secret was digested again under another pepper, when it was last presented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDigestRenewed {
    /// The secret with its new digest; version and last four stay.
    pub secret: KeySecret,
}

/// A model that a provider had billed above its bounds may be called with the key again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyModelCleared {
    /// The provider.
    pub provider: String,
    /// The model's name at the provider.
    pub provider_model: String,
}

/// The key was revoked, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRevoked {
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The most that a call may cost, and the bounds that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The whole hold.
    pub amount: Nanos,
    /// The part of it that the input can cost.
    pub input_amount: Nanos,
    /// Upper bound of tokens in.
    pub input_tokens: u64,
    /// Upper bound of tokens out, all choices together.
    pub output_tokens: u64,
    /// How the bound of tokens in was found.
    pub basis: BoundBasis,
}

/// How a bound of tokens in was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundBasis {
    /// No more tokens than bytes of text, plus overheads.
    Bytes,
    /// The model's own tokenizer, plus overheads.
    Tokenizer,
    /// The whole context window, because the content's tokens cannot be told from its bytes.
    ContextWindow,
}

/// Who called, as far as the configuration lets it be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Client {
    /// Address, full or truncated to its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// User agent, cut to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// A call was allowed, and its hold counts from here on. Durable before the provider hears of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallAuthorized {
    /// The call.
    pub call: CallId,
    /// The request that it serves.
    pub request: RequestId,
    /// Which attempt at the request it is, from 1.
    pub attempt: u32,
    /// The secret that the caller presented.
    pub secret_version: u32,
    /// The route it came in by.
    pub endpoint: Endpoint,
    /// The model as the caller named it.
    pub model: String,
    /// The provider that is called.
    pub provider: String,
    /// The model's name at the provider.
    pub provider_model: String,
    /// The price card that prices hold and settlement.
    pub price_card: PriceCardId,
    /// The most it may cost.
    pub hold: Hold,
    /// The output limit sent to the provider, for each choice.
    pub output_limit: u64,
    /// The limit was Nemo's (absent from the request, or lowered), not the caller's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_limit_set: bool,
    /// The owner cuts the call before this moment; 30 s after it anybody may forfeit it.
    pub deadline: Timestamp,
    /// Revision of the labels in force.
    pub labels_revision: Revision,
    /// Who called.
    pub client: Client,
    /// What the caller claims the call is for; at most 8 of at most 64 bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The answer streams.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub streams: bool,
    /// Output may be hidden from the gateway until usage is reported: reasoning, server tools, several choices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden_output: bool,
    /// HMAC of the idempotency key, where the caller sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Digest>,
    /// HMAC of the body, where the caller sent an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Digest>,
    /// It draws on the key's slice, of the day of this event, of the org's budgets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allotted: bool,
}

/// What a settled cost rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The provider reported usage.
    Reported,
    /// Nobody reported usage; computed from what was sent and received, in the budget's favour.
    Estimated,
}

/// How an answered call came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The provider's answer was complete.
    Completed,
    /// The client left; the answer was read on or cut.
    ClientLeft,
    /// The provider broke off, or its answer could not be understood.
    ProviderFailed,
    /// The provider fell silent for too long.
    TimedOut,
    /// The deadline came.
    DeadlineReached,
    /// The key was revoked while the answer flowed.
    KeyRevoked,
    /// The gateway was stopped.
    Stopped,
}

/// A call ended with a cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallSettled {
    /// The call.
    pub call: CallId,
    /// What it used.
    pub usage: Usage,
    /// What it is charged, by the call's price card.
    pub cost: Nanos,
    /// What the cost rests on.
    pub evidence: Evidence,
    /// How it ended.
    pub ending: Ending,
    /// The provider reported more than the hold's bounds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over_hold: bool,
    /// The provider's own id for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_request: Option<String>,
    /// The provider's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds from dispatch to the first byte of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<u64>,
    /// Milliseconds from dispatch to the end.
    pub duration_ms: u64,
}

/// Why a call cost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum VoidReason {
    /// Nothing was sent: the caller gave up, or the gateway stopped, before dispatch.
    NotSent,
    /// The provider could not be connected to.
    NotConnected,
    /// The provider answered 4xx.
    ProviderRefused,
    /// The provider answered 5xx without usage.
    ProviderFailed,
}

/// A call ended without a cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallVoided {
    /// The call.
    pub call: CallId,
    /// Why.
    pub reason: VoidReason,
    /// The provider's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds from dispatch to the end.
    pub duration_ms: u64,
}

/// Why nobody knows what a call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForfeitReason {
    /// The provider fell silent before any answer.
    TimedOut,
    /// The connection broke before any answer.
    Reset,
    /// The node died with the call open.
    NodeDied,
    /// The deadline passed and the owner did not end it.
    DeadlinePassed,
    /// The key was revoked, or the gateway stopped, before any answer.
    Cut,
}

/// A call ended and nobody knows what it cost; shown as *unconfirmed*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallForfeited {
    /// The call.
    pub call: CallId,
    /// What it is charged until it is corrected.
    pub charged: Nanos,
    /// Why.
    pub reason: ForfeitReason,
}

/// An ended call's charge was changed; never above its hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallCorrected {
    /// The call.
    pub call: CallId,
    /// What it was charged before.
    pub charged_before: Nanos,
    /// What it is charged now.
    pub charged: Nanos,
    /// The revision of the event that ended it.
    pub ended_at: Revision,
    /// When it was authorised: the windows that move.
    pub authorized_at: Timestamp,
    /// It drew on the key's slice of that day, which moves too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allotted: bool,
    /// What it used, where that became known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Why, and on what evidence.
    pub reason: String,
}

/// How often a key was refused for one reason from one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalCount {
    /// The refusal's code.
    pub code: String,
    /// The address, as recorded for clients; absent for the rest beyond the sixteenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many distinct addresses the rest comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_addresses: Option<u64>,
    /// How often.
    pub count: u64,
}

/// Refusals of one minute, coalesced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallsRefused {
    /// The first refusal's moment.
    pub since: Timestamp,
    /// The counts.
    pub refusals: Vec<RefusalCount>,
    /// Codes among them that are news: met for the first time, after a quiet hour, or on a new UTC day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<String>,
}

/// What was charged in a window of a budget reached the share at which its owner wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetAlertRaised {
    /// The budget's kind of window.
    pub window: WindowKind,
    /// The window's first moment; 1970 for the total.
    pub window_start: Timestamp,
    /// The budget's limit.
    pub limit: Nanos,
    /// The share of the limit, in percent.
    pub percent: u8,
    /// What was charged in the window, with what reached the share.
    pub settled: Nanos,
}

/// The key's org has budgets of its own: from here on each call draws on a slice of its day. What the key spent
/// before is counted by the org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllotmentRequired {
    /// Revision of the event in the org's stream that put budgets in force.
    pub since: Revision,
}

/// The key took up what its org allotted to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllotmentReceived {
    /// The day that it may be spent on.
    pub day: Day,
    /// All that the key ever received of that day, this included.
    pub total: Nanos,
}

/// The key let go of what was idle in a slice: its org may have it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllotmentReturned {
    /// The day of the slice.
    pub day: Day,
    /// All that the key ever returned of that day, this included.
    pub total: Nanos,
}
