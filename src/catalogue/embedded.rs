//! Reads the catalogue that the program carries. `scripts/catalogue.py` writes it and says what it holds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use nemo_events::price::{Rates, Tier, Tokenizer};
use nemo_events::{Rate, Timestamp};
use serde::Deserialize;

use super::{Catalogue, CatalogueError, Model, Period, Seller};

static CATALOGUE: &[u8] = include_bytes!("catalogue.json");

/// The catalogue's fee is for one request, a card's for a million.
const REQUESTS_PER_RATE: i64 = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    sources: Vec<Origin<'a>>,
    #[serde(borrow)]
    models: Vec<Offer<'a>>,
}

#[derive(Deserialize)]
struct Origin<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offer<'a> {
    #[serde(borrow)]
    provider: Cow<'a, str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    aliases: Vec<Cow<'a, str>>,
    context_window: Option<u64>,
    max_output: Option<u64>,
    reasoning: bool,
    tokenizer: Option<Tokenizer>,
    #[serde(borrow)]
    prices: Vec<Prices<'a>>,
}

/// A period has `from` and `tiers`, a tier `above_input_tokens`; both state all their rates.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prices<'a> {
    #[serde(borrow, default)]
    from: Option<Cow<'a, str>>,
    #[serde(default)]
    above_input_tokens: Option<u64>,
    input: Rate,
    output: Rate,
    cache_read: Option<Rate>,
    cache_write: Option<Rate>,
    cache_write_1h: Option<Rate>,
    input_audio: Option<Rate>,
    cache_read_audio: Option<Rate>,
    output_audio: Option<Rate>,
    request: Option<Rate>,
    #[serde(borrow, default)]
    tiers: Vec<Prices<'a>>,
}

pub(super) fn read() -> Result<Catalogue, CatalogueError> {
    read_from(CATALOGUE)
}

pub(super) fn read_from(json: &[u8]) -> Result<Catalogue, CatalogueError> {
    let File { sources, models } = serde_json::from_slice(json).map_err(CatalogueError::Embedded)?;
    let sources: Vec<_> =
        sources.iter().map(|origin| format!("{} {}", origin.name, origin.version)).collect();
    let source: Arc<str> = sources.join(", ").into();
    let mut sellers: HashMap<Box<str>, Seller> = HashMap::new();
    for offer in models {
        let wrong = |why: &str| CatalogueError::Wrong(format!("{} {}: {why}", offer.provider, offer.model));
        let model = Arc::new(model(&offer, &source).map_err(wrong)?);
        let seller = sellers
            .entry(offer.provider.as_ref().into())
            .or_insert_with(|| Seller { name: offer.provider.as_ref().into(), models: HashMap::new() });
        for name in offer.aliases.iter().chain([&offer.model]) {
            if seller.models.insert(name.as_ref().into(), Arc::clone(&model)).is_some() {
                return Err(wrong("one of its names is another model's"));
            }
        }
    }
    let sellers = sellers.into_iter().map(|(name, mut seller)| {
        seller.models.shrink_to_fit();
        (name, Arc::new(seller))
    });
    Ok(Catalogue { sellers: sellers.collect() })
}

fn model(offer: &Offer<'_>, source: &Arc<str>) -> Result<Model, &'static str> {
    let periods: Vec<Period> = offer.prices.iter().map(period).collect::<Result<_, _>>()?;
    let in_order = periods.is_sorted_by(|earlier, later| earlier.from < later.from);
    if periods.is_empty() || !in_order {
        return Err("its prices are not in order of time");
    }
    Ok(Model {
        name: offer.model.as_ref().into(),
        context_window: offer.context_window,
        max_output_tokens: offer.max_output,
        reasoning: offer.reasoning,
        tokenizer: offer.tokenizer,
        source: Arc::clone(source),
        periods,
    })
}

fn period(prices: &Prices<'_>) -> Result<Period, &'static str> {
    let from = prices.from.as_deref().map_or(Ok(Timestamp::EPOCH), |day| format!("{day}T00:00:00Z").parse());
    let rates = rates(prices)?;
    let tier = |tier: &Prices<'_>| {
        let above_input_tokens = tier.above_input_tokens.ok_or("a tier has no threshold")?;
        let tier = self::rates(tier)?;
        // A fee for each request is stated once, for all tiers.
        Ok(Tier { above_input_tokens, rates: Rates { requests: tier.requests.or(rates.requests), ..tier } })
    };
    let tiers: Vec<Tier> = prices.tiers.iter().map(tier).collect::<Result<_, &'static str>>()?;
    if !tiers.is_sorted_by(|lower, upper| lower.above_input_tokens < upper.above_input_tokens) {
        return Err("its tiers are not in order");
    }
    Ok(Period { from: from.map_err(|_| "a date is none")?, rates, tiers, card: OnceLock::new() })
}

fn rates(prices: &Prices<'_>) -> Result<Rates, &'static str> {
    let requests = prices.request.map(per_million).transpose()?;
    let rates = Rates {
        input: prices.input,
        output: prices.output,
        cache_read: prices.cache_read,
        cache_write: prices.cache_write,
        cache_write_1h: prices.cache_write_1h,
        input_audio: prices.input_audio,
        cache_read_audio: prices.cache_read_audio,
        output_audio: prices.output_audio,
        requests,
        ..Rates::default()
    };
    let all = [Some(rates.input), Some(rates.output), rates.cache_read, rates.cache_write];
    let more =
        [rates.cache_write_1h, rates.input_audio, rates.cache_read_audio, rates.output_audio, requests];
    let negative = all.into_iter().chain(more).flatten().any(|rate| rate < Rate::ZERO);
    if negative { Err("a price is negative") } else { Ok(rates) }
}

fn per_million(each: Rate) -> Result<Rate, &'static str> {
    each.as_nanos().checked_mul(REQUESTS_PER_RATE).map(Rate::from_nanos).ok_or("a fee is out of range")
}
