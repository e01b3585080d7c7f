//! What one model cost, costs and will cost, and where its prices come from.

use maud::{Markup, html};
use nemo_events::Timestamp;

use super::{day, rates_of};
use crate::dashboard::components::{Column, Tone, ago, copyable, count, empty, rate, status, table};
use crate::dashboard::{Page, Place, Shows, Visit};
use crate::management::prices::{self, ConfiguredCard, PriceHistory, PublishedCard};

/// Shows it.
pub(in crate::dashboard) async fn history(visit: Visit) -> Shows {
    let found = prices::history_of(&visit.asked, visit.query().text("model"), None).await?;
    let now = visit.now();
    let lede = html! {
        "At " (found.provider)
        @if found.provider_model != found.model { " as " code { (found.provider_model) } }
        ". Dollars for a million units. " strong { "Past calls keep their price." }
    };
    let page = Page::new(Place::Prices, &found.model).under("/prices", "Prices").lede(lede);
    let content = html! {
        div .stack {
            @for card in &found.configured { section .card { (configured(card, now)) } }
            section .card.flush aria-labelledby="published" { (published(&found, now)) }
        }
    };
    Ok(page.sheets(&["prices.css"]).reply(&visit.viewer, &content))
}

fn configured(configured: &ConfiguredCard, now: Timestamp) -> Markup {
    let card = &configured.card;
    html! {
        header {
            h2 {
                @match (configured.since, configured.until) {
                    (None, None) => "All the time",
                    (Some(since), None) => { "Since " (day(since)) },
                    (None, Some(until)) => { "Until " (day(until)) },
                    (Some(since), Some(until)) => { (day(since)) " to " (day(until)) },
                }
            }
            @if configured.in_force { (status("In force", Tone::Good)) }
            @else if configured.since.is_some_and(|since| since > now) { (status("To come", Tone::Info)) }
            @else { (status("Over", Tone::Ended)) }
        }
        div .grid.two {
            (rates_of(card))
            dl .facts {
                dt { "Context window" } dd { (count(card.context_window)) " tokens" }
                dt { "Output limit" } dd { (count(card.max_output_tokens)) " tokens" }
                @if card.reasoning { dt { "Reasoning" } dd { "may spend output that is not shown" } }
                dt { "Comes from" } dd { (card.source) }
                dt { "Price card" } dd { (copyable(&configured.price_card.to_string(), "price card")) }
            }
        }
    }
}

fn published(found: &PriceHistory, now: Timestamp) -> Markup {
    html! {
        header { h2 #published { "Published for calls" } }
        @if found.published.is_empty() {
            (empty("No call cites a card of this model yet", &html! { p { "A card is published to the ledger just before the first call that it prices." } }, &html! {}))
        } @else {
            (cards(&found.published, now))
        }
    }
}

fn cards(published: &[PublishedCard], now: Timestamp) -> Markup {
    let columns = [
        Column::text("Published"),
        Column::number("Input"),
        Column::number("Output"),
        Column::text("Comes from"),
        Column::number("Position"),
        Column::text("Price card"),
    ];
    let rows = html! {
        @for row in published {
            tr {
                td { (ago(row.published_at, now)) }
                td .number { (rate(row.card.rates.input)) }
                td .number { (rate(row.card.rates.output)) }
                td { (row.card.source) }
                td .number { (count(row.published_position.0)) }
                td { code .small title=(row.price_card) { (row.price_card.to_string().chars().take(12).collect::<String>()) "…" } }
            }
        }
    };
    table("Published price cards", &columns, &rows)
}
