//! The operator's prices over the catalogue's. What an entry states replaces, what it leaves out is inherited:
//! either all the rates or none of them, and each limit by itself.

use std::sync::{Arc, OnceLock};

use nemo_events::Timestamp;

use super::{Catalogue, Model, Period, Seller};
use crate::config::{Place, PriceEntry};

const SOURCE: &str = "configuration";

/// An entry of `[[prices]]` for a model that lacks something which the catalogue does not have either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: the price of {model} needs `{key}`, because the catalogue of {provider} has none")]
pub struct IncompletePrice {
    /// Where the entry stands.
    pub place: Place,
    /// Whose price.
    pub provider: String,
    /// For which model.
    pub model: String,
    /// What is missing.
    pub key: &'static str,
}

/// Puts the entries over a catalogue. An entry for a model's own name goes for its aliases as well, unless
/// they have an entry of their own.
pub(super) fn apply(catalogue: &mut Catalogue, entries: &[PriceEntry]) -> Result<(), IncompletePrice> {
    for entry in entries {
        let name = entry.provider.as_str();
        catalogue.sellers.entry(name.into()).or_insert_with(|| {
            Arc::new(Seller { name: name.into(), models: std::collections::HashMap::new() })
        });
    }
    for seller in catalogue.sellers.values_mut() {
        let own: Vec<_> = entries.iter().filter(|entry| *entry.provider == *seller.name).collect();
        if !own.is_empty() {
            *seller = Arc::new(overridden(seller, &own)?);
        }
    }
    Ok(())
}

fn overridden(seller: &Seller, entries: &[&PriceEntry]) -> Result<Seller, IncompletePrice> {
    let mut models = seller.models.clone();
    for entry in entries {
        let base = seller.models.get(entry.model.as_str());
        let model = Arc::new(merged(entry, base.map(AsRef::as_ref))?);
        let of_base = |name: &str, other: &Arc<Model>| {
            base.is_some_and(|base| *base.name == *entry.model && Arc::ptr_eq(base, other))
                && !entries.iter().any(|other| other.model == name)
        };
        for (_, other) in models.iter_mut().filter(|(name, other)| of_base(name, other)) {
            *other = Arc::clone(&model);
        }
        models.insert(entry.model.as_str().into(), model);
    }
    Ok(Seller { name: Arc::clone(&seller.name), models })
}

fn merged(entry: &PriceEntry, base: Option<&Model>) -> Result<Model, IncompletePrice> {
    let missing = |key| IncompletePrice {
        place: entry.place.clone(),
        provider: entry.provider.clone(),
        model: entry.model.clone(),
        key,
    };
    let periods = match (&entry.prices, base) {
        (Some((rates, tiers)), _) => vec![Period {
            from: Timestamp::EPOCH,
            rates: *rates,
            tiers: tiers.clone(),
            card: OnceLock::new(),
        }],
        (None, Some(base)) => base.periods.iter().map(Period::without_card).collect(),
        (None, None) => return Err(missing("input")),
    };
    let context_window = entry.context_window.or(base.and_then(|base| base.context_window));
    let context_window = context_window.ok_or_else(|| missing("context_window"))?;
    let max_output_tokens = entry.max_output_tokens.or(base.and_then(|base| base.max_output_tokens));
    let max_output_tokens = max_output_tokens.ok_or_else(|| missing("max_output_tokens"))?;
    Ok(Model {
        name: entry.model.as_str().into(),
        context_window: Some(context_window),
        // One of the two may be the catalogue's; no answer is longer than the context.
        max_output_tokens: Some(max_output_tokens.min(context_window)),
        reasoning: entry.reasoning.or(base.map(|base| base.reasoning)).unwrap_or_default(),
        tokenizer: base.and_then(|base| base.tokenizer),
        source: base.map_or_else(|| SOURCE.into(), |base| format!("{SOURCE}, {}", base.source).into()),
        periods,
    })
}

impl Period {
    fn without_card(&self) -> Self {
        Self { from: self.from, rates: self.rates, tiers: self.tiers.clone(), card: OnceLock::new() }
    }
}
