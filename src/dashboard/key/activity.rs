//! The list of a key's events: filtered by the address, paged both ways, each with what is stored of it.

use maud::{Markup, html};
use nemo_events::{Revision, Timestamp};

use super::event::{TYPES, told};
use super::page::Shown;
use super::query::KeyQuery;
use super::replay::event_link;
use crate::audit::{Activity, Entry, Look};
use crate::dashboard::components::{Tone, ago, one_call};
use crate::figures::money::grouped;
use crate::figures::time::to_the_millisecond;

/// The card.
pub(super) fn section(
    shown: &Shown,
    query: &KeyQuery,
    found: &Activity,
    look: Look,
    now: Timestamp,
) -> Markup {
    let path = format!("/keys/{}", shown.id);
    // The newest first, whichever way it was looked.
    let entries: Vec<&Entry> = match look {
        Look::Backwards(_) => found.entries.iter().collect(),
        Look::Forwards(_) => found.entries.iter().rev().collect(),
    };
    html! {
        section .card.flush.activity #activity aria-labelledby="activity-heading" {
            header {
                h2 #activity-heading { "Activity" }
                a .button.quiet href=(query.filters().to_url(&format!("{path}/activity.csv"))) download { "Download CSV" }
            }
            (filters(&path, query))
            @if entries.is_empty() { (nothing(&path, query, found, look)) }
            @else { ul .events { @for entry in entries { li { (row(entry, &path, now)) } } } }
            (pages(shown, &path, query, found, look))
        }
    }
}

fn filters(path: &str, query: &KeyQuery) -> Markup {
    html! {
        form .bar-of-filters method="get" action={ (path) "#activity" } {
            @if !query.at.is_empty() { input type="hidden" name="at" value=(query.at); }
            select name="type" aria-label="Type of event" {
                option value="" { "All events" }
                @for (name, words) in TYPES { option value=(name) selected[query.filter.event_type.as_deref() == Some(name)] { (words) } }
            }
            input type="search" name="model" value=[&query.filter.model] placeholder="Model" aria-label="Model" autocomplete="off" spellcheck="false";
            input type="search" name="address" value=[&query.filter.address] placeholder="Address" aria-label="Address" autocomplete="off" spellcheck="false";
            button .quiet { "Filter" }
            @if !query.filter.is_empty() { a href={ (path) "#activity" } { "Show all" } }
        }
    }
}

/// One event: a line, and below it, once opened, all that is stored.
fn row(entry: &Entry, path: &str, now: Timestamp) -> Markup {
    let (event, told) = (&entry.record.event, told(entry));
    html! {
        details .event #{ "e" (event.revision.0) } {
            summary {
                span .when { (ago(event.recorded_at, now)) }
                span .what {
                    span .dot.(tone(told.tone)) aria-hidden="true" {}
                    span { strong { (told.what) } @if !told.how.is_empty() { span .how { (told.how.join(" · ")) } } }
                }
                span .amount {
                    @if let Some(amount) = told.amount { (one_call(amount)) }
                    span .revision.mono { (event.revision) }
                }
            }
            div .stored {
                dl .facts {
                    dt { "Event" } dd { (event_link(path, event.revision)) " " code { (event.event_type) } " version " (event.version) }
                    dt { "Recorded" } dd { (to_the_millisecond(event.recorded_at)) }
                    dt { "Position" } dd .number { (grouped(entry.record.position.0)) }
                    dt { "Id" } dd { code { (event.id) } }
                    @if let Some(agent) = entry.call.as_ref().and_then(|call| call.user_agent.as_ref()) { dt { "User agent" } dd { code { (agent) } } }
                    dt { "Hash" } dd { code { (event.hash) } }
                    dt { "Hash before" } dd { code { (event.prev_hash) } }
                }
                h3 { "Data, as it is stored" }
                pre { (String::from_utf8_lossy(&event.data)) }
                h3 { "Metadata, as it is stored" }
                pre { (String::from_utf8_lossy(&event.metadata)) }
            }
        }
    }
}

const fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Info => "info",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
        Tone::Ended => "ended",
    }
}

/// Nothing on this page: there may be more where nobody has looked yet.
fn nothing(path: &str, query: &KeyQuery, found: &Activity, look: Look) -> Markup {
    let looked = grouped(found.looked_at as u64);
    html! {
        div .nothing {
            @match (found.next, look) {
                (Some(next), Look::Backwards(_)) => {
                    h2 { "Nothing found yet" }
                    p { "None of the last " (looked) " events that were looked at matches. There are earlier ones." }
                    p { a .button href=(page(path, query, "before", next)) { "Look further back" } }
                }
                _ => {
                    h2 { "Nothing matches" }
                    p { "No event of this key up to here matches these filters." }
                    p { a href={ (path) "#activity" } { "Show all" } }
                }
            }
        }
    }
}

fn page(path: &str, query: &KeyQuery, direction: &str, place: Revision) -> String {
    let at = Some(query.at.as_str()).filter(|at| !at.is_empty());
    let fields = query.filters().with("at", at).with(direction, Some(&place.to_string()));
    format!("{}#activity", fields.to_url(path))
}

fn pages(shown: &Shown, path: &str, query: &KeyQuery, found: &Activity, look: Look) -> Markup {
    let ends = found.entries.first().zip(found.entries.last());
    let revision = |entry: &Entry| entry.record.event.revision;
    let head = shown.replay.head;
    let (newer, older) = match look {
        Look::Backwards(_) => {
            let newest = ends.map(|(first, _)| revision(first));
            (newest.filter(|newest| *newest < head).map(Revision::next), found.next)
        }
        Look::Forwards(from) => {
            let oldest = ends.map_or(from, |(first, _)| revision(first));
            (found.next, oldest.0.checked_sub(1).map(Revision))
        }
    };
    html! {
        footer {
            nav .pager aria-label="Pages of the list" {
                @if let Some(newer) = newer { a .button.quiet href=(page(path, query, "after", newer)) rel="prev" { "Newer" } } @else { span {} }
                @if let Some(older) = older { a .button.quiet href=(page(path, query, "before", older)) rel="next" { "Older" } }
            }
        }
    }
}
