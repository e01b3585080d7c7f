//! What may happen, before it is known what there is to happen to.

use nemo_events::key::Evidence;
use nemo_events::limits::{Budget, KeyLimits, WhenShort, WindowKind};
use nemo_events::{Nanos, Timestamp};
use proptest::option::Probability;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::probe::{Death, Outcome, Reading};
use super::super::support::{HOLD, at};

/// Keys, of which the last is in an org of its own.
pub(super) const KEYS: usize = 3;
pub(super) const NODES: usize = 2;
pub(super) const ORGS: usize = 2;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) start: Timestamp,
    pub(super) limits: [KeyLimits; KEYS],
    pub(super) acts: Vec<Act>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) node: usize,
    pub(super) key: usize,
    pub(super) input_tokens: u64,
    pub(super) output_limit: Option<u64>,
}

/// How a call ends; shares of its bounds, per mille.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    Settle { input: u64, output: u64, evidence: Evidence },
    Void,
    Forfeit,
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Ask(Asked),
    End(Index, End),
    GiveUp(Index),
    Limits {
        node: usize,
        key: usize,
        limits: KeyLimits,
    },
    Block {
        node: usize,
        key: usize,
    },
    Unblock {
        node: usize,
        key: usize,
    },
    Clear {
        node: usize,
        key: usize,
    },
    Revoke {
        node: usize,
        key: usize,
    },
    OrgBudgets {
        node: usize,
        org: usize,
        budgets: Vec<Budget>,
    },
    Suspend {
        node: usize,
        org: usize,
    },
    Resume {
        node: usize,
        org: usize,
    },
    /// Whatever is overdue is ended by anybody.
    Overdue {
        node: usize,
    },
    NextAppend(usize, Outcome),
    NextRead(usize, Reading),
    Pause(usize),
    Release(usize),
    GoAway(usize),
    ComeBack(usize),
    CommitLate(usize),
    Observe(usize),
    /// The node dies and starts again; what it left open is not ended yet.
    Crash(usize, Death),
    /// What dead nodes left open is ended.
    Reap(usize),
    /// So many microseconds pass.
    Wait(i64),
    /// To the edge of a window and a few microseconds on or back.
    Edge(WindowKind, i64),
    /// The node's clock goes wrong by so many microseconds.
    Skew(usize, i64),
    /// Everybody goes as far as they can, and answers are taken in.
    Run,
}

/// Each kind of window has a budget of this likelihood; most are whole calls or one nano-dollar off.
fn budgets(likely: Probability) -> impl Strategy<Value = Vec<Budget>> {
    let amount =
        (0_i64..14, prop_oneof![3 => Just(0_i64), 1 => Just(-1_i64), 1 => Just(1_i64), 1 => 0..HOLD])
            .prop_map(|(holds, more)| Nanos::from_nanos((holds * HOLD + more).max(0)));
    prop::array::uniform4(prop::option::weighted(likely, amount)).prop_map(|limits| {
        let some = WindowKind::ALL.into_iter().zip(limits);
        some.filter_map(|(window, limit)| Some(Budget { window, limit: limit?, alert_at_percent: None }))
            .collect()
    })
}

