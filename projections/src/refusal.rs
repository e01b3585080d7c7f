//! Every business no, by name. What a refusal looks like over HTTP is decided elsewhere.

use std::fmt;

use nemo_events::limits::{Endpoint, WindowKind};
use nemo_events::{CallId, Day, Nanos, OrgId, Revision, Timestamp};

use crate::bounds::Wider;

/// Why a model has no price here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceRefusal {
    /// No provider is configured for the model.
    ModelNotFound,
    /// The model has no price card, or one without limits.
    ModelNotPriced,
    /// What the request asks for cannot be bounded; says what.
    NotPriceable(String),
}

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetOwner {
    /// The key's own.
    Key,
    /// The org's, which all its keys share.
    Org,
}

/// A budget that stands in a call's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetShort {
    /// Whose budget.
    pub of: BudgetOwner,
    /// Which budget.
    pub window: WindowKind,
    /// Its limit.
    pub limit: Nanos,
    /// What calls were charged in the window.
    pub settled: Nanos,
    /// What open calls hold in the window.
    pub held: Nanos,
    /// The hold that did not fit.
    pub needed: Nanos,
    /// When the window ends; never for the total.
    pub resets_at: Option<Timestamp>,
    /// An output limit that would fit now, if any.
    pub output_limit_that_fits: Option<u64>,
}

/// What must happen between a key's stream and its org's before a call can be decided. Whoever executes a decision
/// sees to it and decides again; no caller hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllotmentNeeded {
    /// The key was told more of its org than is known here.
    LaterView,
    /// The key must be told that its org has budgets, since this revision of the org's stream.
    Notice(Revision),
    /// What the org's keys spent before must be counted, for budgets in force since this revision.
    Count(Revision),
    /// The slice is too small.
    Slice(SliceShort),
    /// The org allots nothing of that day any more, or not yet.
    AnotherDay(Day),
}

/// A slice that is too small for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceShort {
    /// Its day.
    pub day: Day,
    /// What the key has received of it.
    pub received: Nanos,
    /// What is idle; below zero after an overrun.
    pub idle: Nanos,
    /// What the call would hold.
    pub hold: Nanos,
}

/// A named no. The variants up to the budgets stand in the order in which they are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No such key, or not its secret.
    InvalidKey,
    /// The key was revoked.
    Revoked,
    /// The key is blocked.
    Blocked,
    /// The key's org is suspended.
    OrgSuspended,
    /// The key's org is archived.
    OrgArchived,
    /// The secret was replaced and its overlap is over.
    SecretRotated,
    /// The key's expiry has passed.
    Expired,
    /// The key may not be used from this address.
    AddressNotAllowed,
    /// The key may not call this endpoint.
    EndpointNotAllowed(Endpoint),
    /// The key may not call this model.
    ModelNotAllowed(String),
    /// The idempotency key was sent with another body before.
    IdempotencyKeyReused,
    /// The call that was made with this idempotency key runs.
    CallRunning(CallId),
    /// The call that was made with this idempotency key has ended, and cost something or may have.
    CallAlreadyBilled {
        /// The call.
        call: CallId,
        /// What it is charged.
        charged: Nanos,
        /// The provider's HTTP status, where there was an answer.
        status: Option<u16>,
    },
    /// The provider billed this key more than its bounds for this model, and nobody has cleared it.
    ModelFlagged(String),
    /// The call has no price.
    Price(PriceRefusal),
    /// The request's output limit is above the model's.
    OutputLimitTooHigh {
        /// What was asked.
        asked: u64,
        /// What the model allows.
        model_max: u64,
    },
    /// The call alone may cost more than the key allows one call to.
    CallTooDear {
        /// The hold.
        needed: Nanos,
        /// The key's limit for one call.
        limit: Nanos,
    },
    /// Too many calls are open.
    Concurrency {
        /// The limit.
        limit: u32,
    },
    /// Too many requests in the last minute.
    RequestRate {
        /// The limit per minute.
        limit: u32,
        /// When the next one fits.
        retry_after_micros: u64,
    },
    /// The call's tokens alone are above the limit per minute.
    TokensAboveRate {
        /// The bound of the call's tokens.
        needed: u64,
        /// The limit per minute.
        limit: u64,
    },
    /// Too many tokens in the last minute.
    TokenRate {
        /// The limit per minute.
        limit: u64,
        /// When the call fits.
        retry_after_micros: u64,
    },
    /// The budget is used up, or the call alone is larger than what is left.
    BudgetExceeded(BudgetShort),
    /// The call would fit but for calls in flight.
    BudgetHeld(BudgetShort),
    /// The call can be decided only after something else; see [`AllotmentNeeded`].
    Allotment(AllotmentNeeded),

    /// A key with this id exists already.
    KeyExists,
    /// No such key.
    KeyUnknown,
    /// No such org.
    OrgUnknown(OrgId),
    /// An org with this id exists already.
    OrgExists,
    /// No such call, or one that was forgotten.
    CallUnknown(CallId),
    /// The call is still open.
    CallNotEnded(CallId),
    /// The call's deadline has not passed by 30 s.
    CallNotOverdue(CallId),
    /// A correction must name a charge between zero and the hold.
    CorrectionOutOfRange,
    /// The key has no such secret, or it is the current one.
    SecretUnknown(u32),
    /// As many of the key's secrets work already as are remembered.
    TooManySecrets,
    /// No such operator, or one who was removed.
    OperatorUnknown,
    /// Another operator has this name.
    OperatorNameTaken,
    /// Nobody would be left who manages.
    LastAdmin,
    /// The link was used, is too old, or was taken back.
    LinkSpent,
    /// The name and the password do not belong together.
    LoginFailed,
    /// The limits are wider than the org's bounds; says in which respects.
    OutsideBounds(Vec<Wider>),
    /// The wanted change is not valid; says why.
    Invalid(String),
}

