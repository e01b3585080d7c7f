//! `[[prices]]`: what the operator says a model costs, over what the catalogue says.

use nemo_events::Rate;
use nemo_events::price::{Rates, Tier};

use super::error::{ConfigError, Place};
use super::kind::{Flag, Kind, Optional, Required, Text, Whole, not_empty};
use super::read::{Raw, Section};
use super::reference::{KeyDoc, section};

/// A price of the operator's, or limits for a price that the catalogue has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceEntry {
    /// Whose price.
    pub provider: String,
    /// For which model.
    pub model: String,
    /// The whole set of prices; if absent, the catalogue's hold.
    pub prices: Option<(Rates, Vec<Tier>)>,
    /// Most tokens in and out together; if absent, as in the catalogue.
    pub context_window: Option<u64>,
    /// Most tokens out; if absent, as in the catalogue.
    pub max_output_tokens: Option<u64>,
    /// Whether output may be hidden reasoning; if absent, as in the catalogue.
    pub reasoning: Option<bool>,
    /// Where the entry stands.
    pub place: Place,
}

section! {
    /// `[[prices]]`: as stated, but for the rates.
    struct Stated in "[[prices]]" {
        /// Whose price: what the provider's `catalogue` says.
        provider: String = Required(Text("a provider", not_empty::<String>)), "required";
        /// For which model, as the provider names it.
        model: String = Required(Text("a model's name", not_empty::<String>)), "required";
        /// Most tokens in and out together.
        context_window: Option<u64> = Optional(Whole(1..=1_000_000_000)), "the catalogue's, else required";
        /// Most tokens out.
        max_output_tokens: Option<u64> = Optional(Whole(1..=1_000_000_000)), "the catalogue's, else required";
        /// Whether it may spend output on hidden reasoning.
        reasoning: Option<bool> = Optional(Flag), "the catalogue's, else `false`";
        /// Long-context prices: tables of `above_input_tokens` and all the prices above it.
        tiers: Vec<Tier> = Tiers, "none";
    }
}

section! {
    /// `[[prices.tiers]]`: as stated, but for the rates.
    struct StatedTier in "[[prices.tiers]]" {
        /// The tier prices all tokens of a call with more tokens in than this.
        above_input_tokens: u64 = Required(Whole(1..=1_000_000_000)), "required";
    }
}

type Slot = fn(&mut Rates) -> &mut Option<Rate>;

/// The rates that may be left out, each with what it prices and what happens without it.
const OPTIONAL_RATES: &[(&str, Slot, &str, &str)] = &[
    ("cache_read", |r| &mut r.cache_read, "Tokens served by the provider's cache.", "as `input`"),
    ("cache_write", |r| &mut r.cache_write, "Tokens written to the provider's cache.", "as `input`"),
    ("cache_write_1h", |r| &mut r.cache_write_1h, "Tokens written to the one-hour cache.", "no price"),
    ("input_audio", |r| &mut r.input_audio, "Audio tokens in.", "no price"),
    (
        "cache_read_audio",
        |r| &mut r.cache_read_audio,
        "Audio tokens served by the cache.",
        "as `input_audio`",
    ),
    ("input_image", |r| &mut r.input_image, "Image tokens in.", "as `input`"),
    ("output_audio", |r| &mut r.output_audio, "Audio tokens out.", "no price"),
    ("output_image", |r| &mut r.output_image, "Image tokens out.", "no price"),
    ("web_searches", |r| &mut r.web_searches, "A million web searches.", "no price"),
    ("file_searches", |r| &mut r.file_searches, "A million file searches.", "no price"),
    ("requests", |r| &mut r.requests, "A million requests.", "free"),
];

fn rate_keys(section: &'static str, required: &'static str) -> Vec<KeyDoc> {
    let plain = [("input", "Tokens in, in dollars for a million."), ("output", "Tokens out.")];
    let plain = plain.into_iter().map(|(key, meaning)| (key, required, meaning));
    let optional = OPTIONAL_RATES.iter().map(|(key, _, meaning, default)| (*key, *default, *meaning));
    let doc = |(key, default, meaning)| KeyDoc { section, key, kind: Decimal.describe(), default, meaning };
    plain.chain(optional).map(doc).collect()
}

pub(super) fn tier_keys() -> Vec<KeyDoc> {
    [StatedTier::keys(), rate_keys("[[prices.tiers]]", "required")].concat()
}

/// Dollars for a million, as an exact decimal.
struct Decimal;

impl Kind<Rate> for Decimal {
    fn describe(&self) -> String {
        "a decimal in quotes, such as `\"2.50\"`".to_owned()
    }

