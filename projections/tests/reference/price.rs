//! Costs and holds, written down the long way.

use nemo_events::Usage;
use nemo_events::key::BoundBasis;
use nemo_events::price::{PriceCard, Rates};

use super::Wish;

/// A price with the plainer kind's price where it has none of its own.
fn or(rate: Option<nemo_events::Rate>, plainer: i128) -> i128 {
    rate.map_or(plainer, |rate| i128::from(rate.as_nanos()))
}

/// Nano-dollars from millionths of them, a part of one counting as one.
fn whole(millionths: i128) -> i128 {
    millionths / 1_000_000 + i128::from(millionths % 1_000_000 > 0)
}

pub(crate) fn cost(card: &PriceCard, usage: &Usage) -> i128 {
    let tokens_in = usage.input + usage.cache_read + usage.cache_write;
    let mut rates = &card.rates;
    for tier in &card.tiers {
        if tokens_in > tier.above_input_tokens {
            rates = &tier.rates;
        }
    }
    let input = i128::from(rates.input.as_nanos());
    let parts = [
        (usage.input, input),
        (usage.cache_read, or(rates.cache_read, input)),
        (usage.cache_write, or(rates.cache_write, input)),
        (usage.output, i128::from(rates.output.as_nanos())),
        (usage.requests, or(rates.requests, 0)),
    ];
    whole(parts.iter().map(|(units, rate)| i128::from(*units) * rate).sum())
}

pub(crate) struct Bound {
    pub(crate) tokens_in: i128,
    pub(crate) input_amount: i128,
    pub(crate) amount: i128,
    /// What the output alone can cost, in millionths.
    pub(crate) output_millionths: i128,
}

/// The most that a wish can cost with an output limit.
pub(crate) fn bound(wish: &Wish, output_limit: u64) -> Bound {
    let card = &wish.card;
    let tokens_in = match wish.basis {
        BoundBasis::ContextWindow => card.context_window,
        BoundBasis::Bytes | BoundBasis::Tokenizer => wish.input_tokens.min(card.context_window),
    };
    let mut reachable: Vec<&Rates> = vec![&card.rates];
    reachable.extend(card.tiers.iter().filter(|t| tokens_in > t.above_input_tokens).map(|t| &t.rates));
    let dearest = |price: &dyn Fn(&Rates) -> i128| reachable.iter().map(|rates| price(rates)).max().unwrap();
    let tokens_in = i128::from(tokens_in);
    let input = tokens_in
        * dearest(&|rates| {
            let plain = i128::from(rates.input.as_nanos());
            let write = or(rates.cache_write, plain);
            plain.max(or(rates.cache_read, plain)).max(write).max(or(rates.cache_write_1h, write))
        })
        + dearest(&|rates| or(rates.requests, 0));
    let output = i128::from(output_limit) * i128::from(wish.choices);
    let output_millionths = output * dearest(&|rates| i128::from(rates.output.as_nanos()));
    Bound {
        tokens_in,
        input_amount: whole(input),
        amount: whole(input + output_millionths),
        output_millionths,
    }
}

/// The largest number up to `most` that is good, where every number below a good one is good too.
pub(crate) fn largest(most: u64, good: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut known_good, mut beyond) = (None, most + 1);
    let mut probe = 0;
    while probe < beyond {
        if good(probe) {
            known_good = Some(probe);
        } else {
            beyond = probe;
        }
        let low = known_good.map_or(0, |n| n + 1);
        probe = low + (beyond - low) / 2;
        if low >= beyond {
            break;
        }
    }
    known_good
}
