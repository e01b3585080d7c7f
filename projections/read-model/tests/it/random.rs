//! Random histories in which everything happens that the read model knows.

use nemo_events::key::Evidence;
use nemo_events::limits::{Budget, KeyLimits, WindowKind};
use nemo_events::{Actor, Nanos, Usage};
use nemo_projections::key::Status;
use proptest::prelude::*;

use crate::history::{Ask, History, key, labels, operator, usage};

/// So many cases, and no file where one fails: the failure is printed.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What happens, to which of those that it can happen to, and how much of it.
pub type Step = (u8, usize, u32);

pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0_u8..32, 0_usize..1000, any::<u32>()), 1..most)
}

/// Plays steps over a few keys, starting shortly before a month ends.
pub fn history(steps: &[Step]) -> History {
    let mut history = History::with_keys("2026-11-29T20:00:00Z", 2);
    let mut keys = 2;
    for (what, which, much) in steps {
        step(&mut history, &mut keys, *what, *which, *much);
    }
    history
}

fn step(history: &mut History, keys: &mut usize, what: u8, which: usize, much: u32) {
    // Clocks differ: now and then a stream is decided by a node that is some seconds behind.
    let now = history.now.plus_secs(i64::from(much % [40, 900, 9000][which % 3]));
    history.now = now;
    if which.is_multiple_of(5) {
        history.now = now.plus_secs(-90);
    }
    let id = key(which % *keys);
    let open = history.calls.iter().filter(|call| call.ended.is_none());
    let open: Vec<_> = open.map(|call| call.id).collect();
    let ended = history.calls.iter().filter(|call| call.ended.is_some());
    let ended: Vec<_> = ended.map(|call| (call.id, call.ended.map_or(Nanos::ZERO, |(_, n)| n))).collect();
    let some_open = open.get(which % open.len().max(1)).copied();
    let some_ended = ended.get(which % ended.len().max(1)).copied();
    let cost = i64::from(much % 1_000_000);
    match (what, some_open, some_ended) {
        (0, ..) if *keys < 6 => {
            history.create_key(*keys, which % 3);
            *keys += 1;
        }
        (1, ..) if history.state(id).status != Status::Revoked => {
            history.relabel(id, labels(["first", "second"][which % 2], &["a", "b"][..which % 3]));
        }
        (2, ..) => history.refuse(id, ["budget_exceeded", "key_blocked"][which % 2], u64::from(much % 7)),
        (3, ..) if which.is_multiple_of(4) && history.state(id).status != Status::Revoked => {
            history.revoke(id)
        }
        (23, ..) if history.state(id).status != Status::Revoked => {
            history.actor = operator();
            history.set_limits(id, limits(which, much));
            history.actor = Actor::System;
        }
        (4, ..) if history.state(id).status == Status::Active => history.block(id),
        (4, ..) if history.state(id).status == Status::Blocked => history.unblock(id),
        (5, ..) if history.state(id).status != Status::Revoked => history.rotate(id, which.is_multiple_of(2)),
        (6, ..) => {
            history.publish_card(["gpt", "mini"][which % 2]);
        }
        (7, ..) => history.start_node(["n1", "n2"][which % 2], u128::from(much % 3)),
        (8, ..) => history.refuse_presentations(u64::from(much % 7)),
        (9, ..) => history.checkpoint(),
        (10..=16, Some(call), _) => history.settle(call, cost, random_usage(much), evidence(which)),
        (17, Some(call), _) => history.void(call),
        (18..=19, Some(call), _) => history.forfeit(call, cost),
        (20..=22, _, Some((call, charged))) => {
            let charged = charged.as_nanos() * i64::from(much % 100) / 100;
            history.correct(call, charged, (which.is_multiple_of(2)).then(|| random_usage(much / 3)));
        }
        _ if history.state(id).status == Status::Active => {
            let claims = ["x", "y", "z"];
            let model = ["gpt", "mini", "maxi"][which % 3];
            let asked = if which.is_multiple_of(2) { model } else { "alias" };
            let claims = &claims[..which % 4];
            history.authorize(id, &Ask { model: asked, provider_model: model, claims });
        }
        _ => {}
    }
    history.now = now;
}

/// Caps from far below to far above what some calls cost.
fn limits(which: usize, much: u32) -> KeyLimits {
    let budget = |(place, window)| {
        let limit = Nanos::from_nanos(i64::from(much % 3_000_000 + 1) * (place as i64 + 1));
        let alert_at_percent = much.is_multiple_of(4).then_some(50);
        Budget { window, limit, alert_at_percent }
    };
    let wanted = WindowKind::ALL.into_iter().enumerate().skip(which % 4);
    KeyLimits { budgets: wanted.map(budget).collect(), ..KeyLimits::default() }
}

const fn evidence(which: usize) -> Evidence {
    if which.is_multiple_of(3) { Evidence::Estimated } else { Evidence::Reported }
}

fn random_usage(much: u32) -> Usage {
    let units = u64::from(much % 5000);
    Usage {
        cache_read: units / 2,
        reasoning: units / 3,
        // Now and then a provider reports nonsense.
        input_audio: if much.is_multiple_of(97) { u64::MAX } else { 0 },
        ..usage(units, units / 4)
    }
}
