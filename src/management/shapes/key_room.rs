//! What a key has spent, holds and has left.

use nemo_events::limits::WindowKind;
use nemo_events::{CallId, Nanos, Timestamp};
use nemo_projections::KeyState;
use nemo_projections::budget::{WindowSpend, window_end};
use serde::Serialize;
use utoipa::ToSchema;

/// Open calls that are listed one by one, the oldest first.
const OPEN_CALLS_SHOWN: usize = 200;

/// A budget: limit = settled + held + free, unless the limit was lowered or a provider overcharged.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BudgetUse {
    /// Which windows it counts.
    pub(crate) window: WindowKind,
    /// The cap.
    pub(crate) limit: Nanos,
    /// Charged calls.
    pub(crate) settled: Nanos,
    /// Holds of open calls.
    pub(crate) held: Nanos,
    /// What is left; never below zero.
    pub(crate) free: Nanos,
    /// When the window ends; `null` for the total.
    pub(crate) resets_at: Option<Timestamp>,
}

/// Spend in one window.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WindowUse {
    /// Its kind.
    pub(crate) window: WindowKind,
    /// Its first moment; for the total, the key's creation.
    pub(crate) starts_at: Timestamp,
    /// The moment behind it; `null` for the total.
    pub(crate) resets_at: Option<Timestamp>,
    /// Charged calls.
    pub(crate) settled: Nanos,
    /// Holds of open calls.
    pub(crate) held: Nanos,
    /// How many calls are open.
    pub(crate) open_calls: u64,
}

/// Rates; `null` where there is no limit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyRates)]
pub(crate) struct Rates {
    /// Calls per 60 s.
    pub(crate) requests_per_minute: Option<RateUse>,
    /// Tokens per 60 s.
    pub(crate) tokens_per_minute: Option<RateUse>,
    /// Calls at the same time.
    pub(crate) concurrent_calls: Option<RateUse>,
}

/// A limit and what fits now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RateUse {
    /// The limit.
    pub(crate) limit: u64,
    /// What fits now.
    pub(crate) remaining: u64,
}

/// Calls that have not ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenCalls {
    /// How many there are.
    pub(crate) count: usize,
    /// The oldest of them, at most 200.
    pub(crate) calls: Vec<OpenCall>,
}

/// A call that has not ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenCall {
    /// The call.
    pub(crate) id: CallId,
    /// What it may cost at most.
    pub(crate) hold: Nanos,
    /// The provider that serves it.
    pub(crate) provider: String,
    /// The model's name at the provider.
    pub(crate) provider_model: String,
    /// When it was authorised.
    pub(crate) authorized_at: Timestamp,
    /// When its owner cuts it.
    pub(crate) deadline: Timestamp,
}

impl BudgetUse {
    pub(super) fn of(limit: Nanos, spend: &WindowSpend) -> Self {
        let WindowSpend { kind, start, settled, held, .. } = *spend;
        let used = settled.checked_add(held).unwrap_or(Nanos::MAX);
        let (free, resets_at) = (limit.minus_or_zero(used), window_end(kind, start));
        Self { window: kind, limit, settled, held, free, resets_at }
    }
}

impl WindowUse {
    pub(super) fn of(spend: &WindowSpend, created_at: Timestamp) -> Self {
        let WindowSpend { kind, start, settled, held, open } = *spend;
        let starts_at = if kind == WindowKind::Total { created_at } else { start };
        Self { window: kind, starts_at, resets_at: window_end(kind, start), settled, held, open_calls: open }
    }
}

impl Rates {
    pub(super) fn of(key: &KeyState, now: Timestamp) -> Self {
        let rate = |limit, remaining| RateUse { limit, remaining };
        let open = u64::try_from(key.open_calls.len()).unwrap_or(u64::MAX);
        let requests = key.request_limit().map(|limit| rate(limit, key.request_rate.remaining(limit, now)));
        let tokens =
            key.limits.tokens_per_minute.map(|limit| rate(limit, key.token_rate.remaining(limit, now)));
        let concurrent = key.limits.concurrent_calls.map(u64::from);
        Self {
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            concurrent_calls: concurrent.map(|limit| rate(limit, limit.saturating_sub(open))),
        }
    }
}

impl OpenCalls {
    pub(super) fn of(key: &KeyState) -> Self {
        // Call ids begin with their time, so the map is in the order of the calls.
        let oldest = key.open_calls.iter().take(OPEN_CALLS_SHOWN);
        let calls = oldest.map(|(id, call)| OpenCall {
            id: *id,
            hold: call.hold.amount,
            provider: call.provider.clone(),
            provider_model: call.provider_model.clone(),
            authorized_at: call.authorized_at,
            deadline: call.deadline,
        });
        Self { count: key.open_calls.len(), calls: calls.collect() }
    }
}
