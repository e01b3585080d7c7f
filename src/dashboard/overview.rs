//! `/`: how the gateway is doing. What needs a look comes first, then this month in four figures, who spends,
//! whose caps come to their end, and what was changed last.

mod alerts;
mod deeds;
mod spend;

use maud::{Markup, html};
use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, Right, Role};

use super::actors::Actors;
use super::components::{Spending, Tone, absolute, budget_bar, count, empty, key_label, status, total};
use super::{Page, Place, Shows, Visit};
use crate::figures::money::grouped;
use crate::management::overview::{self, Cap, LedgerState, Overview};
use crate::read_side::State;

/// Reasons of refusals that are named; the others are added up.
const REASONS_NAMED: usize = 3;

/// Shows it.
pub(super) async fn show(visit: Visit) -> Shows {
    let found = overview::gather(&visit.asked, None).await?;
    let actors = Actors::of(visit.asked.app());
    let page = Page::new(Place::Overview, "Overview").sheets(&["chart.css", "overview.css"]);
    let create = html! { a .button.main href="/keys/new" data-create { "Create key" } };
    if is_empty(&found) {
        let lede = html! { "The ledger has no keys yet." };
        return Ok(page.lede(lede).reply(&visit.viewer, &first_key(&visit)));
    }
    let position = found.position.map_or(0, |position| position.0);
    let lede = html! {
        "Days are UTC. As of "
        span data-live="as-of" { (absolute(found.now)) ", ledger position " (grouped(position)) }
        "."
    };
    let mut page = page.lede(lede).modules(&["live.js", "chart.js"]);
    if visit.may(Right::ManageKeys) {
        page = page.actions(create);
    }
    Ok(page.reply(&visit.viewer, &content(&found, &actors, visit.viewer.role)))
}

fn is_empty(found: &Overview) -> bool {
    let keys = &found.keys;
    [keys.active, keys.blocked, keys.expired, keys.revoked].iter().all(|count| *count == 0)
        && found.ledger.read_model.state == State::Current
}

fn first_key(visit: &Visit) -> Markup {
    let why = html! {
        p {
            "Make one for each use: one for the nightly batch, one for chat, one for staging. Then a leak is \
             limited to one job, and its spend is counted for you."
        }
    };
    let action = html! {
        @if visit.may(Right::ManageKeys) {
            a .button.main href="/keys/new" data-create { "Create key" }
            p .small {
                "Or from the terminal: "
                code { "nemo keys create --org ORG --name nightly-batch --budget 20/month" }
            }
        } @else {
            p { "An admin can do that." }
        }
    };
    html! { div .card { (empty("Create your first virtual key", &why, &action)) } }
}

fn content(found: &Overview, actors: &Actors, role: Role) -> Markup {
    html! {
        div data-live="overview" data-position=[found.ledger.position] {
            div .stack {
                (alerts::show(found))
                (tiles(found))
                div .grid.wide-narrow {
                    section .card aria-labelledby="spend-heading" { (spend::show(found)) }
                    section .card aria-labelledby="closest-heading" { (closest(found)) }
                }
                @if role.may(Right::ReadLedger) {
                    section .card.flush aria-labelledby="deeds-heading" { (deeds::show(found, actors)) }
                    section .card.integrity aria-labelledby="integrity-heading" { (integrity(&found.ledger)) }
                }
            }
        }
    }
}

fn tiles(found: &Overview) -> Markup {
    let sums = &found.month.sums;
    let refused = found.refusals.iter().fold(0_u64, |sum, refused| sum.saturating_add(refused.count));
    html! {
        div .grid.tiles {
            section .card.tile {
                h2 .label { "Spend this month" }
                p .figure { (total(sums.cost)) }
                p .note { (spend::compared(found)) }
            }
            section .card.tile {
                h2 .label { "Calls billed this month" }
                p .figure { (count(sums.calls.saturating_sub(sums.voided))) }
                p .note {
                    @if sums.calls == 0 { "No call ended yet." }
                    @else { (share(sums.calls.saturating_sub(sums.voided), sums.calls)) " of those that ended; " (grouped(sums.voided)) " cost nothing" }
                }
            }
            section .card.tile {
                h2 .label { "Calls refused this month" }
                p .figure { (count(refused)) }
                p .note { (reasons(found, refused)) }
            }
            section .card.tile {
                h2 .label { "Active keys" }
                p .figure { a href="/keys?status=active" { (count(found.keys.active)) } }
                p .note {
                    (grouped(found.keys.idle)) " not used for 30 days"
                    @if found.keys.blocked > 0 { ", " (grouped(found.keys.blocked)) " blocked" }
                    @if found.keys.expired > 0 { ", " (grouped(found.keys.expired)) " expired" }
                }
            }
        }
    }
}

fn reasons(found: &Overview, refused: u64) -> Markup {
    let named = found.refusals.iter().take(REASONS_NAMED);
    let told = named.clone().fold(0_u64, |sum, refused| sum.saturating_add(refused.count));
    html! {
        @if refused == 0 { "Nothing was refused." }
        @for (place, refused) in named.enumerate() {
            @if place > 0 { ", " }
            a href={ "/docs/errors#" (refused.code) } { (refused.code.replace('_', " ")) } " " (grouped(refused.count))
        }
        @if refused > told { ", other " (grouped(refused.saturating_sub(told))) }
    }
}

fn closest(found: &Overview) -> Markup {
    html! {
        header { h2 #closest-heading { "Closest to their cap" } }
        @if found.closest.is_empty() {
            p .muted { "No key has spent any of its caps in their present windows." }
        } @else {
            ul .caps {
                @for cap in &found.closest { li data-row { (key_label(cap.key, &cap.name, &cap.last_four)) (bar(cap)) } }
            }
        }
    }
}

fn bar(cap: &Cap) -> Markup {
    let (limit, settled, held) = (cap.limit, cap.spent, Nanos::ZERO);
    budget_bar(&Spending { label: window(cap.window), limit, settled, held })
}

/// A window as it follows an amount.
pub(super) const fn window(kind: WindowKind) -> &'static str {
    match kind {
        WindowKind::Total => "in all",
        WindowKind::Day => "today",
        WindowKind::Week => "this week",
        WindowKind::Month => "this month",
    }
}

fn integrity(ledger: &LedgerState) -> Markup {
    let position = ledger.position.map_or(0, |position| position.0);
    let (word, tone) = match (ledger.trouble.is_some(), ledger.read_model.state) {
        (true, _) => ("Not reachable", Tone::Bad),
        (false, State::Current) => ("No damage found", Tone::Good),
        (false, State::Opening | State::CatchingUp) => ("Being read", Tone::Info),
        (false, State::Broken | State::Damaged) => ("Needs a look", Tone::Bad),
    };
    html! {
        div .row {
            h2 #integrity-heading { "Ledger integrity" } (status(word, tone))
            p .muted {
                (grouped(position)) @if position == 1 { " event." } @else { " events." }
                " Each is checked against its hash whenever it is read. "
                code { "nemo ledger verify" } " proves the whole chain. "
                a href="/ledger" { "Open ledger" }
            }
        }
    }
}

fn share(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_up_to_all() {
        for (part, whole, text) in
            [(0, 0, "0.0%"), (1, 3, "33.3%"), (9999, 10_000, "99.9%"), (7, 7, "100.0%")]
        {
            assert_eq!(share(part, whole), text);
        }
    }
}
