//! Replay: a slider over a key's events, and the key as it was behind the chosen one. Without script its links and its
//! form do the same.

use maud::{Markup, html};
use nemo_events::limits::KeyLimits;
use nemo_events::{Nanos, Revision};
use nemo_projections::attribution::{FirstSeen, ModelUse};
use nemo_projections::replay::{Change, Mark, MarkKind};

use super::page::{Shown, standing};
use crate::dashboard::components::{Column, absolute, count, one_call, status, table, total};
use crate::figures::money::{self, grouped};

/// Width of the ruler above the slider, in its own units.
const RULER: u64 = 10_000;
/// Rows of first sightings that are shown at once; the rest is below a fold.
const SEEN_AT_ONCE: usize = 5;

/// The whole card.
pub(super) fn section(shown: &Shown) -> Markup {
    let replay = &shown.replay;
    let path = format!("/keys/{}", shown.id);
    html! {
        section .card.replay data-replay=(path) data-head=(replay.head.0) data-at=(replay.revision.0) aria-labelledby="replay-heading" {
            header {
                h2 #replay-heading { "Replay" }
                p .muted.small.number data-replay-said {
                    @if shown.is_now { "Now: " } "state after event " (grouped(replay.revision.0)) " of " (grouped(replay.head.0)) ", " (absolute(replay.recorded_at))
                }
            }
            (controls(shown, &path))
            (tiles(shown))
            @if !shown.is_now { (what_happened(shown)) }
            (details(shown, &path))
        }
    }
}

fn controls(shown: &Shown, path: &str) -> Markup {
    let replay = &shown.replay;
    let (at, head) = (replay.revision, replay.head);
    let back = at.0.checked_sub(1).map(|to| format!("{path}?at=@{to}"));
    let forward = (at < head).then(|| format!("{path}?at={}", at.next()));
    let value = if shown.is_now { String::new() } else { at.to_string() };
    html! {
        div .scrub {
            (step("Back", back.as_deref(), "event before"))
            form .slider method="get" action=(path) {
                (ruler(&replay.marks, head, at))
                input type="range" name="at" min="0" max=(head.0) step="1" value=(at.0)
                    aria-label="Event of the key's life" aria-valuetext={ "event " (grouped(at.0)) };
                noscript { button .quiet { "Show" } }
            }
            (step("Forward", forward.as_deref(), "next event"))
            @if shown.is_now { span .button.quiet.off { "Now" } }
            @else { a .button.quiet href=(path) { "Now" } }
        }
        form .jump method="get" action=(path) {
            label for="at" .small.muted { "Jump to an event, a time or a position" }
            input #at name="at" value=(value) placeholder="@12 or 2026-11-22T06:00:00Z" autocomplete="off" spellcheck="false" size="28";
            button .quiet { "Go" }
        }
    }
}

fn step(word: &str, to: Option<&str>, said: &str) -> Markup {
    html! {
        @if let Some(to) = to { a .button.quiet href=(to) data-step=(word) aria-label={ (word) ": " (said) } { (word) } }
        @else { span .button.quiet.off { (word) } }
    }
}

/// Where something was first seen, along the slider.
fn ruler(marks: &[Mark], head: Revision, at: Revision) -> Markup {
    let place = |revision: Revision| {
        u64::try_from(u128::from(revision.0) * u128::from(RULER) / u128::from(head.0.max(1))).unwrap_or(RULER)
    };
    html! {
        svg .ruler viewBox={ "0 0 " (RULER) " 10" } preserveAspectRatio="none" aria-hidden="true" {
            @for mark in marks {
                @let x = place(mark.revision);
                line .mark .(class(mark.kind)) .later[mark.revision > at] x1=(x) x2=(x) y1="0" y2="10" {
                    title { (word(mark.kind)) " " (mark.value) " first seen at event " (mark.revision) }
                }
            }
        }
    }
}

const fn class(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Address => "address",
        MarkKind::UserAgent => "agent",
        MarkKind::Model => "model",
    }
}

const fn word(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Address => "Address",
        MarkKind::UserAgent => "User agent",
        MarkKind::Model => "Model",
    }
}

