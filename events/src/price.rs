//! Events of the `prices` stream, and the price card itself.

use serde::{Deserialize, Serialize};

use crate::codec::event_stream;
use crate::digest::Digest;
use crate::ids::PriceCardId;
use crate::money::Rate;

event_stream! {
    /// What can happen to prices.
    pub enum PriceEvent {
        PriceCardPublished = 1,
    }
}

/// A price card can be cited from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceCardPublished {
    /// Hash of the card's JSON.
    pub id: PriceCardId,
    /// The card.
    pub card: PriceCard,
}

/// Prices in dollars per million units. Absent means: the next plainer kind's price applies
/// (`cache_read`, `cache_write`, `input_audio`, `input_image` fall back to `input`,
/// `cache_write_1h` to `cache_write`, `cache_read_audio` to `input_audio`, output kinds to `output`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Text tokens in.
    pub input: Rate,
    /// Text tokens out.
    pub output: Rate,
    /// Tokens served by the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Rate>,
    /// Tokens written to the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Rate>,
    /// Tokens written to the provider's one-hour cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Rate>,
    /// Audio tokens in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<Rate>,
    /// Audio tokens served by the provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_audio: Option<Rate>,
    /// Image tokens in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_image: Option<Rate>,
    /// Audio tokens out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<Rate>,
    /// Image tokens out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_image: Option<Rate>,
    /// A million web searches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_searches: Option<Rate>,
    /// A million file searches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_searches: Option<Rate>,
    /// A million requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Rate>,
}

/// Prices for calls with more than so many tokens in; they apply to all of such a call's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = PriceTier))]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The tier applies above this many tokens in.
    pub above_input_tokens: u64,
    /// Its prices.
    pub rates: Rates,
}

/// Which tokenizer counts a model's text exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// GPT-4o and later.
    O200kBase,
    /// GPT-4 and GPT-3.5.
    Cl100kBase,
}

/// The resolved prices and limits of one model at one time, named by its content hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceCard {
    /// Whose prices these are.
    pub provider: String,
    /// The model, by the provider's canonical name.
    pub model: String,
    /// Prices below every tier.
    pub rates: Rates,
    /// Long-context tiers, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// Most tokens in and out together.
    pub context_window: u64,
    /// Most tokens out for each choice.
    pub max_output_tokens: u64,
    /// The model may spend output on hidden reasoning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reasoning: bool,
    /// Counts the model's text exactly, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<Tokenizer>,
    /// Where the prices come from.
    pub source: String,
}

impl PriceCard {
    /// The card's name: SHA-256 over its JSON.
    ///
    /// # Errors
    /// Only if the card cannot be written as JSON, which no card of these types can cause.
    pub fn id(&self) -> Result<PriceCardId, serde_json::Error> {
        Ok(PriceCardId(Digest::of(&serde_json::to_vec(self)?)))
    }
}
