//! The cards in force.

use maud::{Markup, html};
use nemo_events::Timestamp;
use nemo_read_model::Limit;

use super::day;
use crate::dashboard::components::{Choice, Column, count, empty, no_match, pager, rate, table};
use crate::dashboard::{Fields, Page, Place, Shows, Visit};
use crate::figures::money::grouped;
use crate::management::failures;
use crate::management::prices::{self, PriceFilter};
use crate::providers::Route;

/// Shows what models cost now.
pub(in crate::dashboard) async fn list(visit: Visit) -> Shows {
    let (app, query) = (visit.asked.app(), visit.query());
    let filter = PriceFilter { q: query.given("q"), provider: query.given("provider") };
    let offers = prices::offers(app, &filter);
    let cursor = query.given("cursor");
    let page = prices::page_of(&offers, cursor.as_deref(), Limit::default());
    let (rows, next) = page.map_err(|error| visit.asked.refused(failures::of_read(&error)))?;
    let terms = app.terms();
    let providers: Vec<&str> = terms.providers.iter().map(|provider| provider.name.as_str()).collect();
    let to = |cursor: Option<&str>| query.with("cursor", cursor).to_url("/prices");
    let lede = html! {
        "Dollars for a million tokens, by the card that a call of this moment is held and charged by. "
        strong { "Past calls keep their price." }
    };
    let content = html! {
        div .card.flush {
            (filters(query, &providers, offers.len()))
            @if !rows.is_empty() { (rows_of(rows, visit.now())) }
            @else if is_filtered(query) { (no_match("model", "/prices")) }
            @else {
                (empty("No model has a price", &html! {
                    p { "Configure a provider, and prices for models that the catalogue does not know: " a href="/docs" { "the reference" } " says how." }
                }, &html! {}))
            }
            (pager(
                cursor.as_ref().map(|_| to(None)).as_deref(),
                next.map(|next| to(Some(next))).as_deref(),
            ))
        }
    };
    let page = Page::new(Place::Prices, "Prices").lede(lede).sheets(&["prices.css"]);
    Ok(page.reply(&visit.viewer, &content))
}

fn is_filtered(query: &Fields) -> bool {
    query.given("q").is_some() || query.given("provider").is_some()
}

fn filters(query: &Fields, providers: &[&str], found: usize) -> Markup {
    let any = Choice { value: "", text: "Any provider", chosen: query.text("provider").is_empty() };
    let each = providers.iter().map(|name| Choice {
        value: name,
        text: name,
        chosen: query.text("provider") == *name,
    });
    let models = u64::try_from(found).unwrap_or(u64::MAX);
    html! {
        form .bar-of-filters method="get" action="/prices" role="search" {
            input type="search" name="q" value=(query.text("q")) placeholder="Model" aria-label="Model" maxlength="256";
            select name="provider" aria-label="Provider" {
                @for Choice { value, text, chosen } in std::iter::once(any).chain(each) {
                    option value=(value) selected[chosen] { (text) }
                }
            }
            button { "Search" }
            @if is_filtered(query) { a .button.quiet href="/prices" { "Show all" } }
            span .count { (grouped(models)) @if models == 1 { " model" } @else { " models" } }
        }
    }
}

fn rows_of(rows: &[(String, Route)], now: Timestamp) -> Markup {
    let columns = [
        Column::text("Model"),
        Column::text("Provider"),
        Column::number("Input"),
        Column::number("Output"),
        Column::number("Cache read"),
        Column::number("Context"),
        Column::number("Output limit"),
        Column::text("Since"),
    ];
    let rows = html! {
        @for (name, route) in rows {
            @let card = &route.card;
            @let (since, until) = prices::holds(route, now);
            tr data-row {
                td .model { a href=(Fields::default().with("model", Some(name)).to_url("/prices/history")) { (name) } }
                td { (route.provider.name) }
                td .number { (rate(card.rates.input)) }
                td .number { (rate(card.rates.output)) @if !card.tiers.is_empty() { " " span .muted title="Long contexts cost more" { "+" } } }
                td .number { @if let Some(cached) = card.rates.cache_read { (rate(cached)) } @else { "–" } }
                td .number { (count(card.context_window)) }
                td .number { (count(card.max_output_tokens)) }
                td {
                    @if let Some(since) = since { (day(since)) } @else { span .muted { "always" } }
                    @if let Some(until) = until { " " span .muted { "until " (day(until)) } }
                }
            }
        }
    };
    table("Prices in force", &columns, &rows)
}
