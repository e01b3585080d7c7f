//! Defects: decisions that cannot be folded, panics, damaged streams. One command may be lost by them,
//! but never the others, and nobody is left without an answer.

use nemo_events::key::{CallVoided, KeyRevoked, VoidReason};
use nemo_events::{EventRecord, KeyEvent, StreamName, Timestamp};
use nemo_projections::Refusal;

use super::probe::{Outcome, Reading};
use super::support::*;
use crate::ledger::command::Command;
use crate::ledger::{Context, ExecuteError, KeyAccount, KeyFold};

/// Decides what no fold can take: a revocation, and then the end of a call that nobody made.
struct Nonsense;

impl Command<KeyFold> for Nonsense {
    type Answer = ();

    fn decide(&mut self, _state: &KeyAccount, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let voided =
            CallVoided { call: call_id(99), reason: VoidReason::NotSent, status: None, duration_ms: 0 };
        Ok(vec![KeyRevoked { reason: None }.into(), voided.into()])
    }

    fn answer(&mut self, _: &KeyAccount, _: &[KeyEvent], _: Timestamp) {}
}

/// Panics when its events are folded and nothing is noted of them yet.
struct LateBomb;

impl Command<KeyFold> for LateBomb {
    type Answer = ();

    fn decide(&mut self, _state: &KeyAccount, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        Ok(vec![KeyRevoked { reason: None }.into()])
    }

    fn answer(&mut self, _: &KeyAccount, _: &[KeyEvent], _: Timestamp) {
        panic!("told so by a test");
    }
}

/// Panics while it decides.
struct Bomb;

impl Command<KeyFold> for Bomb {
    type Answer = ();

    fn decide(&mut self, _state: &KeyAccount, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        panic!("told so by a test");
    }

    fn answer(&mut self, _: &KeyAccount, _: &[KeyEvent], _: Timestamp) {}
}

#[tokio::test]
async fn a_decision_that_cannot_be_folded_fails_alone_and_leaves_no_trace() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    let damaged = account.execute(Nonsense, Context::system()).await;
    assert!(matches!(damaged, Err(ExecuteError::Damaged(_))));
    assert_eq!(account.settled(|_| ()), None, "the fold has taken the half of it");
    assert_eq!(node.ledger.authenticate(&account, presented(), HERE).await.unwrap(), 1, "not revoked");
    assert!(answer(node.asks(&account, call(1)).await).await.is_ok());
    assert_eq!(node.history(account.id()).await.types_after_creation(), ["CallAuthorized"]);
}

#[tokio::test]
async fn those_before_and_behind_a_decision_that_cannot_be_folded_are_not_touched_by_it() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    node.store.pause_appends();
    let in_flight = node.asks(&account, call(1)).await;
    let decided = node.asks(&account, call(2)).await;
    let damaged = account.execute(Nonsense, Context::system()).await;
    assert!(matches!(damaged, Err(ExecuteError::Damaged(_))));
    let behind = node.asks(&account, call(3)).await;
    let look = node.looks(account.id()).await;
    node.store.release_appends();
    assert!(answer(in_flight).await.is_ok());
    assert!(answer(decided).await.is_ok());
    assert!(matches!(answer(behind).await, Err(ExecuteError::Refused(Refusal::BudgetHeld(_)))));
    assert_eq!(answer(look).await.unwrap().open, 2);
    assert_eq!(node.history(account.id()).await.authorized(), [1, 2].map(call_id));
    node.is_quiet().await;
}

#[tokio::test]
async fn a_panic_in_a_decision_loses_that_command_only() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    node.store.pause_appends();
    let waits = node.asks(&account, call(1)).await;
    let bomb = tokio::spawn({
        let account = account.clone();
        async move { account.execute(Bomb, Context::system()).await }
    });
    assert!(bomb.await.unwrap_err().is_panic());
    node.store.release_appends();
    assert!(answer(waits).await.is_ok());
    assert!(answer(node.asks(&account, call(2)).await).await.is_ok());
    assert_eq!(node.history(account.id()).await.authorized(), [1, 2].map(call_id));
    node.is_quiet().await;
}

