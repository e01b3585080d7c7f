//! What may happen in a random history, before it is known what there is to happen to.

use std::sync::Arc;

use nemo_events::Timestamp;
use nemo_events::key::{BoundBasis, Evidence};
use nemo_events::limits::{Budget, KeyLimits, WhenShort, WindowKind};
use nemo_events::price::{PriceCard, Rates, Tier};
use nemo_projections::decide::{ForfeitCharge, Forfeiter};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{at, budget, card, nanos, rate};

#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) start: Timestamp,
    pub(crate) limits: KeyLimits,
    pub(crate) steps: Vec<Step>,
}

/// One of the calls there are by then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pick {
    pub(crate) index: Index,
    /// Only among open calls.
    pub(crate) open: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) card: usize,
    pub(crate) input_tokens: u64,
    pub(crate) basis: BoundBasis,
    pub(crate) output_limit: Option<u64>,
    pub(crate) choices: u64,
    /// How many rotations ago the presented secret was current; `None` for one that never was.
    pub(crate) secret_age: Option<u32>,
    /// One of few idempotency keys, and one of few bodies.
    pub(crate) once: Option<(u8, u8)>,
}

/// Shares of a call's bounds, per mille.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait(i64),
    /// To the edge of a window and a few microseconds on or back.
    Edge(WindowKind, i64),
    Call(Asked),
    Again(Pick),
    Settle(Pick, Used, Evidence),
    Void(Pick),
    Forfeit(Pick, ForfeitCharge, Forfeiter),
    /// To so much per mille of the hold.
    Correct(Pick, i64),
    /// With an expiry so many microseconds from then.
    Limits(KeyLimits, Option<i64>),
    Block,
    Unblock,
    Rotate(u32),
    Retire(u32),
    Clear(usize),
    Revoke,
}

/// The cards that calls choose from: plain, tiered with cache prices, reasoning, fractions with a
/// fee, output for nothing.
pub(crate) fn cards() -> Vec<Arc<PriceCard>> {
    let named = |n: usize, card: PriceCard| Arc::new(PriceCard { model: format!("m-{n}"), ..card });
    let cached = Rates { cache_read: Some(rate("0.1")), cache_write: Some(rate("1.25")), ..card().rates };
    let dear =
        Rates { input: rate("2"), output: rate("15"), cache_write: Some(rate("2.5")), ..Rates::default() };
    let tiers = vec![Tier { above_input_tokens: 1_000, rates: dear }];
    let cheap = Rates { input: rate("0.1"), output: rate("0.4"), ..Rates::default() };
    let fee = Some(rate("500"));
    let odd =
        Rates { input: rate("0.0333333"), output: rate("0.1777777"), requests: fee, ..Rates::default() };
    let free = Rates { input: rate("1"), ..Rates::default() };
    vec![
        named(0, card()),
        named(
            1,
            PriceCard { rates: cached, tiers, max_output_tokens: 4_096, context_window: 2_000, ..card() },
        ),
        named(2, PriceCard { rates: cheap, reasoning: true, max_output_tokens: 65_536, ..card() }),
        named(3, PriceCard { rates: odd, max_output_tokens: 300, ..card() }),
        named(4, PriceCard { rates: free, ..card() }),
    ]
}

fn pick() -> impl Strategy<Value = Pick> {
    (any::<Index>(), prop::bool::weighted(0.85)).prop_map(|(index, open)| Pick { index, open })
}

fn limits() -> impl Strategy<Value = KeyLimits> {
    let amount = prop_oneof![
        1 => Just(0_i64),
        4 => 100_000_i64..4_000_000,
        4 => 1_000_000_i64..60_000_000,
        4 => 40_000_000_i64..1_000_000_000,
    ];
    let budgets = prop::array::uniform4(prop::option::weighted(0.4, amount)).prop_shuffle_kinds();
    let rates = (
        prop::option::weighted(0.2, 1_u32..12),
        prop::option::weighted(0.25, prop_oneof![100_u64..3_000, 1_000_u64..60_000]),
        prop::option::weighted(0.15, 1_u32..5),
    );
    let output = (
        prop::option::weighted(0.15, 500_000_i64..60_000_000),
        prop::bool::weighted(0.3),
        prop::option::weighted(0.2, 1_u32..9_000),
        prop::option::weighted(0.2, 1_u32..20_000),
    );
    let alert = prop::option::weighted(0.7, 1_u8..=100);
    (budgets, alert, rates, output).prop_map(
        |(budgets, alert, (requests, tokens, concurrent), (most, clamp, plain, reasoning))| KeyLimits {
            unlimited: budgets.is_empty(),
            budgets: budgets
                .into_iter()
                .map(|(kind, limit)| Budget { alert_at_percent: alert, ..budget(kind, limit) })
                .collect(),
            max_call_cost: most.map(nanos),
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            concurrent_calls: concurrent,
            when_short: if clamp { WhenShort::Clamp } else { WhenShort::Refuse },
            default_output_tokens: plain,
            default_reasoning_output_tokens: reasoning,
            ..KeyLimits::default()
        },
    )
}

