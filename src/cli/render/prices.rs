//! Prices as rows.

use super::{Cell, Column, Shape, money};
use crate::cli::views::PriceRow;

/// Enough of a card's name to tell it from others.
const CARD_SHOWN: usize = 12;

/// A row for each model; dollars for a million tokens.
pub static PRICES: Shape<PriceRow> = Shape {
    columns: &[
        Column::new("model", "Model", |price| Cell::Id(price.model.clone())),
        Column::new("provider", "Provider", |price| Cell::Id(price.provider.clone())),
        Column::in_files("provider_model", |price| Cell::Id(price.provider_model.clone())),
        Column::new("input", "In $/M", |price| Cell::Rate(price.rates.input)),
        Column::new("cache_read", "Cached $/M", |price| Cell::maybe(price.rates.cache_read, Cell::Rate)),
        Column::in_files("cache_write", |price| Cell::maybe(price.rates.cache_write, Cell::Rate)),
        Column::new("output", "Out $/M", |price| Cell::Rate(price.rates.output)),
        Column::new("context_window", "Context", |price| Cell::Count(price.context_window)),
        Column::new("max_output_tokens", "Max out", |price| Cell::Count(price.max_output_tokens)),
        Column::new("tiers", "Long context", |price| Cell::maybe(tiers(price), Cell::Text)),
        Column::in_files("price_card", |price| Cell::Id(price.price_card.clone())),
        Column::in_tables("Card", |price| Cell::Id(price.price_card.chars().take(CARD_SHOWN).collect())),
        Column::in_files("source", |price| Cell::Text(price.source.clone())),
    ],
    none: "No model has a price there.",
};

/// What long calls cost, in a few words.
fn tiers(price: &PriceRow) -> Option<String> {
    let tier = |tier: &crate::cli::views::PriceTier| {
        let (input, output) = (money::rate(tier.rates.input), money::rate(tier.rates.output));
        format!("above {}: {input} in, {output} out", money::grouped(tier.above_input_tokens))
    };
    let tiers: Vec<_> = price.tiers.iter().map(tier).collect();
    (!tiers.is_empty()).then(|| tiers.join("; "))
}
