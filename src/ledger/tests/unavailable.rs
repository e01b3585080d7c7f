//! The store is away: authorisations give up in time, ends never do, and nothing is left behind.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use nemo_events::StreamName;

use super::probe::{Outcome, Reading};
use super::support::*;
use crate::ledger::account::WAITING_AT_MOST;
use crate::ledger::pace::Pace;
use crate::ledger::{Context, ExecuteError};

#[test]
fn an_authorisation_waits_two_seconds_and_a_manager_ten() {
    let pace = Pace::default();
    assert_eq!((pace.authorize, pace.manage), (Duration::from_secs(2), Duration::from_secs(10)));
    assert_eq!((pace.first, pace.longest), (Duration::from_millis(5), Duration::from_secs(1)));
}

#[tokio::test]
async fn an_authorisation_gives_up_and_nothing_of_it_is_written_when_the_store_is_back() {
    let node = impatient_node().await;
    let account = node.key(room_for(1)).await;
    node.store.go_away();
    for n in 1..=3 {
        let given_up = answer(node.asks(&account, call(n)).await).await;
        assert!(matches!(given_up, Err(ExecuteError::Unavailable(_))));
    }
    assert!(node.ledger.unready_reason().await.is_some());
    node.is_quiet().await;
    assert_eq!(account.waiting(), 0, "nobody waits, though the store is still away");
    node.store.come_back();
    assert!(answer(node.asks(&account, call(4)).await).await.is_ok());
    assert_eq!(node.history(account.id()).await.authorized(), [call_id(4)]);
    assert_eq!(node.ledger.unready_reason().await, None);
}

#[tokio::test]
async fn what_becomes_durable_after_it_was_given_up_is_voided() {
    let node = impatient_node().await;
    let account = node.key(room_for(2)).await;
    node.store.pause_appends();
    let sent = node.asks(&account, call(1)).await;
    let waits_behind_it = node.asks(&account, call(2)).await;
    assert!(matches!(answer(sent).await, Err(ExecuteError::Unavailable(_))));
    assert!(matches!(answer(waits_behind_it).await, Err(ExecuteError::Unavailable(_))));
    node.store.release_appends();
    node.is_quiet().await;
    let history = node.history(account.id()).await;
    assert_eq!(history.authorized(), history.voided_unsent());
    assert_eq!(history.state.unwrap().open_calls.len(), 0);
    assert!(answer(node.asks(&account, call(3)).await).await.is_ok());
}

#[tokio::test]
async fn whoever_goes_away_with_the_answer_unread_has_not_got_it() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    let mut asking = Box::pin(node.ledger.authorize(&account, call(1)));
    assert!((&mut asking).now_or_never().is_none());
    node.is_quiet().await;
    assert_eq!(node.history(account.id()).await.authorized(), [call_id(1)], "the answer is there");
    drop(asking);
    node.is_quiet().await;
    assert_eq!(node.history(account.id()).await.voided_unsent(), [call_id(1)]);
}

#[tokio::test]
async fn whoever_got_the_answer_keeps_it() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    a_while().await;
    drop(authorized);
    node.is_quiet().await;
    assert_eq!(node.history(account.id()).await.types_after_creation(), ["CallAuthorized"]);
}

#[tokio::test]
async fn ends_wait_for_the_store_however_long_and_come_in_order_though_nobody_waits_for_them() {
    let node = impatient_node().await;
    let account = node.key(room_for(4)).await;
    let mut calls = Vec::new();
    for n in 1..=4 {
        calls.push(Arc::new(answer(node.asks(&account, call(n)).await).await.unwrap()));
    }
    let calls: [_; 4] = calls.try_into().unwrap();
    node.store.go_away();
    let [one, _, three, four] = calls.each_ref().map(Arc::clone);
    let settles = tokio::spawn(async move { three.settle(settle(call_id(3))).await });
    a_while().await;
    let voids = tokio::spawn(async move { one.void(void(call_id(1))).await });
    a_while().await;
    let forfeits = tokio::spawn(async move { four.forfeit(forfeit(call_id(4))).await });
    a_while().await;
    let ends = [settles, voids, forfeits];
    ends[0].abort();
    ends[2].abort();
    let given_up = answer(node.asks(&account, call(5)).await).await;
    assert!(matches!(given_up, Err(ExecuteError::Unavailable(_))));
    assert!(!ends[1].is_finished(), "past every patience");
    until(|| account.waiting() == 3).await;
    node.store.then_reads([Reading::Away; 3]);
    node.store.come_back();
    node.is_quiet().await;
    let types = node.history(account.id()).await.types_after_creation().split_off(4);
    assert_eq!(types, ["CallSettled", "CallVoided", "CallForfeited"]);
    assert_eq!(account.waiting(), 0);
}

#[tokio::test]
async fn with_a_full_disk_reads_go_on_and_ends_follow() {
    let node = impatient_node().await;
    let account = node.key(room_for(2)).await;
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    node.store.memory.faults().fail_appends();
    let settles = tokio::spawn(async move { authorized.settle(settle(call_id(1))).await });
    let given_up = answer(node.asks(&account, call(2)).await).await;
    assert!(matches!(given_up, Err(ExecuteError::Unavailable(_))));
    node.store.memory.faults().come_back();
    assert_eq!(settles.await.unwrap().unwrap().charged.as_nanos(), COST);
    assert_eq!(node.history(account.id()).await.types_after_creation(), ["CallAuthorized", "CallSettled"]);
}

