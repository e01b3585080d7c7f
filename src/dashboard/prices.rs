//! `/prices`: what models cost now, and over time. Prices are added and never changed: what a call was held and
//! charged by stays.

mod history;
mod list;

pub(super) use history::history;
pub(super) use list::list;

use maud::{Markup, html};
use nemo_events::Timestamp;
use nemo_events::price::{PriceCard, Rates};

use super::components::rate;

/// A day, where prices begin and end.
fn day(at: Timestamp) -> Markup {
    html! { time .nowrap datetime=(at) title=(at) { (at.to_datetime().format("%Y-%m-%d")) } }
}

/// Rates that a card states, each with what it is for.
fn stated(rates: &Rates) -> Vec<(&'static str, nemo_events::Rate)> {
    let optional = [
        ("Cache read", rates.cache_read),
        ("Cache write", rates.cache_write),
        ("Cache write, 1 h", rates.cache_write_1h),
        ("Audio in", rates.input_audio),
        ("Audio from cache", rates.cache_read_audio),
        ("Image in", rates.input_image),
        ("Audio out", rates.output_audio),
        ("Image out", rates.output_image),
        ("Web searches", rates.web_searches),
        ("File searches", rates.file_searches),
        ("Requests", rates.requests),
    ];
    let stated = optional.into_iter().filter_map(|(what, rate)| Some((what, rate?)));
    [("Input", rates.input), ("Output", rates.output)].into_iter().chain(stated).collect()
}

/// Everything that a card says of prices.
fn rates_of(card: &PriceCard) -> Markup {
    html! {
        dl .facts.rates {
            @for (what, price) in stated(&card.rates) { dt { (what) } dd { (rate(price)) } }
        }
        @for tier in &card.tiers {
            p .small.muted { "Above " (crate::figures::money::grouped(tier.above_input_tokens)) " tokens in, for all tokens of the call:" }
            dl .facts.rates {
                @for (what, price) in stated(&tier.rates) { dt { (what) } dd { (rate(price)) } }
            }
        }
    }
}