fn limits() -> impl Strategy<Value = KeyLimits> {
    let rates = (
        prop::option::weighted(0.15, 1_u32..6),
        prop::option::weighted(0.15, 200_u64..1_500),
        prop::option::weighted(0.15, 1_u32..4),
        prop::option::weighted(0.1, prop_oneof![Just(HOLD), HOLD / 2..2 * HOLD]),
    );
    (budgets(0.5.into()), rates, prop::bool::weighted(0.2)).prop_map(|(budgets, rates, clamp)| {
        let (requests_per_minute, tokens_per_minute, concurrent_calls, most) = rates;
        KeyLimits {
            unlimited: budgets.is_empty(),
            budgets,
            max_call_cost: most.map(Nanos::from_nanos),
            requests_per_minute,
            tokens_per_minute,
            concurrent_calls,
            when_short: if clamp { WhenShort::Clamp } else { WhenShort::Refuse },
            ..KeyLimits::default()
        }
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let input = prop_oneof![4 => Just(100_u64), 1 => Just(0_u64), 2 => 1_u64..300];
    let output = prop_oneof![5 => Just(Some(100_u64)), 1 => Just(Some(0)), 3 => (1_u64..300).prop_map(Some), 1 => Just(None)];
    (0..NODES, 0..KEYS, input, output).prop_map(|(node, key, input_tokens, output_limit)| Asked {
        node,
        key,
        input_tokens,
        output_limit,
    })
}

fn end() -> impl Strategy<Value = End> {
    let share = || prop_oneof![12 => 0_u64..1_000, 8 => Just(1_000_u64), 1 => 1_001_u64..3_000];
    let evidence = prop_oneof![3 => Just(Evidence::Reported), 1 => Just(Evidence::Estimated)];
    let settle = (share(), share(), evidence).prop_map(|(input, output, evidence)| End::Settle {
        input,
        output,
        evidence,
    });
    prop_oneof![6 => settle, 1 => Just(End::Void), 1 => Just(End::Forfeit)]
}

fn trouble() -> impl Strategy<Value = Act> {
    let node = || 0..NODES;
    let outcome = prop_oneof![
        3 => Just(Outcome::Written),
        3 => Just(Outcome::Lost),
        3 => Just(Outcome::Late),
        1 => Just(Outcome::Away),
        1 => Just(Outcome::Conflict),
    ];
    let reading = prop_oneof![Just(Reading::Away), Just(Reading::Behind)];
    let death = prop_oneof![Just(Death::Lost), Just(Death::Written), Just(Death::Late)];
    prop_oneof![
        6 => (node(), outcome).prop_map(|(node, outcome)| Act::NextAppend(node, outcome)),
        2 => (node(), reading).prop_map(|(node, reading)| Act::NextRead(node, reading)),
        4 => node().prop_map(Act::Pause),
        5 => node().prop_map(Act::Release),
        1 => node().prop_map(Act::GoAway),
        2 => node().prop_map(Act::ComeBack),
        3 => node().prop_map(Act::CommitLate),
        5 => node().prop_map(Act::Observe),
        4 => (node(), death).prop_map(|(node, death)| Act::Crash(node, death)),
        4 => node().prop_map(Act::Reap),
    ]
}

fn management() -> impl Strategy<Value = Act> {
    let (node, key, org) = (|| 0..NODES, || 0..KEYS, || 0..ORGS);
    prop_oneof![
        10 => (node(), key(), limits()).prop_map(|(node, key, limits)| Act::Limits { node, key, limits }),
        1 => (node(), key()).prop_map(|(node, key)| Act::Block { node, key }),
        3 => (node(), key()).prop_map(|(node, key)| Act::Unblock { node, key }),
        4 => (node(), key()).prop_map(|(node, key)| Act::Clear { node, key }),
        3 => (node(), org(), budgets(0.4.into())).prop_map(|(node, org, budgets)| Act::OrgBudgets { node, org, budgets }),
        1 => (node(), org()).prop_map(|(node, org)| Act::Suspend { node, org }),
        3 => (node(), org()).prop_map(|(node, org)| Act::Resume { node, org }),
    ]
}

fn time() -> impl Strategy<Value = Act> {
    let wait = prop_oneof![
        3 => 0..3_i64,
        5 => 0..90 * SECOND,
        2 => 640 * SECOND..700 * SECOND,
        1 => 3_600 * SECOND..30 * 3_600 * SECOND,
        1 => DAY..40 * DAY,
    ];
    let kind = prop_oneof![Just(WindowKind::Day), Just(WindowKind::Week), Just(WindowKind::Month)];
    let skew = prop_oneof![2 => Just(0), 2 => -3 * SECOND..3 * SECOND, 1 => -6 * SECOND..6 * SECOND];
    prop_oneof![
        4 => wait.prop_map(Act::Wait),
        4 => (kind, -1_i64..2).prop_map(|(kind, micros)| Act::Edge(kind, micros)),
        2 => (0..NODES, skew).prop_map(|(node, skew)| Act::Skew(node, skew)),
        2 => (0..NODES).prop_map(|node| Act::Overdue { node }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        40 => asked().prop_map(Act::Ask),
        20 => (any::<Index>(), end()).prop_map(|(call, end)| Act::End(call, end)),
        3 => any::<Index>().prop_map(Act::GiveUp),
        10 => management(),
        1 => (0..NODES, 0..KEYS).prop_map(|(node, key)| Act::Revoke { node, key }),
        20 => trouble(),
        12 => time(),
        30 => Just(Act::Run),
    ]
}

pub(super) fn script() -> impl Strategy<Value = Script> {
    let starts =
        ["2028-02-28T23:59:00Z", "2026-12-31T12:00:00Z", "2027-05-31T00:00:00Z", "2026-11-15T23:00:00Z"];
    let start = prop::sample::select(starts.map(at).to_vec());
    let limits = prop::array::uniform3(limits());
    (start, limits, prop::collection::vec(act(), 1..160)).prop_map(|(start, limits, acts)| Script {
        start,
        limits,
        acts,
    })
}
