//! The hold: an upper bound of the cost at the dearest price that the call can reach.

use nemo_events::key::{BoundBasis, Hold};
use nemo_events::price::{PriceCard, Rates, Tier};
use nemo_events::{Nanos, Usage};
use nemo_projections::hold::{Ask, hold, largest_output_alone, largest_output_limit};
use nemo_projections::price::{CostOverflow, cost};
use proptest::prelude::*;

use crate::support::{ask, card, cases, granted, key, nanos, noon, rate, unlimited, with_card};

fn amount(card: &PriceCard, ask: &Ask, output: u64) -> Nanos {
    hold(card, ask, output).unwrap().amount
}

fn rated(change: impl FnOnce(&mut Rates)) -> PriceCard {
    let mut card = card();
    change(&mut card.rates);
    card
}

#[test]
fn a_hold_says_what_it_came_from() {
    let event = granted(&key(unlimited()), &with_card(card(), ask(100, 50)), noon());
    let expected = Hold {
        amount: nanos(600_000),
        input_amount: nanos(100_000),
        input_tokens: 100,
        output_tokens: 50,
        basis: BoundBasis::Bytes,
    };
    assert_eq!(event.hold, expected);
}

#[test]
fn no_more_goes_in_than_the_context_window() {
    let over = hold(&card(), &ask(100_001, 0), 0).unwrap();
    assert_eq!((over.input_tokens, over.amount), (100_000, nanos(100_000_000)));
}

#[test]
fn content_that_cannot_be_bounded_holds_the_whole_context_window() {
    let unbounded = Ask { basis: BoundBasis::ContextWindow, ..ask(7, 0) };
    assert_eq!(hold(&card(), &unbounded, 0).unwrap().input_tokens, 100_000);
}

#[test]
fn every_choice_is_held_and_no_choice_counts_as_one() {
    let choices = |choices| Ask { choices, ..ask(100, 50) };
    assert_eq!(amount(&card(), &choices(3), 50), nanos(100_000 + 3 * 500_000));
    assert_eq!(amount(&card(), &choices(0), 50), nanos(100_000 + 500_000));
    assert_eq!(largest_output_limit(&card(), &choices(3), nanos(100_000 + 30_000)), Some(1));
}

#[test]
fn input_is_held_at_the_dearest_of_plain_cached_and_cache_write_prices() {
    let asked = ask(100, 0);
    assert_eq!(amount(&rated(|r| r.cache_write = Some(rate("1.25"))), &asked, 0), nanos(125_000));
    assert_eq!(amount(&rated(|r| r.cache_write_1h = Some(rate("2"))), &asked, 0), nanos(200_000));
    assert_eq!(amount(&rated(|r| r.cache_read = Some(rate("0.1"))), &asked, 0), nanos(100_000));
}

#[test]
fn media_prices_count_only_where_the_content_cannot_be_bounded() {
    let card = rated(|r| {
        r.input_audio = Some(rate("40"));
        r.input_image = Some(rate("5"));
    });
    assert_eq!(amount(&card, &ask(100, 0), 0), nanos(100_000));
    let unbounded = Ask { basis: BoundBasis::ContextWindow, ..ask(100, 0) };
    assert_eq!(amount(&card, &unbounded, 0), nanos(100_000 * 40_000));
}

#[test]
fn output_is_held_at_the_dearest_kind_that_the_model_has_a_price_for() {
    let card = rated(|r| {
        r.output_audio = Some(rate("20"));
        r.output_image = Some(rate("30"));
    });
    assert_eq!(amount(&card, &ask(0, 100), 100), nanos(100 * 30_000));
}

#[test]
fn a_fee_for_each_request_is_held_with_the_input() {
    let card = rated(|r| r.requests = Some(rate("5000")));
    let held = hold(&card, &ask(100, 50), 50).unwrap();
    assert_eq!(held.input_amount, nanos(100_000 + 5_000_000));
    assert_eq!(held.amount, nanos(100_000 + 5_000_000 + 500_000));
    assert_eq!(largest_output_limit(&card, &ask(100, 50), nanos(5_100_000 + 10_000)), Some(1));
    assert_eq!(largest_output_alone(&card, &ask(100, 50), nanos(10_000)), 1);
}

fn tiered() -> PriceCard {
    let dear = Rates { input: rate("2"), output: rate("15"), ..Rates::default() };
    PriceCard { tiers: vec![Tier { above_input_tokens: 1_000, rates: dear }], ..card() }
}

#[test]
fn a_tier_is_held_at_its_price_as_soon_as_the_bound_can_reach_it() {
    assert_eq!(amount(&tiered(), &ask(1_000, 10), 10), nanos(1_000 * 1_000 + 10 * 10_000));
    assert_eq!(amount(&tiered(), &ask(1_001, 10), 10), nanos(1_001 * 2_000 + 10 * 15_000));
}

#[test]
fn a_call_that_can_reach_a_cheaper_tier_is_held_at_the_dearer_prices_below_it() {
    let mut card = tiered();
    card.tiers[0].rates.input = rate("0.5");
    assert_eq!(amount(&card, &ask(1_001, 10), 10), nanos(1_001 * 1_000 + 10 * 15_000));
}

