//! What a model costs.

use nemo_events::Rate;
use serde::Deserialize;

/// What a model costs. Rates are dollars for a million units.
#[derive(Debug, Clone, Deserialize)]
pub struct PriceRow {
    /// The name to ask for.
    pub model: String,
    /// The provider that serves it.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
    /// The price card's name.
    pub price_card: String,
    /// Most tokens in and out together.
    pub context_window: u64,
    /// Most tokens out.
    pub max_output_tokens: u64,
    /// Prices below every tier.
    pub rates: MainRates,
    /// Long-context tiers, ascending.
    #[serde(default)]
    pub tiers: Vec<PriceTier>,
    /// Where the prices come from.
    #[serde(default)]
    pub source: String,
}

/// The rates that most calls are priced by.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct MainRates {
    /// Text tokens in.
    pub input: Rate,
    /// Text tokens out.
    pub output: Rate,
    /// Tokens that the provider's cache served; at the price of `input` without it.
    #[serde(default)]
    pub cache_read: Option<Rate>,
    /// Tokens that were written to the provider's cache; at the price of `input` without it.
    #[serde(default)]
    pub cache_write: Option<Rate>,
}

/// Prices of calls with more than so many tokens in.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PriceTier {
    /// Above how many.
    pub above_input_tokens: u64,
    /// Its prices.
    pub rates: MainRates,
}
