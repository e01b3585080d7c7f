//! The list of orgs.

use actix_web::HttpResponse;
use maud::{Markup, html};
use nemo_events::{Right, Timestamp};
use nemo_projections::org::Standing;
use nemo_read_model::{Answer, OrgFilter, OrgRow, Page as Rows};

use super::standing;
use crate::dashboard::components::{Choice, Column, ago, count, empty, no_match, pager, table};
use crate::dashboard::{Fields, Page, Place, Shows, Visit};

/// Shows orgs, newest first.
pub(in crate::dashboard) async fn list(visit: Visit) -> Shows {
    let query = visit.query();
    let page = visit.asked.page(query.given("cursor").as_deref(), None)?;
    let filter = OrgFilter { search: query.given("q"), standing: standing_in(query), ..OrgFilter::default() };
    let found = visit.asked.read(None, move |reader| reader.orgs(&filter, &page)).await?;
    Ok(shown(&visit, &found))
}

fn standing_in(query: &Fields) -> Option<Standing> {
    match query.text("status") {
        "active" => Some(Standing::Active),
        "suspended" => Some(Standing::Suspended),
        "archived" => Some(Standing::Archived),
        _ => None,
    }
}

fn is_filtered(query: &Fields) -> bool {
    query.given("q").is_some() || standing_in(query).is_some()
}

fn shown(visit: &Visit, found: &Answer<Rows<OrgRow>>) -> HttpResponse {
    let (query, now) = (visit.query(), visit.now());
    let may_create = visit.may(Right::ManageOrgs);
    let cursor = query.given("cursor");
    let create = html! { a .button.main.in-dialog href="/orgs/new" { "Create org" } };
    let lede = html! { "An org owns keys: it gives new ones their limits, and can be suspended or archived as a whole." };
    let mut page = Page::new(Place::Orgs, "Orgs").lede(lede).modules(&["live.js"]);
    if may_create {
        page = page.actions(create.clone());
    }
    let rows = &found.value.rows;
    let content = html! {
        div .card.flush data-position=[found.position] {
            (filters(query))
            div data-live="orgs" {
                @if !rows.is_empty() { (rows_of(rows, now)) }
                @else if is_filtered(query) || cursor.is_some() { (no_match("org", "/orgs")) }
                @else {
                    (empty("Create your first org", &html! { p { "Keys belong to an org. One is enough to begin with." } },
                        &html! { @if may_create { (create) } @else { p { "An admin can do that." } } }))
                }
            }
            (pager(
                cursor.map(|_| query.with("cursor", None).to_url("/orgs")).as_deref(),
                found.value.next.as_ref().map(|next| query.with("cursor", Some(&next.to_string())).to_url("/orgs")).as_deref(),
            ))
        }
    };
    page.reply(&visit.viewer, &content)
}

fn filters(query: &Fields) -> Markup {
    let chosen = |value: &str| query.text("status") == value;
    let choice = |value: &'static str, text| Choice { value, text, chosen: chosen(value) };
    let choices = [
        choice("", "Any status"),
        choice("active", "Active"),
        choice("suspended", "Suspended"),
        choice("archived", "Archived"),
    ];
    html! {
        form .bar-of-filters method="get" action="/orgs" role="search" {
            input type="search" name="q" value=(query.text("q")) placeholder="Name" aria-label="Name" maxlength="128";
            select name="status" aria-label="Status" {
                @for Choice { value, text, chosen } in choices { option value=(value) selected[chosen] { (text) } }
            }
            button { "Search" }
            @if is_filtered(query) { a .button.quiet href="/orgs" { "Show all" } }
        }
    }
}

fn rows_of(rows: &[OrgRow], now: Timestamp) -> Markup {
    let columns = [
        Column::text("Name"),
        Column::text("Status"),
        Column::number("Keys"),
        Column::text("Created"),
        Column::text("Changed"),
    ];
    let rows = html! {
        @for org in rows {
            tr data-row {
                td .anywhere { a href={ "/orgs/" (org.org) } { (org.name) } }
                td { (standing(org.standing)) }
                td .number { (count(org.keys)) }
                td { (ago(org.created_at, now)) }
                td { (ago(org.changed_at, now)) }
            }
        }
    };
    table("Orgs", &columns, &rows)
}
