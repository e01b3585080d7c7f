//! What a key has left, as its holder is told in headers.

use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, Timestamp};
use nemo_projections::KeyState;

use super::fold::KeyAccount;

/// What one budget has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLeft {
    /// Which budget.
    pub window: WindowKind,
    /// Its limit.
    pub limit: Nanos,
    /// Limit less what settled and what is held; never below zero.
    pub free: Nanos,
}

/// What one rate has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLeft {
    /// The limit per minute.
    pub limit: u64,
    /// What fits now.
    pub remaining: u64,
}

/// What a key has left, as callers are told in headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// The budget with the least left.
    pub budget: Option<BudgetLeft>,
    /// Requests per minute.
    pub requests: Option<RateLeft>,
    /// Tokens per minute.
    pub tokens: Option<RateLeft>,
}

pub(super) fn room(state: &KeyAccount, now: Timestamp) -> Room {
    let Some(key) = &state.key else { return Room::default() };
    let requests = key.request_limit();
    let tokens = key.limits.tokens_per_minute;
    Room {
        budget: tightest(key, now),
        requests: requests.map(|limit| RateLeft { limit, remaining: key.request_rate.remaining(limit, now) }),
        tokens: tokens.map(|limit| RateLeft { limit, remaining: key.token_rate.remaining(limit, now) }),
    }
}

/// The budget with the least left.
fn tightest(key: &KeyState, now: Timestamp) -> Option<BudgetLeft> {
    let left = key.limits.budgets.iter().map(|budget| {
        let window = key.windows.at(budget.window, now);
        let used = window.settled.checked_add(window.held).unwrap_or(Nanos::MAX);
        BudgetLeft { window: budget.window, limit: budget.limit, free: budget.limit.minus_or_zero(used) }
    });
    left.min_by_key(|left| left.free)
}