#[tokio::test]
async fn a_flood_while_the_store_hangs_is_bounded_but_never_refuses_an_end() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let authorized = answer(node.asks(&account, call(0)).await).await.unwrap();
    node.store.pause_appends();
    let first = node.asks(&account, call(1)).await;
    let mut flood = Vec::new();
    for _ in 1..WAITING_AT_MOST {
        let mut look = Box::pin(node.ledger.look(account.id(), |_, _| ()));
        assert!((&mut look).now_or_never().is_none());
        flood.push(look);
    }
    let too_many = answer(node.asks(&account, call(2)).await).await;
    assert!(matches!(too_many, Err(ExecuteError::Unavailable(_))));
    let mut settles = Box::pin(authorized.settle(settle(call_id(0))));
    assert!((&mut settles).now_or_never().is_none());
    assert_eq!(account.waiting(), WAITING_AT_MOST + 1);
    node.store.release_appends();
    assert_eq!(settles.await.unwrap().charged.as_nanos(), COST);
    assert!(answer(first).await.is_ok());
    drop(flood);
    node.is_quiet().await;
    assert_eq!(account.waiting(), 0);
}

#[tokio::test]
async fn a_flood_while_the_store_is_away_is_forgotten_as_it_gives_up() {
    let node = impatient_node().await;
    let account = node.key(room_for(1)).await;
    let authorized = answer(node.asks(&account, call(0)).await).await.unwrap();
    node.store.go_away();
    let settles = tokio::spawn(async move { authorized.settle(settle(call_id(0))).await });
    for round in 0..5 {
        let mut asking = Vec::new();
        for n in 0..20 {
            asking.push(node.asks(&account, call(1 + 20 * round + n)).await);
        }
        for asking in asking {
            assert!(answer(asking).await.is_err());
        }
        until(|| account.waiting() == 1).await;
    }
    node.store.come_back();
    assert!(settles.await.unwrap().is_ok());
    node.is_quiet().await;
    assert_eq!(node.history(account.id()).await.types_after_creation(), ["CallAuthorized", "CallSettled"]);
}

#[tokio::test]
async fn a_managers_command_that_timed_out_happens_or_not_but_never_twice() {
    let node = impatient_node().await;
    let account = node.key(room_for(1)).await;
    node.store.then([Outcome::Away; 200]);
    let timed_out = node.ledger.revoke_key(account.id(), revoke(), Context::system()).await;
    assert!(matches!(timed_out, Err(ExecuteError::Unavailable(_))));
    node.store.come_back();
    node.is_quiet().await;
    answer(node.revokes(account.id()).await).await.unwrap();
    assert_eq!(node.history(account.id()).await.types_after_creation(), ["KeyRevoked"]);
}

#[tokio::test]
async fn a_stop_waits_for_the_ends_in_hand() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    node.store.pause_appends();
    let settles = tokio::spawn(async move { authorized.settle(settle(call_id(1))).await });
    a_while().await;
    let ledger = Arc::clone(&node.ledger);
    let drains = tokio::spawn(async move { ledger.drain().await });
    a_while().await;
    assert!(!drains.is_finished());
    node.store.release_appends();
    drains.await.unwrap();
    assert!(settles.await.unwrap().is_ok());
    assert_eq!(node.records(StreamName::Key(account.id())).await.len(), 3);
}

#[tokio::test]
async fn callers_of_a_cold_key_give_up_in_time_and_the_one_reading_of_it_goes_on_without_them() {
    let memory = Arc::default();
    another_node(&memory, PACE).await.has_key(key_id(1), unlimited()).await;
    let patience = Duration::from_millis(100);
    let node = another_node(&memory, Pace { authorize: patience, ..PACE }).await;
    node.store.hold_reads();
    let before = node.store.reads();
    for _ in 0..3 {
        let asking: Vec<_> = (0..100)
            .map(|_| {
                let ledger = Arc::clone(&node.ledger);
                tokio::spawn(async move { ledger.key_for_caller(key_id(1)).await.map(|_| ()) })
            })
            .collect();
        for asking in asking {
            assert!(matches!(answer(asking).await, Err(ExecuteError::Unavailable(_))));
        }
        assert_eq!(node.ledger.core.tasks.len(), 1, "one reading for all of them");
    }
    assert!(node.ledger.key_in_memory(key_id(1)).is_none());
    node.store.release_reads();
    until(|| node.ledger.key_in_memory(key_id(1)).is_some()).await;
    assert_eq!(node.store.reads() - before, 2, "a page and the end");
}

#[tokio::test]
async fn a_reading_that_failed_is_made_again_for_the_next_caller() {
    let memory = Arc::default();
    another_node(&memory, PACE).await.has_key(key_id(1), unlimited()).await;
    let node = another_node(&memory, PACE).await;
    node.store.then_reads([Reading::Away]);
    let given_up = node.ledger.key_for_caller(key_id(1)).await;
    assert!(matches!(given_up, Err(ExecuteError::Unavailable(_))));
    assert!(node.ledger.key_for_caller(key_id(1)).await.is_ok());
}

#[tokio::test]
async fn a_node_starts_once_however_often_it_is_asked_and_not_with_foreign_secrets() {
    let node = node().await;
    let nothing_new = |_: &[_]| Ok::<_, &str>(Vec::new());
    for _ in 0..2 {
        node.ledger.node_started(nothing_new).await.unwrap().unwrap();
    }
    let started = node.records(StreamName::Gateway).await;
    assert_eq!(started.len(), 1);
    let another = another_node(&node.store.memory, PACE).await;
    let refused = another.ledger.node_started(|_: &[_]| Err::<Vec<_>, _>("foreign")).await.unwrap();
    assert_eq!(refused, Err("foreign"));
    assert_eq!(node.records(StreamName::Gateway).await, started, "nothing was written");
}
