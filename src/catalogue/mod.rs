//! What models cost and how long their contexts and answers may be: the embedded catalogue, and over it the
//! operator's own prices.
//!
//! - Names are exact: no prefix and no pattern, because a price for the wrong model is worse than none.
//! - A model without a context window or an output limit has no card, because its hold would have no bound.
//! - A card is made once for each period of a model, when it is first asked for, and shared from then on.
//! - Decimals are read as text. No floating point comes near them.

mod embedded;
mod overrides;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use nemo_events::price::{PriceCard, Rates, Tier, Tokenizer};
use nemo_events::{PriceCardId, Timestamp};

pub use self::overrides::IncompletePrice;
use crate::config::PriceEntry;

/// Prices and limits of every model that is known.
#[derive(Debug)]
pub struct Catalogue {
    sellers: HashMap<Box<str>, Arc<Seller>>,
}

/// The models of one provider, by every name that they have there.
#[derive(Debug, Clone, Default)]
pub struct Seller {
    name: Arc<str>,
    models: HashMap<Box<str>, Arc<Model>>,
}

/// A model, its limits and its prices over time.
#[derive(Debug)]
struct Model {
    name: Box<str>,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    reasoning: bool,
    tokenizer: Option<Tokenizer>,
    source: Arc<str>,
    /// By time, the earliest first.
    periods: Vec<Period>,
}

/// Prices that hold from some time on.
#[derive(Debug)]
struct Period {
    from: Timestamp,
    rates: Rates,
    tiers: Vec<Tier>,
    card: OnceLock<(PriceCardId, Arc<PriceCard>)>,
}

/// A price card with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The card's name.
    pub id: PriceCardId,
    /// The card.
    pub card: Arc<PriceCard>,
}

/// Why a model that is known has no card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPriced {
    /// Nobody knows how many tokens can go in.
    #[error("its context window is not known")]
    NoContextWindow,
    /// Nobody knows how many tokens can come out.
    #[error("its output limit is not known")]
    NoOutputLimit,
    /// Its first price holds later.
    #[error("it has no price yet")]
    NotYet,
    /// The card could not be written as JSON.
    #[error("its price card cannot be named")]
    Unnameable,
}

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The embedded one is damaged.
    #[error("the embedded catalogue cannot be read")]
    Embedded(#[source] serde_json::Error),
    /// A model of the embedded one makes no sense; says which and why.
    #[error("the embedded catalogue is wrong: {0}")]
    Wrong(String),
    /// An entry of the operator's lacks something.
    #[error(transparent)]
    Incomplete(#[from] IncompletePrice),
}

impl Catalogue {
    /// The catalogue that the program carries, without any other price.
    ///
    /// # Errors
    /// [`CatalogueError`], which a test rules out for this build.
    pub fn embedded() -> Result<Self, CatalogueError> {
        embedded::read()
    }

    /// The embedded catalogue and over it the operator's prices.
    ///
    /// # Errors
    /// [`CatalogueError`] if an entry lacks a limit or a price that the catalogue does not have either.
    pub fn with(prices: &[PriceEntry]) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::embedded()?;
        overrides::apply(&mut catalogue, prices)?;
        Ok(catalogue)
    }

    /// The card that holds for a model at a time; `None` if the model is not known.
    ///
    /// # Errors
    /// [`NotPriced`] if the model is known and has no card.
    pub fn card(&self, provider: &str, model: &str, at: Timestamp) -> Result<Option<Card>, NotPriced> {
        self.seller(provider).map_or(Ok(None), |seller| seller.card(model, at))
    }

    /// A provider's models.
    #[must_use]
    pub fn seller(&self, provider: &str) -> Option<&Arc<Seller>> {
        self.sellers.get(provider)
    }

    /// The providers that have prices, in no order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.sellers.keys().map(AsRef::as_ref)
    }
}

impl Seller {
    /// The card that holds for a model at a time; `None` if the model is not known.
    ///
    /// # Errors
    /// [`NotPriced`] if the model is known and has no card.
    pub fn card(&self, model: &str, at: Timestamp) -> Result<Option<Card>, NotPriced> {
        self.models.get(model).map(|model| model.card(&self.name, at)).transpose()
    }

    /// When prices of a model begin to hold, the earliest first; none for a model that is not known.
    #[must_use]
    pub fn dates(&self, model: &str) -> Vec<Timestamp> {
        let periods = self.models.get(model).map_or(&[][..], |model| &model.periods);
        periods.iter().map(|period| period.from).collect()
    }

    /// Every name of every model, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(AsRef::as_ref)
    }
}

impl Model {
    fn card(&self, provider: &str, at: Timestamp) -> Result<Card, NotPriced> {
        let context_window = self.context_window.ok_or(NotPriced::NoContextWindow)?;
        let max_output_tokens = self.max_output_tokens.ok_or(NotPriced::NoOutputLimit)?;
        let later = self.periods.partition_point(|period| period.from <= at);
        let period = later.checked_sub(1).and_then(|now| self.periods.get(now)).ok_or(NotPriced::NotYet)?;
        if let Some((id, card)) = period.card.get() {
            return Ok(Card { id: *id, card: Arc::clone(card) });
        }
        let card = PriceCard {
            provider: provider.to_owned(),
            model: self.name.to_string(),
            rates: period.rates,
            tiers: period.tiers.clone(),
            context_window,
            max_output_tokens,
            reasoning: self.reasoning,
            tokenizer: self.tokenizer,
            source: self.source.to_string(),
        };
        let id = card.id().map_err(|_| NotPriced::Unnameable)?;
        let (id, card) = period.card.get_or_init(|| (id, Arc::new(card)));
        Ok(Card { id: *id, card: Arc::clone(card) })
    }
}

/// What costs something only if its price is stated: the fall-backs of [`Rates`] would make it too cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Audio in.
    InputAudio,
    /// Audio out.
    OutputAudio,
    /// Images out.
    OutputImage,
    /// Writing to a cache that lasts an hour.
    CacheWrite1h,
    /// Searching the web.
    WebSearch,
    /// Searching files.
    FileSearch,
}

/// Whether a card states a price for something, in each of its tiers. A request that could cause what has
/// none must be refused as not priceable.
#[must_use]
pub fn has_price_for(card: &PriceCard, extra: Extra) -> bool {
    let stated = |rates: &Rates| {
        let rate = match extra {
            Extra::InputAudio => rates.input_audio,
            Extra::OutputAudio => rates.output_audio,
            Extra::OutputImage => rates.output_image,
            Extra::CacheWrite1h => rates.cache_write_1h,
            Extra::WebSearch => rates.web_searches,
            Extra::FileSearch => rates.file_searches,
        };
        rate.is_some()
    };
    stated(&card.rates) && card.tiers.iter().all(|tier| stated(&tier.rates))
}

#[cfg(test)]
mod tests;