impl Refusal {
    /// The code that errors, logs, events and metrics use.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidKey => "invalid_api_key",
            Self::Revoked => "key_revoked",
            Self::Blocked => "key_blocked",
            Self::OrgSuspended => "org_suspended",
            Self::OrgArchived => "org_archived",
            Self::SecretRotated => "key_rotated",
            Self::Expired => "key_expired",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::EndpointNotAllowed(_) => "endpoint_not_allowed",
            Self::ModelNotAllowed(_) => "model_not_allowed",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::CallRunning(_) => "call_running",
            Self::CallAlreadyBilled { .. } => "call_already_billed",
            Self::ModelFlagged(_) => "model_flagged",
            Self::Price(PriceRefusal::ModelNotFound) => "model_not_found",
            Self::Price(PriceRefusal::ModelNotPriced) => "model_not_priced",
            Self::Price(PriceRefusal::NotPriceable(_)) => "request_not_priceable",
            Self::OutputLimitTooHigh { .. } => "output_limit_too_high",
            Self::CallTooDear { .. } => "call_too_dear",
            Self::Concurrency { .. } => "concurrency_limit_exceeded",
            Self::RequestRate { .. } => "rate_limit_exceeded",
            Self::TokensAboveRate { .. } => "tokens_above_rate",
            Self::TokenRate { .. } => "token_limit_exceeded",
            Self::BudgetExceeded(_) => "budget_exceeded",
            Self::BudgetHeld(_) => "budget_held",
            // Nobody who asks should see it; whoever does sees that the ledger could not decide.
            Self::Allotment(_) => "ledger_unavailable",
            Self::KeyExists => "key_exists",
            Self::KeyUnknown => "key_not_found",
            Self::OrgUnknown(_) => "org_not_found",
            Self::OrgExists => "org_exists",
            Self::CallUnknown(_) => "call_not_found",
            Self::CallNotEnded(_) => "call_not_ended",
            Self::CallNotOverdue(_) => "call_not_overdue",
            Self::CorrectionOutOfRange => "correction_out_of_range",
            Self::SecretUnknown(_) => "secret_not_found",
            Self::TooManySecrets => "too_many_secrets",
            Self::OperatorUnknown => "operator_not_found",
            Self::OperatorNameTaken => "operator_name_taken",
            Self::LastAdmin => "last_admin",
            Self::LinkSpent => "link_spent",
            Self::LoginFailed => "login_failed",
            Self::OutsideBounds(_) => "limits_outside_bounds",
            Self::Invalid(_) => "invalid_request",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())?;
        if let Self::Invalid(why) = self { write!(f, ": {why}") } else { Ok(()) }
    }
}

impl std::error::Error for Refusal {}
