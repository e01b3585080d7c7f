//! One function prices hold and settlement: 128-bit integers, rounded up once.

use nemo_events::price::{PriceCard, Rates};
use nemo_events::{Nanos, Rate, Usage};

const UNITS_PER_RATE: i128 = 1_000_000;

/// The amount does not fit into 64 bits of nano-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cost is out of range")]
pub struct CostOverflow;

/// What usage costs by a card: the tier is chosen by all tokens in and prices all tokens.
///
/// # Errors
/// [`CostOverflow`].
pub fn cost(card: &PriceCard, usage: &Usage) -> Result<Nanos, CostOverflow> {
    let tokens_in = usage.tokens_in();
    let tier = card.tiers.iter().rev().find(|tier| tokens_in > tier.above_input_tokens);
    cost_at(tier.map_or(&card.rates, |tier| &tier.rates), usage)
}

/// What usage costs at given rates: `⌈Σ units × rate / 10⁶⌉`.
pub(crate) fn cost_at(rates: &Rates, usage: &Usage) -> Result<Nanos, CostOverflow> {
    let sum = priced_units(rates, usage)
        .into_iter()
        .try_fold(0_i128, |sum, (units, rate)| {
            sum.checked_add(i128::from(units).checked_mul(i128::from(rate.as_nanos()))?)
        })
        .ok_or(CostOverflow)?;
    round_up(sum)
}

/// Nano-dollars, rounded up, from nano-dollars times a million. No call earns money: below zero is
/// out of range.
pub(crate) fn round_up(sum: i128) -> Result<Nanos, CostOverflow> {
    if sum < 0 {
        return Err(CostOverflow);
    }
    let nanos =
        sum.checked_add(UNITS_PER_RATE.wrapping_sub(1)).ok_or(CostOverflow)?.div_euclid(UNITS_PER_RATE);
    i64::try_from(nanos).map(Nanos::from_nanos).map_err(|_| CostOverflow)
}

/// Each kind of units with its rate, by the fall-backs that [`Rates`] names.
fn priced_units(rates: &Rates, usage: &Usage) -> [(u64, Rate); 13] {
    let cache_write = rates.cache_write.unwrap_or(rates.input);
    let input_audio = rates.input_audio.unwrap_or(rates.input);
    [
        (usage.input, rates.input),
        (usage.cache_read, rates.cache_read.unwrap_or(rates.input)),
        (usage.cache_write, cache_write),
        (usage.cache_write_1h, rates.cache_write_1h.unwrap_or(cache_write)),
        (usage.input_audio, input_audio),
        (usage.cache_read_audio, rates.cache_read_audio.unwrap_or(input_audio)),
        (usage.input_image, rates.input_image.unwrap_or(rates.input)),
        (usage.output, rates.output),
        (usage.output_audio, rates.output_audio.unwrap_or(rates.output)),
        (usage.output_image, rates.output_image.unwrap_or(rates.output)),
        (usage.web_searches, rates.web_searches.unwrap_or_default()),
        (usage.file_searches, rates.file_searches.unwrap_or_default()),
        (usage.requests, rates.requests.unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use nemo_events::price::Tier;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap_or_else(|e| unreachable!("{e}"))
    }

    fn card() -> PriceCard {
        let rates = Rates {
            input: rate("2.5"),
            output: rate("10"),
            cache_read: Some(rate("1.25")),
            ..Rates::default()
        };
        let dear = Rates { input: rate("5"), output: rate("15"), ..Rates::default() };
        PriceCard {
            provider: "p".into(),
            model: "m".into(),
            rates,
            tiers: vec![Tier { above_input_tokens: 200_000, rates: dear }],
            context_window: 1_000_000,
            max_output_tokens: 8192,
            reasoning: false,
            tokenizer: None,
            source: "test".into(),
        }
    }

    #[test]
    fn a_cost_is_exact_and_rounds_up_once() {
        let usage = Usage { input: 1000, cache_read: 200, output: 500, ..Usage::default() };
        // 1000 × 2500 + 200 × 1250 + 500 × 10000 nano-dollars
        assert_eq!(cost(&card(), &usage), Ok(Nanos::from_nanos(7_750_000)));
        let fine = PriceCard {
            rates: Rates { input: rate("0.000001"), ..Rates::default() },
            tiers: vec![],
            ..card()
        };
        let three = Usage { input: 3, ..Usage::default() };
        assert_eq!(cost(&fine, &three), Ok(Nanos::from_nanos(1)), "0.003 nano-dollars round up to one");
    }

    #[test]
    fn a_tier_prices_all_tokens_once_it_is_crossed() {
        let at = |input| cost(&card(), &Usage { input, ..Usage::default() });
        assert_eq!(at(200_000), Ok(Nanos::from_nanos(500_000_000)));
        assert_eq!(at(200_001), Ok(Nanos::from_nanos(1_000_005_000)));
    }

    #[test]
    fn a_cost_beyond_64_bits_is_an_error() {
        assert_eq!(cost(&card(), &Usage { output: u64::MAX, ..Usage::default() }), Err(CostOverflow));
    }
}
