//! The list of keys: filters in the address, pages of 50 by cursor, rows that lead to the key.

use std::collections::BTreeMap;

use maud::{Markup, html};
use nemo_events::{OrgId, Right};
use nemo_projections::key::Status;
use nemo_read_model::{Answer, Counted, KeyFilter, KeyRow, Page as Rows};

use super::rows::{self, Listed};
use crate::dashboard::components::{empty, no_match, pager, stale};
use crate::dashboard::{Fields, Page, Place, Shows, Visit};
use crate::figures::money::grouped;
use crate::read_side::State;

/// Filters that have no field of their own in the bar: they come from links, and are shown as chips.
const CHIPS: [&str; 6] = ["org", "app", "job", "cost_centre", "tag", "env"];

/// What the page shows.
struct Found {
    rows: Rows<KeyRow>,
    orgs: BTreeMap<OrgId, String>,
    count: Counted,
    environments: Vec<String>,
    is_empty: bool,
}

/// `GET /keys`
pub(in crate::dashboard) async fn show(visit: Visit) -> Shows {
    let sent = visit.query();
    let page = visit.asked.page(sent.given("cursor").as_deref(), None)?;
    let filter = filter(&visit, sent);
    let found = visit.asked.read(None, move |reader| {
        let Answer { value: rows, position } = reader.keys(&filter, &page)?;
        let mut orgs = BTreeMap::new();
        for row in &rows.rows {
            if let std::collections::btree_map::Entry::Vacant(vacant) = orgs.entry(row.org) {
                vacant.insert(reader.org_name(row.org)?.value.unwrap_or_default());
            }
        }
        let is_empty = rows.rows.is_empty() && reader.has_no_keys()?.value;
        let (count, environments) = (reader.count_keys(&filter)?.value, reader.environments()?.value);
        Ok(Answer { value: Found { rows, orgs, count, environments, is_empty }, position })
    });
    let Answer { value: found, position } = found.await?;
    let content = if found.is_empty { first_key(&visit) } else { list(&visit, &found) };
    let content = html! {
        div data-position=(position.map_or(0, |position| position.0)) {
            @if let Some(lagging) = lagging(&visit, position.map(|position| position.0)) { (lagging) }
            (content)
        }
    };
    let page = Page::new(Place::Keys, "Keys")
        .lede(html! { "One key for each job keeps a leak small. Only the name and last four characters are ever shown." })
        .sheets(&["keys.css"])
        .modules(&["live.js", "keys.js"]);
    let page = if visit.may(Right::ManageKeys) {
        page.actions(html! { a .button.main href="/keys/new" data-create { "Create key" kbd { "C" } } })
    } else {
        page
    };
    Ok(page.reply(&visit.viewer, &content))
}

fn filter(visit: &Visit, sent: &Fields) -> KeyFilter {
    let status = match sent.text("status") {
        "active" => Some(Status::Active),
        "blocked" => Some(Status::Blocked),
        "revoked" => Some(Status::Revoked),
        _ => None,
    };
    KeyFilter {
        status,
        search: sent.given("q"),
        org: sent.text("org").parse().ok(),
        app: sent.given("app"),
        job: sent.given("job"),
        env: sent.given("env"),
        cost_centre: sent.given("cost_centre"),
        tag: sent.given("tag"),
        cap_alert_at: (sent.text("status") == "near").then(|| visit.now()),
        ..KeyFilter::default()
    }
}

fn lagging(visit: &Visit, position: Option<u64>) -> Option<Markup> {
    let progress = visit.asked.app().read_side.progress();
    let behind = (progress.state == State::CatchingUp).then(|| progress.catch_up_to.map(|end| end.0))?;
    stale(position, behind)
}

/// Nothing yet: what to do first.
fn first_key(visit: &Visit) -> Markup {
    let action = html! {
        @if visit.may(Right::ManageKeys) {
            a .button.main href="/keys/new" data-create { "Create key" }
            p .small { "Or from the terminal: " code { "nemo keys create --org acme --name nightly-batch --budget month=20" } }
        } @else {
            p .small { "An admin can create one." }
        }
    };
    let why = html! {
        p {
            "Make one for each use: one for the nightly batch, one for chat, one for staging. Then a leak is limited to "
            "one job, and its spend is counted for you."
        }
    };
    html! { section .card { (empty("Create your first virtual key", &why, &action)) } }
}

fn list(visit: &Visit, found: &Found) -> Markup {
    let sent = visit.query();
    let first = sent.given("cursor").map(|_| sent.with("cursor", None).to_url("/keys"));
    let next =
        found.rows.next.as_ref().map(|next| sent.with("cursor", Some(&next.to_string())).to_url("/keys"));
    let may_manage = visit.may(Right::ManageKeys);
    let listed = Listed { orgs: &found.orgs, may_manage, now: visit.now() };
    html! {
        section .card.flush {
            (filters(sent, &found.environments))
            div data-live="keys" {
                @if found.rows.rows.is_empty() {
                    (no_match("key", "/keys"))
                } @else {
                    p .count { (how_many(found.count)) }
                    form #bulk method="get" action="/keys/bulk" {
                        (listed.table(&found.rows.rows))
                        @if may_manage { (rows::bulk_bar()) }
                    }
                }
                (pager(first.as_deref(), next.as_deref()))
            }
        }
    }
}

fn how_many(count: Counted) -> Markup {
    html! {
        @match count {
            Counted::Exactly(1) => "1 key",
            Counted::Exactly(keys) => { (grouped(keys)) " keys" }
            Counted::MoreThan(keys) => { "more than " (grouped(keys)) " keys" }
        }
    }
}

fn filters(sent: &Fields, environments: &[String]) -> Markup {
    let statuses = [
        ("", "All statuses"),
        ("active", "Active"),
        ("blocked", "Blocked"),
        ("revoked", "Revoked"),
        ("near", "Near or over a cap"),
    ];
    html! {
        form .bar-of-filters method="get" action="/keys" role="search" data-filters {
            label .out-of-sight for="q" { "Name, id or last four" }
            input #q type="search" name="q" value=(sent.text("q")) placeholder="Name, id or last four" autocomplete="off" spellcheck="false";
            label .out-of-sight for="status" { "Status" }
            select #status name="status" {
                @for (value, text) in statuses { option value=(value) selected[sent.text("status") == value] { (text) } }
            }
            label .out-of-sight for="env" { "Environment" }
            input #env .env type="text" name="env" value=(sent.text("env")) placeholder="All environments" autocomplete="off" list="environments";
            datalist #environments { @for env in environments { option value=(env) {} } }
            @for name in CHIPS.into_iter().filter(|name| *name != "env" && !sent.text(name).is_empty()) {
                input type="hidden" name=(name) value=(sent.text(name));
            }
            button { "Filter" }
            @for name in CHIPS.into_iter().filter(|name| !sent.text(name).is_empty()) {
                a .chip href=(sent.with(name, None).with("cursor", None).to_url("/keys")) {
                    (name.replace('_', " ")) ": " (shown(name, sent)) " " span aria-hidden="true" { "✕" }
                    span .out-of-sight { " (remove this filter)" }
                }
            }
            span .live-note {
                span data-live-state role="status" {}
                label .tick hidden { input type="checkbox" data-pause; "Pause updates" }
            }
        }
    }
}

/// An org's id is long; that it is filtered by says enough.
fn shown<'a>(name: &str, sent: &'a Fields) -> &'a str {
    let text = sent.text(name);
    if name == "org" { text.get(..8).unwrap_or(text) } else { text }
}