fn tiles(shown: &Shown) -> Markup {
    let (key, then) = (&shown.key, if shown.is_now { "" } else { " then" });
    let (standing, tone) = standing(key, shown.replay.as_of);
    let used = &key.attribution;
    let addresses = &used.addresses;
    let billed = used.total.calls.saturating_sub(used.voided);
    html! {
        div .grid.tiles.then {
            div .tile {
                h3 .label { "Status" (then) }
                p .figure { (status(standing, tone)) }
                p .note {
                    @if key.open_calls.count > 0 { (of_them(key.open_calls.count as u64, "call", "calls")) " open" } @else { "no call open" }
                }
            }
            div .tile {
                h3 .label { "Spend" (then) }
                p .figure data-spend=(used.total.spend) { (total(used.total.spend)) }
                p .note { (cap(shown)) }
            }
            div .tile {
                h3 .label { "Calls billed" }
                p .figure data-calls=(billed) { (count(billed)) }
                p .note {
                    @let refused = used.refusals.iter().fold(used.other_refusals, |sum, refused| sum.saturating_add(refused.count));
                    @if used.voided > 0 { (grouped(used.voided)) " cost nothing; " }
                    (grouped(refused)) " refused"
                }
            }
            div .tile {
                h3 .label { "Source addresses" }
                p .figure data-addresses=(addresses.values.len()) { (count(addresses.values.len() as u64)) @if addresses.more_calls > 0 { "+" } }
                p .note { (latest_address(addresses)) }
            }
        }
    }
}

fn cap(shown: &Shown) -> Markup {
    let budgets = &shown.key.budgets;
    html! {
        @if budgets.is_empty() { "no cap" }
        @else { @for (n, budget) in budgets.iter().enumerate() {
            @if n > 0 { "; " }
            (total(budget.settled)) " of " (total(budget.limit)) " " (window(budget.window))
        } }
    }
}

/// What a kind of window is called behind an amount.
pub(super) const fn window(kind: nemo_events::limits::WindowKind) -> &'static str {
    use nemo_events::limits::WindowKind;
    match kind {
        WindowKind::Total => "in all",
        WindowKind::Day => "that day",
        WindowKind::Week => "that week",
        WindowKind::Month => "that month",
    }
}

fn latest_address(seen: &FirstSeen) -> Markup {
    html! {
        @match seen.values.as_slice() {
            [] => "none yet",
            [only] => { "first seen at event " (only.first_revision) },
            [.., last] => { "the latest first seen at event " (last.first_revision) },
        }
    }
}

/// What the chosen event changed, and what came after it.
fn what_happened(shown: &Shown) -> Markup {
    let replay = &shown.replay;
    let since = replay.head.0.saturating_sub(replay.revision.0);
    let after = &replay.after;
    html! {
        div .grid.two.happened {
            div {
                h3 { "What event " (replay.revision) " changed" }
                @if replay.changes.is_empty() { p .muted { "Nothing of the state." } }
                @else { ul { @for change in &replay.changes { li { (told(change)) } } } }
            }
            div {
                h3 { "Since then" }
                @if since == 0 { p .muted { "Nothing: this is the key's last event." } }
                @else {
                    p {
                        (of_them(since, "event", "events")) "; " (of_them(after.used.calls, "call", "calls")) " ended, charged "
                        strong data-after=(after.used.spend) { (total(after.used.spend)) }
                        @if after.first_seen.is_empty() { "; nothing new was seen." }
                        @else { "; " (grouped(after.first_seen.len() as u64)) " seen for the first time." }
                    }
                }
            }
        }
    }
}

fn told(change: &Change) -> Markup {
    let from_to = |from: Nanos, to: Nanos| html! { (total(from)) " → " (total(to)) };
    html! {
        @match change {
            Change::Created => "The key was created",
            Change::Status { from, to } => { "Status: " (state_word(*from)) " → " (state_word(*to)) },
            Change::Labels => "Labels",
            Change::Limits => "Limits",
            Change::Secrets => "Secrets",
            Change::Spend { from, to } => { "Spend: " (from_to(*from, *to)) },
            Change::Held { from, to } => { "Held: " (from_to(*from, *to)) },
            Change::FirstAddress { value } => { "First call from " code .anywhere { (value) } },
            Change::FirstUserAgent { value } => { "First call by " code .anywhere { (value) } },
            Change::FirstModel { provider, value } => { "First call of " code .anywhere { (value) } " at " (provider) },
            Change::Refused { count } => { (grouped(*count)) " refused" },
            Change::FlaggedModels => "Flagged models",
        }
    }
}

