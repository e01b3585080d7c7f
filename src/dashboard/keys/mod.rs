//! Keys: the list, and everything that can be done to one key or to several. What one key was and did is shown
//! by its own page.
//!
//! - Every form is a page; where scripts run, those of one key open as dialogs.
//! - A refusal is shown in the form, beside its field where it names one, and what was typed stays.
//! - One form makes one key and one secret, however often it is sent: it carries the key's id, or the version of
//!   the secret that it replaces.

pub(super) mod block;
pub(super) mod bulk;
pub(super) mod create;
pub(super) mod labels;
mod labels_form;
pub(super) mod limits;
pub(super) mod limits_form;
pub(super) mod limits_read;
pub(super) mod list;
pub(super) mod revoke;
pub(super) mod rotate;
mod rows;
mod secret;
mod subject;
pub(super) mod wrong;

use maud::{Markup, html};
use nemo_events::Timestamp;
use nemo_events::limits::{KeyLimits, WindowKind};
use nemo_projections::bounds::{Wider, wider_than};
use nemo_projections::key::Status;
use nemo_read_model::CapLevel;

use self::wrong::capitalised;
use super::components::{Tone, status, total};
use crate::figures::money::grouped;

/// How a key stands, expiry and used-up caps included, in a word.
#[must_use]
pub fn standing(of: Status, expires_at: Option<Timestamp>, cap: Option<CapLevel>, now: Timestamp) -> Markup {
    match of {
        Status::Revoked => status("Revoked", Tone::Ended),
        Status::Blocked => status("Blocked", Tone::Bad),
        Status::Active if expires_at.is_some_and(|at| at <= now) => status("Expired", Tone::Ended),
        Status::Active => match cap {
            Some(CapLevel::Over) => status("Over budget", Tone::Warning),
            Some(CapLevel::UsedUp) => status("Used up", Tone::Warning),
            Some(CapLevel::Near | CapLevel::Free) | None => status("Active", Tone::Good),
        },
    }
}

/// A budget's window, as it stands behind an amount.
#[must_use]
pub const fn window_words(window: WindowKind) -> &'static str {
    match window {
        WindowKind::Total => "in all",
        WindowKind::Day => "today",
        WindowKind::Week => "this week",
        WindowKind::Month => "this month",
    }
}

/// What a key may spend, in words.
fn caps_in_words(limits: &KeyLimits) -> Markup {
    let every = |window| match window {
        WindowKind::Total => "in all",
        WindowKind::Day => "a day",
        WindowKind::Week => "a week",
        WindowKind::Month => "a month",
    };
    html! {
        @if limits.budgets.is_empty() { "No cap" }
        @for (place, budget) in limits.budgets.iter().enumerate() {
            @if place > 0 { ", " }
            (total(budget.limit)) " " (every(budget.window))
        }
        @if !limits.budgets.is_empty() { ", then calls are refused" }
    }
}

/// How fast a key may be used, in words; `None` where nothing limits that.
fn rates_in_words(limits: &KeyLimits) -> Option<String> {
    let rates = [
        (limits.requests_per_minute.map(u64::from), "requests a minute"),
        (limits.tokens_per_minute, "tokens a minute"),
        (limits.concurrent_calls.map(u64::from), "calls at the same time"),
    ];
    let words: Vec<_> =
        rates.into_iter().filter_map(|(rate, what)| Some(format!("{} {what}", grouped(rate?)))).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// What an org bounds its keys to, in the words of a refusal.
fn bounds_in_words(bounds: &KeyLimits) -> Markup {
    html! {
        "Its org bounds its keys. "
        @for Wider { field, bound, .. } in wider_than(&KeyLimits::default(), bounds) {
            (capitalised(field)) ": " (bound) ". "
        }
    }
}