#[test]
fn a_part_of_a_nano_dollar_is_rounded_up_once() {
    let card = rated(|r| {
        r.input = rate("0.0001");
        r.output = rate("0.0001");
    });
    let held = hold(&card, &ask(1, 1), 1).unwrap();
    assert_eq!((held.input_amount, held.amount), (nanos(1), nanos(1)), "0.1 + 0.1 are at most 1");
}

#[test]
fn an_amount_beyond_64_bits_is_an_error() {
    assert_eq!(hold(&card(), &ask(0, 0), u64::MAX), Err(CostOverflow));
    assert_eq!(hold(&card(), &Ask { choices: 2, ..ask(0, 0) }, u64::MAX), Err(CostOverflow));
}

#[test]
fn a_price_below_zero_is_out_of_range() {
    let card = rated(|r| r.output = rate("-1"));
    assert_eq!(cost(&card, &Usage { output: 1, ..Usage::default() }), Err(CostOverflow));
    assert_eq!(amount(&card, &ask(100, 1), 1), nanos(100_000), "and never lowers a hold");
}

fn some_rate() -> impl Strategy<Value = Option<nemo_events::Rate>> {
    prop::option::of((0_i64..50_000_000_000).prop_map(nemo_events::Rate::from_nanos))
}

prop_compose! {
    fn some_rates()(rates in prop::array::uniform11(some_rate())) -> Rates {
        let [input, output, cache_read, cache_write, cache_write_1h, input_audio, cache_read_audio,
            input_image, output_audio, output_image, requests] = rates;
        Rates {
            input: input.unwrap_or_default(), output: output.unwrap_or_default(),
            cache_read, cache_write, cache_write_1h, input_audio, cache_read_audio, input_image,
            output_audio, output_image, requests, ..Rates::default()
        }
    }
}

prop_compose! {
    fn some_card()(rates in some_rates(), tiers in prop::collection::vec((0_u64..2_000, some_rates()), 0..3))
        -> PriceCard
    {
        let mut tiers: Vec<_> =
            tiers.into_iter().map(|(above_input_tokens, rates)| Tier { above_input_tokens, rates }).collect();
        tiers.sort_by_key(|tier| tier.above_input_tokens);
        PriceCard { rates, tiers, context_window: 2_000, ..card() }
    }
}

/// Splits so many tokens into kinds.
fn split(total: u64, cuts: &[u64]) -> Vec<u64> {
    let mut cuts: Vec<u64> = cuts.iter().map(|cut| cut % (total + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([total]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    ends.zip(starts).map(|(end, start)| end - start).collect()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_use_within_the_bounds_costs_more_than_the_hold(
        card in some_card(),
        (bound, limit, choices) in (0_u64..3_000, 0_u64..500, 1_u64..4),
        unbounded: bool,
        (used_in, used_out) in (0.0..=1.0_f64, 0.0..=1.0_f64),
        cuts in prop::array::uniform8(any::<u64>()),
    ) {
        let basis = if unbounded { BoundBasis::ContextWindow } else { BoundBasis::Tokenizer };
        let asked = Ask { basis, choices, ..ask(bound, limit) };
        let held = hold(&card, &asked, limit).unwrap();
        let part = |bound: u64, share: f64| ((bound as f64) * share) as u64;
        let out = split(part(held.output_tokens, used_out), &cuts[..2]);
        let text = split(part(held.input_tokens, used_in), &cuts[2..5]);
        let (text, media) = if unbounded {
            let media = split(text[0], &cuts[5..8]);
            ([media[0], text[1], text[2], text[3]], [media[1], media[2], media[3]])
        } else {
            ([text[0], text[1], text[2], text[3]], [0; 3])
        };
        let usage = Usage {
            input: text[0], cache_read: text[1], cache_write: text[2], cache_write_1h: text[3],
            input_audio: media[0], cache_read_audio: media[1], input_image: media[2],
            output: out[0], output_audio: out[1], output_image: out[2],
            requests: 1, ..Usage::default()
        };
        prop_assert!(cost(&card, &usage).unwrap() <= held.amount, "{usage:?} {held:?}");
    }

    #[test]
    fn the_largest_limit_fits_and_one_more_does_not(
        card in some_card(),
        (bound, choices) in (0_u64..3_000, 1_u64..4),
        free in 0_i64..10_000_000_000,
    ) {
        let asked = Ask { choices, ..ask(bound, None) };
        match largest_output_limit(&card, &asked, nanos(free)) {
            None => prop_assert!(amount(&card, &asked, 0) > nanos(free)),
            Some(u64::MAX) => prop_assert!(amount(&card, &asked, 1 << 40) <= nanos(free)),
            Some(limit) => {
                prop_assert!(amount(&card, &asked, limit) <= nanos(free));
                prop_assert!(amount(&card, &asked, limit + 1) > nanos(free));
            }
        }
    }
}