#[tokio::test]
async fn a_panic_with_the_half_of_it_done_leaves_no_trace() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    let bomb = tokio::spawn({
        let account = account.clone();
        async move { account.execute(LateBomb, Context::system()).await }
    });
    assert!(bomb.await.unwrap_err().is_panic());
    assert_eq!(account.settled(|_| ()), None);
    assert_eq!(node.ledger.authenticate(&account, presented(), HERE).await.unwrap(), 1, "not revoked");
    assert!(answer(node.asks(&account, call(1)).await).await.is_ok());
    assert_eq!(node.history(account.id()).await.types_after_creation(), ["CallAuthorized"]);
}

#[tokio::test]
async fn a_panic_in_the_pump_strands_nobody() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    node.store.then([Outcome::Panics, Outcome::Panics]);
    let end = tokio::spawn(async move { authorized.settle(settle(call_id(1))).await });
    assert_eq!(answer(end).await.unwrap().charged.as_nanos(), COST);
    assert_eq!(node.history(account.id()).await.types_after_creation(), ["CallAuthorized", "CallSettled"]);
    node.is_quiet().await;
}

#[tokio::test]
async fn a_command_that_panics_when_it_is_decided_again_takes_nobody_with_it() {
    struct Once(bool);
    impl Command<KeyFold> for Once {
        type Answer = ();
        fn decide(&mut self, _: &KeyAccount, _: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
            assert!(!std::mem::replace(&mut self.0, true), "told so by a test");
            Ok(Vec::new())
        }
        fn answer(&mut self, _: &KeyAccount, _: &[KeyEvent], _: Timestamp) {}
    }
    let node = node().await;
    let account = node.key(room_for(2)).await;
    node.store.pause_appends();
    node.store.then([Outcome::Conflict]);
    let before = node.asks(&account, call(1)).await;
    let bomb = tokio::spawn({
        let account = account.clone();
        async move { account.execute(Once(false), Context::system()).await }
    });
    a_while().await;
    let behind = node.asks(&account, call(2)).await;
    node.store.release_appends();
    assert!(matches!(answer(bomb).await, Err(ExecuteError::Unavailable(_))));
    assert!(answer(before).await.is_ok());
    assert!(answer(behind).await.is_ok());
    assert_eq!(node.history(account.id()).await.authorized(), [1, 2].map(call_id));
    node.is_quiet().await;
}

#[tokio::test]
async fn on_a_damaged_stream_everybody_is_told_so_and_nobody_hangs() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    node.store.then([Outcome::Conflict]);
    node.store.then_reads([Reading::Damaged; 3]);
    let waits = answer(node.asks(&account, call(2)).await).await;
    assert!(matches!(waits, Err(ExecuteError::Damaged(_))));
    let look = answer(node.looks(account.id()).await).await;
    assert!(matches!(look, Err(ExecuteError::Damaged(_))), "not answered from what is left in memory");
    let end = authorized.settle(settle(call_id(1))).await;
    assert!(matches!(end, Err(ExecuteError::Damaged(_))));
    // Somebody mends it.
    assert!(authorized.settle(settle(call_id(1))).await.is_ok());
    node.is_quiet().await;
    assert_eq!(account.waiting(), 0);
}

#[tokio::test]
async fn an_event_of_a_newer_program_stops_the_account_instead_of_being_skipped() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    let mut records = node.records(StreamName::Key(account.id())).await;
    let EventRecord { position, event } = records.pop().unwrap();
    let mut strange = event.clone();
    strange.revision = event.revision.next();
    strange.prev_hash = event.hash;
    strange.event_type = "KeyPainted".into();
    strange.id = nemo_events::EventId::from_uuid(uuid::Uuid::now_v7());
    let strange = strange.with_hash();
    let expected = nemo_store::Expected::Exact(event.revision);
    nemo_store::EventStore::append(&*node.store.memory, expected, vec![strange.clone()]).await.unwrap();
    let record = EventRecord { position: nemo_events::Position(position.0 + 1), event: strange };
    node.ledger.observe(&[record]);
    let asking = answer(node.asks(&account, call(1)).await).await;
    assert!(matches!(asking, Err(ExecuteError::Damaged(why)) if why.contains("KeyPainted")));
    assert_eq!(node.records(StreamName::Key(account.id())).await.len(), 2);
}

#[tokio::test]
async fn a_batch_that_the_store_calls_malformed_is_decided_anew_without_a_hot_loop() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    node.store.then([Outcome::Invalid; 10]);
    let started = std::time::Instant::now();
    assert!(answer(node.asks(&account, call(1)).await).await.is_ok());
    assert!(started.elapsed() >= PACE.longest * 3);
    assert_eq!(node.store.sent().len(), 12);
}
