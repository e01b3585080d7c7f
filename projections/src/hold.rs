//! The hold: the most that a call can cost, at the dearest price that it can reach.

use nemo_events::key::{BoundBasis, Hold};
use nemo_events::price::{PriceCard, Rates};
use nemo_events::{Nanos, Rate};

use crate::price::{CostOverflow, round_up};

/// What a request asks for, as far as its price goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Upper bound of tokens in, before the context window caps it.
    pub input_tokens: u64,
    /// How that bound was found.
    pub basis: BoundBasis,
    /// The request's own output limit for each choice.
    pub output_limit: Option<u64>,
    /// Choices asked for; none counts as one.
    pub choices: u64,
}

impl Ask {
    fn priced_choices(&self) -> u64 {
        self.choices.max(1)
    }
}

/// The dearest rates that a call can reach, in nano-dollars per million tokens.
#[derive(Debug, Clone, Copy)]
struct Dearest {
    input: i128,
    output: i128,
    fee: i128,
}

/// Upper bound of tokens in: never more than the context window.
#[must_use]
pub fn input_bound(card: &PriceCard, ask: &Ask) -> u64 {
    match ask.basis {
        BoundBasis::ContextWindow => card.context_window,
        BoundBasis::Bytes | BoundBasis::Tokenizer => ask.input_tokens.min(card.context_window),
    }
}

/// The hold for an output limit per choice.
///
/// # Errors
/// [`CostOverflow`]
pub fn hold(card: &PriceCard, ask: &Ask, output_limit: u64) -> Result<Hold, CostOverflow> {
    let input_tokens = input_bound(card, ask);
    let output_tokens = output_limit.checked_mul(ask.priced_choices()).ok_or(CostOverflow)?;
    let dearest = dearest(card, ask, input_tokens);
    let input = product(input_tokens, dearest.input)?.checked_add(dearest.fee).ok_or(CostOverflow)?;
    let all = input.checked_add(product(output_tokens, dearest.output)?).ok_or(CostOverflow)?;
    Ok(Hold {
        amount: round_up(all)?,
        input_amount: round_up(input)?,
        input_tokens,
        output_tokens,
        basis: ask.basis,
    })
}

/// The largest output limit per choice whose hold is at most `free`, if even zero output fits;
/// `u64::MAX` where output is free.
#[must_use]
pub fn largest_output_limit(card: &PriceCard, ask: &Ask, free: Nanos) -> Option<u64> {
    let input_tokens = input_bound(card, ask);
    let dearest = dearest(card, ask, input_tokens);
    let input = product(input_tokens, dearest.input).ok()?.checked_add(dearest.fee)?;
    let left = i128::from(free.as_nanos()).checked_mul(1_000_000)?.checked_sub(input)?;
    if left < 0 { None } else { Some(output_for(left, dearest, ask)) }
}

/// The largest output limit per choice whose output alone costs at most `amount`, at the price that
/// the whole call can reach; `u64::MAX` where output is free.
#[must_use]
pub fn largest_output_alone(card: &PriceCard, ask: &Ask, amount: Nanos) -> u64 {
    let left = i128::from(amount.as_nanos().max(0)).saturating_mul(1_000_000);
    output_for(left, dearest(card, ask, input_bound(card, ask)), ask)
}

/// How much output for each choice an amount in millionths of nano-dollars pays for.
fn output_for(amount: i128, dearest: Dearest, ask: &Ask) -> u64 {
    let per_token = dearest.output.saturating_mul(i128::from(ask.priced_choices()));
    amount.checked_div(per_token).map_or(u64::MAX, |limit| u64::try_from(limit).unwrap_or(u64::MAX))
}

fn product(units: u64, rate: i128) -> Result<i128, CostOverflow> {
    i128::from(units).checked_mul(rate).ok_or(CostOverflow)
}

fn dearest(card: &PriceCard, ask: &Ask, input_tokens: u64) -> Dearest {
    let reachable =
        card.tiers.iter().filter(|tier| input_tokens > tier.above_input_tokens).map(|tier| &tier.rates);
    std::iter::once(&card.rates).chain(reachable).fold(
        Dearest { input: 0, output: 0, fee: 0 },
        |most, rates| Dearest {
            input: most.input.max(nanos(dearest_input(rates, ask.basis))),
            output: most.output.max(nanos(dearest_output(rates))),
            fee: most.fee.max(nanos(rates.requests.unwrap_or_default())),
        },
    )
}

/// Text may be read from a cache or written to one; content whose tokens nobody can bound may also
/// be images or audio.
fn dearest_input(rates: &Rates, basis: BoundBasis) -> Rate {
    let text = [Some(rates.input), rates.cache_read, rates.cache_write, rates.cache_write_1h];
    let media = [rates.input_audio, rates.cache_read_audio, rates.input_image];
    let media = media.into_iter().filter(|_| basis == BoundBasis::ContextWindow);
    text.into_iter().chain(media).flatten().max().unwrap_or_default()
}

/// A model that has a price for audio or images out may choose to give them.
fn dearest_output(rates: &Rates) -> Rate {
    [Some(rates.output), rates.output_audio, rates.output_image]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or_default()
}

fn nanos(rate: Rate) -> i128 {
    i128::from(rate.as_nanos())
}
