//! What a key has left: limit = spent + held + free for each budget, and what holds it.

use maud::{Markup, html};
use nemo_events::Timestamp;
use nemo_events::limits::WindowKind;

use super::page::Shown;
use super::replay::held;
use crate::dashboard::components::{Column, Spending, absolute, ago, budget_bar, in_future, table, total};
use crate::figures::money::grouped;
use crate::management::shapes::{BudgetUse, Key};

/// Holds that are listed at once.
const HOLDS_SHOWN: usize = 50;

/// The card.
pub(super) fn section(shown: &Shown) -> Markup {
    let (key, now) = (&shown.key, shown.replay.as_of);
    html! {
        section .card aria-labelledby="headroom-heading" {
            header { h2 #headroom-heading { "Headroom" @if !shown.is_now { " then" } } p .muted.small { "limit = spent + held + free" } }
            @if key.budgets.is_empty() {
                p { strong { "No cap: " } "a leak of this key has no limit on spend." }
            } @else {
                div .grid.two.budgets { @for budget in &key.budgets { (one(budget, now)) } }
            }
            (holds(key, now))
        }
    }
}

fn one(budget: &BudgetUse, now: Timestamp) -> Markup {
    let BudgetUse { window, limit, settled, held, free, resets_at } = budget;
    let label = match window {
        WindowKind::Total => "in all",
        WindowKind::Day => "a day",
        WindowKind::Week => "a week",
        WindowKind::Month => "a month",
    };
    html! {
        div {
            (budget_bar(&Spending { label, limit: *limit, settled: *settled, held: *held }))
            dl .sum {
                div { dt { "Limit" } dd { (total(*limit)) } }
                div { dt { "= Spent" } dd { (total(*settled)) } }
                div { dt { "+ Held" } dd { (total(*held)) } }
                div { dt { "+ Free" } dd { (total(*free)) } }
            }
            @if let Some(resets_at) = resets_at { p .small.muted { "Begins anew " (in_future(*resets_at, now)) } }
        }
    }
}

fn holds(key: &Key, now: Timestamp) -> Markup {
    let open = &key.open_calls;
    let columns = [
        Column::text("Call"),
        Column::text("Model"),
        Column::number("Holds"),
        Column::text("Since"),
        Column::text("Cut at the latest"),
    ];
    let rows = html! {
        @for call in open.calls.iter().take(HOLDS_SHOWN) {
            tr {
                td { code .small { (call.id) } }
                td .anywhere { (call.provider_model) " " span .faint { (call.provider) } }
                td .number { (held(call.hold)) }
                td { (ago(call.authorized_at, now)) }
                td { (absolute(call.deadline)) }
            }
        }
    };
    html! {
        @if open.count == 0 { p .small.muted.below { "No call is open, so nothing is held." } }
        @else {
            div .below { h3 { "Held by " (grouped(open.count as u64)) @if open.count == 1 { " open call" } @else { " open calls" } } (table("Open calls", &columns, &rows)) }
            @let more = open.count.saturating_sub(open.calls.len().min(HOLDS_SHOWN));
            @if more > 0 { p .small.muted { "… and " (grouped(more as u64)) " more." } }
        }
    }
}