    fn read(&self, raw: &Raw<'_>) -> Result<Rate, ConfigError> {
        if let Some(number) = raw.float() {
            return Err(raw.bad(format!("must be in quotes, so that it is exact: \"{number}\"")));
        }
        let text = raw.text().map(str::to_owned).or_else(|| raw.whole().map(|number| number.to_string()));
        let why = match text.as_deref().map(str::parse::<Rate>) {
            Some(Ok(rate)) if rate >= Rate::ZERO => return Ok(rate),
            Some(Ok(_)) => "must not be negative".to_owned(),
            Some(Err(error)) => format!("must be dollars for a million, such as \"2.50\": {error}"),
            None => "must be dollars for a million, such as \"2.50\"".to_owned(),
        };
        Err(raw.bad(why))
    }
}

struct Tiers;

impl Kind<Vec<Tier>> for Tiers {
    fn describe(&self) -> String {
        "tables".to_owned()
    }

    fn read(&self, raw: &Raw<'_>) -> Result<Vec<Tier>, ConfigError> {
        let sections = raw.sections("prices.tiers")?;
        let keys = tier_keys();
        ConfigError::all(sections.iter().map(|section| ConfigError::both(section.only(&keys), tier(section))))
    }

    fn absent(&self, _: &Section<'_>, _: &'static str, _: &'static str) -> Result<Vec<Tier>, ConfigError> {
        Ok(Vec::new())
    }
}

fn tier(section: &Section<'_>) -> Result<Tier, ConfigError> {
    let StatedTier { above_input_tokens } = StatedTier::read(section)?;
    Ok(Tier { above_input_tokens, rates: rates(section)? })
}

fn rates(section: &Section<'_>) -> Result<Rates, ConfigError> {
    let required = |key| Required(Decimal).field(section, key, "required");
    let mut rates = Rates::default();
    let mut errors = Vec::new();
    for (key, slot) in [("input", &mut rates.input), ("output", &mut rates.output)] {
        required(key).map_or_else(|error| errors.push(error), |rate| *slot = rate);
    }
    for (key, slot, _, _) in OPTIONAL_RATES {
        let rate = Optional(Decimal).field(section, key, "");
        rate.map_or_else(|error| errors.push(error), |rate| *slot(&mut rates) = rate);
    }
    if errors.is_empty() { Ok(rates) } else { Err(ConfigError::several(errors)) }
}

impl PriceEntry {
    pub(super) fn keys() -> Vec<KeyDoc> {
        [
            Stated::keys(),
            rate_keys("[[prices]]", "the catalogue's, with all its other rates, if no rate is stated"),
        ]
        .concat()
    }

    /// Reads one of the tables.
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let stated = Stated::read(section)?;
        let states_rates = rate_keys("", "").iter().any(|known| section.states(known.key));
        let prices = if states_rates || !stated.tiers.is_empty() {
            let rates = rates(section)?;
            check_tiers(&rates, &stated.tiers).map_err(|why| section.bad("tiers", why))?;
            Some((rates, stated.tiers))
        } else {
            None
        };
        let says_nothing = prices.is_none()
            && stated.context_window.is_none()
            && stated.max_output_tokens.is_none()
            && stated.reasoning.is_none();
        if says_nothing {
            return Err(section.missing("input"));
        }
        if let (Some(window), Some(output)) = (stated.context_window, stated.max_output_tokens)
            && output > window
        {
            return Err(section.bad("max_output_tokens", "must not be above context_window"));
        }
        Ok(Self {
            provider: stated.provider,
            model: stated.model,
            prices,
            context_window: stated.context_window,
            max_output_tokens: stated.max_output_tokens,
            reasoning: stated.reasoning,
            place: section.place(),
        })
    }
}

/// A tier replaces all rates, so one that forgets a rate would price it as something cheaper.
fn check_tiers(rates: &Rates, tiers: &[Tier]) -> Result<(), String> {
    let ascending = tiers.windows(2).all(|pair| match pair {
        [lower, upper] => lower.above_input_tokens < upper.above_input_tokens,
        _ => true,
    });
    if !ascending {
        return Err("must be in ascending order of above_input_tokens".to_owned());
    }
    let states = |mut rates: Rates, slot: Slot| slot(&mut rates).is_some();
    for tier in tiers {
        let forgotten =
            OPTIONAL_RATES.iter().find(|(_, slot, _, _)| states(*rates, *slot) && !states(tier.rates, *slot));
        if let Some((key, ..)) = forgotten {
            return Err(format!("must each state every rate that holds below it; {key} is missing from one"));
        }
    }
    Ok(())
}