/// Turns an amount for each kind into a list in any order.
trait ShuffleKinds: Strategy<Value = [Option<i64>; 4]> + Sized {
    fn prop_shuffle_kinds(self) -> impl Strategy<Value = Vec<(WindowKind, i64)>> {
        self.prop_map(|amounts| {
            let some = WindowKind::ALL.into_iter().zip(amounts);
            some.filter_map(|(kind, amount)| Some((kind, amount?))).collect::<Vec<_>>()
        })
        .prop_shuffle()
    }
}

impl<S: Strategy<Value = [Option<i64>; 4]>> ShuffleKinds for S {}

fn asked() -> impl Strategy<Value = Asked> {
    let basis = prop_oneof![
        9 => Just(BoundBasis::Bytes), 3 => Just(BoundBasis::Tokenizer), 1 => Just(BoundBasis::ContextWindow)
    ];
    let output_limit = prop::option::weighted(0.7, prop_oneof![9 => 0_u64..400, 1 => 0_u64..9_000]);
    let choices = prop_oneof![5 => Just(1_u64), 1 => 2_u64..4];
    let secret_age = prop_oneof![17 => Just(Some(0_u32)), 2 => (1_u32..4).prop_map(Some), 1 => Just(None)];
    let once = prop::option::weighted(0.3, (0_u8..3, prop_oneof![4 => Just(0_u8), 1 => Just(1)]));
    (0_usize..5, 0_u64..2_500, basis, output_limit, choices, secret_age, once).prop_map(
        |(card, input_tokens, basis, output_limit, choices, secret_age, once)| Asked {
            once,
            card,
            input_tokens,
            basis,
            output_limit,
            choices,
            secret_age,
        },
    )
}

fn used() -> impl Strategy<Value = Used> {
    let share = || prop_oneof![6 => 0_u64..1_000, 3 => Just(1_000_u64), 1 => 1_001_u64..3_000];
    (share(), 0_u64..1_000, share()).prop_map(|(input, cached, output)| Used { input, cached, output })
}

fn step() -> impl Strategy<Value = Step> {
    let second = 1_000_000_i64;
    let wait = prop_oneof![
        2 => 0_i64..3,
        4 => 0..90 * second,
        1 => 600 * second..700 * second,
        1 => 3_600 * second..30 * 3_600 * second,
        1 => 86_400 * second..40 * 86_400 * second,
    ];
    let kind = prop_oneof![Just(WindowKind::Day), Just(WindowKind::Week), Just(WindowKind::Month)];
    let evidence = prop_oneof![3 => Just(Evidence::Reported), 1 => Just(Evidence::Estimated)];
    let charge = prop_oneof![Just(ForfeitCharge::Hold), Just(ForfeitCharge::InputOnly)];
    let by = prop_oneof![Just(Forfeiter::Owner), Just(Forfeiter::Anybody)];
    prop_oneof![
        8 => wait.prop_map(Step::Wait),
        3 => (kind, -1_i64..2).prop_map(|(kind, micros)| Step::Edge(kind, micros)),
        30 => asked().prop_map(Step::Call),
        1 => pick().prop_map(Step::Again),
        14 => (pick(), used(), evidence).prop_map(|(pick, used, evidence)| Step::Settle(pick, used, evidence)),
        3 => pick().prop_map(Step::Void),
        4 => (pick(), charge, by).prop_map(|(pick, charge, by)| Step::Forfeit(pick, charge, by)),
        3 => (pick(), -10_i64..1_300).prop_map(|(pick, to)| Step::Correct(Pick { open: false, ..pick }, to)),
        6 => (limits(), prop::option::weighted(0.1, 0..100_000 * second))
            .prop_map(|(limits, expiry)| Step::Limits(limits, expiry)),
        1 => Just(Step::Block),
        6 => Just(Step::Unblock),
        2 => (0_u32..2).prop_map(|hours| Step::Rotate(hours * 3_600)),
        1 => (0_u32..4).prop_map(Step::Retire),
        2 => (0_usize..5).prop_map(Step::Clear),
    ]
}

/// Most keys live on; the last steps of some come after a revoke.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let starts =
        ["2028-02-28T23:59:00Z", "2026-12-31T12:00:00Z", "2027-05-31T00:00:00Z", "2026-11-15T23:00:00Z"];
    let start = prop::sample::select(starts.map(at).to_vec());
    let revoked = prop::option::weighted(0.2, prop::collection::vec(step(), 1..8));
    (start, limits(), prop::collection::vec(step(), 1..80), revoked).prop_map(
        |(start, limits, mut steps, rest)| {
            if let Some(rest) = rest {
                steps.push(Step::Revoke);
                steps.extend(rest);
            }
            Script { start, limits, steps }
        },
    )
}
