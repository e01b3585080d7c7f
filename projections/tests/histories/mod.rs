//! Random histories of one key: whatever is decided, the naive ledger decides the same, and whatever
//! is folded adds up to the same.

mod check;
mod script;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use nemo_events::limits::WindowKind;
use nemo_events::{KeyEvent, Revision, Timestamp};
use nemo_projections::attribution::Attribution;
use nemo_projections::{At, KeyState};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::script::{Script, script};
use self::world::World;
use crate::support::cases;

/// How often each outcome was seen, so that a test that tests nothing is noticed.
pub(crate) type Seen = Arc<Mutex<BTreeMap<&'static str, u32>>>;

/// What must happen in the histories that are tried, or they are too tame.
const EXPECTED: [&str; 28] = [
    "admitted",
    "budget_exceeded",
    "budget_held",
    "call_already_billed",
    "call_running",
    "call_too_dear",
    "clamped",
    "concurrency_limit_exceeded",
    "corrected",
    "default limit",
    "default limit squeezed",
    "forfeited",
    "forgotten",
    "idempotency_key_reused",
    "invalid_api_key",
    "key_blocked",
    "key_revoked",
    "key_rotated",
    "model_flagged",
    "not overdue",
    "nothing to end",
    "out of range",
    "over the hold",
    "rate_limit_exceeded",
    "settled",
    "token_limit_exceeded",
    "tokens_above_rate",
    "voided",
];

#[test]
fn every_decision_and_every_window_agrees_with_a_naive_ledger() {
    let seen = Seen::default();
    let mut runner = TestRunner::new(Config { source_file: Some(file!()), ..cases(800) });
    runner
        .run(&script(), |script| {
            let mut world = World::new(&script, Arc::clone(&seen));
            for step in &script.steps {
                world.step(step)?;
            }
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let seen = seen.lock().unwrap();
    let missing: Vec<_> = EXPECTED.iter().filter(|outcome| !seen.contains_key(*outcome)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}; seen: {seen:?}");
}

fn played(script: &Script) -> World {
    let mut world = World::new(script, Seen::default());
    for step in &script.steps {
        world.play(step);
    }
    world
}

fn fold(mut state: Option<KeyState>, log: &[(i64, KeyEvent)], first: usize) -> Option<KeyState> {
    for (revision, (moment, event)) in log.iter().enumerate().skip(first) {
        let at = At { revision: Revision(revision as u64), time: Timestamp::from_micros(*moment) };
        KeyState::evolve(&mut state, event, at).unwrap();
    }
    state
}

fn through_json(event: &KeyEvent) -> KeyEvent {
    KeyEvent::decode(event.type_name(), event.version(), &event.encode().unwrap()).unwrap()
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn the_log_folds_to_the_live_state_before_and_after_it_was_stored(script in script()) {
        let world = played(&script);
        let live = world.key.state().cloned();
        prop_assert_eq!(&fold(None, &world.ledger.log, 0), &live);
        let stored: Vec<_> =
            world.ledger.log.iter().map(|(moment, event)| (*moment, through_json(event))).collect();
        prop_assert_eq!(&stored, &world.ledger.log);
        prop_assert_eq!(&fold(None, &stored, 0), &live);
    }

    #[test]
    fn alerts_of_budgets_are_those_that_a_look_at_the_whole_list_finds(script in script()) {
        let ledger = played(&script).ledger;
        prop_assert_eq!(ledger.alerts_raised(), ledger.alerts_due());
    }

    #[test]
    fn what_a_page_tells_of_a_key_adds_up_to_what_its_budgets_count(script in script()) {
        let world = played(&script);
        let mut told = Attribution::default();
        for (revision, (moment, event)) in (0..).zip(&world.ledger.log) {
            let at = At { revision: Revision(revision), time: Timestamp::from_micros(*moment) };
            told.evolve(event, at).unwrap();
        }
        let settled = |kind| world.ledger.sums(kind, world.now).settled;
        let now = Timestamp::from_micros(world.now);
        prop_assert_eq!(i128::from(told.total.spend.as_nanos()), settled(WindowKind::Total));
        prop_assert_eq!(i128::from(told.day(now).spend.as_nanos()), settled(WindowKind::Day));
        prop_assert_eq!(i128::from(told.month(now).spend.as_nanos()), settled(WindowKind::Month));
    }

    #[test]
    fn a_snapshot_at_any_event_folds_on_to_the_live_state(script in script(), cut: prop::sample::Index) {
        let world = played(&script);
        let log = &world.ledger.log;
        let cut = cut.index(log.len()) + 1;
        let state = fold(None, &log[..cut], 0);
        let snapshot: Option<KeyState> =
            serde_json::from_slice(&serde_json::to_vec(&state).unwrap()).unwrap();
        prop_assert_eq!(&snapshot, &state);
        prop_assert_eq!(fold(snapshot, log, cut), world.key.state().cloned());
    }
}