const fn state_word(status: nemo_projections::key::Status) -> &'static str {
    use nemo_projections::key::Status;
    match status {
        Status::Active => "active",
        Status::Blocked => "blocked",
        Status::Revoked => "revoked",
    }
}

fn details(shown: &Shown, path: &str) -> Markup {
    let used = &shown.key.attribution;
    html! {
        div .grid.two.seen {
            div { h3 { "Limits" } (limits(&shown.key.limits)) }
            div { h3 { "Models" } (models(&used.models, used.other_models.calls, path)) }
            div { h3 { "Addresses" } (seen("Addresses", "Address", &used.addresses, path)) }
            div { h3 { "User agents" } (seen("User agents", "User agent", &used.user_agents, path)) }
        }
    }
}

fn limits(limits: &KeyLimits) -> Markup {
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join(", "));
    let grouped = |number: u64| grouped(number);
    let budgets: Vec<_> =
        limits.budgets.iter().map(|b| format!("{} {}", money::total(b.limit), b.window)).collect();
    let endpoints = limits
        .endpoints
        .as_ref()
        .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let addresses = limits
        .addresses
        .as_ref()
        .map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let facts = [
        ("Budgets", Some(if budgets.is_empty() { "no cap".to_owned() } else { budgets.join(", ") })),
        ("One call", limits.max_call_cost.map(|most| format!("at most {}", money::total(most)))),
        ("Requests a minute", limits.requests_per_minute.map(|limit| grouped(limit.into()))),
        ("Tokens a minute", limits.tokens_per_minute.map(grouped)),
        ("Calls at once", limits.concurrent_calls.map(|limit| grouped(limit.into()))),
        ("Models", list(&limits.models)),
        ("Endpoints", endpoints),
        ("Addresses", addresses),
        ("Expires", limits.expires_at.map(crate::figures::time::to_the_second)),
    ];
    html! {
        dl .facts {
            @for (name, value) in facts { @if let Some(value) = value { dt { (name) } dd { (value) } } }
        }
    }
}

fn models(models: &[ModelUse], other_calls: u64, path: &str) -> Markup {
    let columns =
        [Column::text("Model"), Column::text("First seen"), Column::number("Calls"), Column::number("Spend")];
    let row = |model: &ModelUse| {
        html! {
            tr {
                td .anywhere { code { (model.model) } " " span .faint { (model.provider) } }
                td { (event_link(path, model.first_revision)) }
                td .number { (count(model.used.calls)) }
                td .number { (total(model.used.spend)) }
            }
        }
    };
    html! {
        @if models.is_empty() { p .muted { "No model was called yet." } }
        @else { (folded("Models", &columns, models, row)) }
        @if other_calls > 0 { p .small.muted { (grouped(other_calls)) " calls of other models." } }
    }
}

fn seen(name: &'static str, what: &'static str, seen: &FirstSeen, path: &str) -> Markup {
    let columns = [Column::text(what), Column::text("First seen"), Column::number("Calls")];
    let row = |seen: &nemo_projections::attribution::Seen| {
        html! {
            tr {
                td .anywhere { code { (seen.value) } }
                td { (event_link(path, seen.first_revision)) " " span .faint { (absolute(seen.first_seen)) } }
                td .number { (count(seen.calls)) }
            }
        }
    };
    html! {
        @if seen.values.is_empty() { p .muted { "None yet." } }
        @else { (folded(name, &columns, &seen.values, row)) }
        @if seen.more_calls > 0 { p .small.muted { (grouped(seen.more_calls)) " calls of further ones, which are not listed." } }
    }
}

/// How many there are of something.
fn of_them(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A table of which only the beginning is open.
fn folded<T>(name: &'static str, columns: &[Column], all: &[T], row: impl Fn(&T) -> Markup) -> Markup {
    let (first, rest) = all.split_at(SEEN_AT_ONCE.min(all.len()));
    let rows = |all: &[T]| html! { @for one in all { (row(one)) } };
    html! {
        (table(name, columns, &rows(first)))
        @if !rest.is_empty() {
            details { summary { (grouped(rest.len() as u64)) " more" } (table(&format!("{name}, continued"), columns, &rows(rest))) }
        }
    }
}

/// An event by its number, which leads to the key behind it.
pub(super) fn event_link(path: &str, revision: Revision) -> Markup {
    html! { a .number href={ (path) "?at=" (revision) } { (revision) } }
}

/// What a call holds.
pub(super) fn held(amount: Nanos) -> Markup {
    one_call(amount)
}
