//! Another writer came first: the fold is read again, and what waits is decided again, in its order.

use std::collections::HashSet;
use std::sync::Arc;

use nemo_events::EventId;
use nemo_projections::Refusal;

use super::probe::Outcome;
use super::support::*;
use crate::ledger::{Account, ExecuteError, KeyFold};

/// Two nodes over one store, each with its own account of one key.
async fn two_nodes(calls: i64) -> (Node, Arc<Account<KeyFold>>, Node, Arc<Account<KeyFold>>) {
    let ours = node().await;
    let account = ours.key(room_for(calls)).await;
    let theirs = another_node(&ours.store.memory, PACE).await;
    let their_account = theirs.account(account.id()).await;
    (ours, account, theirs, their_account)
}

fn ids(batches: &[Vec<nemo_events::Sealed>]) -> Vec<EventId> {
    batches.iter().flatten().map(|event| event.id).collect()
}

#[tokio::test]
async fn what_waits_is_decided_again_in_the_order_of_arrival() {
    let (ours, account, theirs, their_account) = two_nodes(100).await;
    ours.store.pause_appends();
    let mut asking = Vec::new();
    for n in 1..=5 {
        asking.push(ours.asks(&account, call(n)).await);
    }
    answer(theirs.asks(&their_account, call(100)).await).await.unwrap();
    let sent_in_vain = ours.store.sent().len();
    ours.store.release_appends();
    for asking in asking {
        answer(asking).await.unwrap();
    }
    let history = ours.history(account.id()).await;
    assert_eq!(history.authorized(), [100, 1, 2, 3, 4, 5].map(call_id));
    let in_vain: HashSet<_> = ids(&ours.store.sent()[sent_in_vain - 1..sent_in_vain]).into_iter().collect();
    let again = ids(&ours.store.sent()[sent_in_vain..]);
    assert!(again.iter().all(|id| !in_vain.contains(id)), "decided again with fresh ids");
    ours.is_quiet().await;
}

#[tokio::test]
async fn a_foreign_call_that_takes_the_room_refuses_the_last_of_those_who_wait() {
    let (ours, account, theirs, their_account) = two_nodes(2).await;
    ours.store.pause_appends();
    let first = ours.asks(&account, call(1)).await;
    let second = ours.asks(&account, call(2)).await;
    let look = ours.looks(account.id()).await;
    answer(theirs.asks(&their_account, call(100)).await).await.unwrap();
    ours.store.release_appends();
    assert!(answer(first).await.is_ok());
    assert!(matches!(answer(second).await, Err(ExecuteError::Refused(Refusal::BudgetHeld(_)))));
    assert_eq!(answer(look).await.unwrap().open, 2);
    assert_eq!(ours.history(account.id()).await.authorized(), [100, 1].map(call_id));
}

#[tokio::test]
async fn a_foreign_revocation_refuses_everything_that_waits() {
    let (ours, account, theirs, _) = two_nodes(100).await;
    ours.store.pause_appends();
    let waiting = [ours.asks(&account, call(1)).await, ours.asks(&account, call(2)).await];
    answer(theirs.revokes(account.id()).await).await.unwrap();
    ours.store.release_appends();
    for asking in waiting {
        assert!(matches!(answer(asking).await, Err(ExecuteError::Refused(Refusal::Revoked))));
    }
    assert_eq!(ours.history(account.id()).await.types(), ["KeyCreated", "KeyRevoked"]);
}

#[tokio::test]
async fn already_revoked_is_not_said_of_a_revocation_that_was_lost() {
    let (ours, account, theirs, their_account) = two_nodes(100).await;
    ours.store.pause_appends();
    let revokes = ours.revokes(account.id()).await;
    let again = ours.revokes(account.id()).await;
    answer(theirs.asks(&their_account, call(100)).await).await.unwrap();
    assert!(!again.is_finished());
    ours.store.release_appends();
    answer(revokes).await.unwrap();
    answer(again).await.unwrap();
    assert_eq!(ours.history(account.id()).await.types_after_creation(), ["CallAuthorized", "KeyRevoked"]);
    // And the other node finds out with its next append.
    let late = answer(theirs.asks(&their_account, call(101)).await).await;
    assert!(matches!(late, Err(ExecuteError::Refused(Refusal::Revoked))));
}

#[tokio::test]
async fn an_end_survives_a_conflict_and_its_call_ends_once() {
    let (ours, account, theirs, their_account) = two_nodes(100).await;
    let authorized = answer(ours.asks(&account, call(1)).await).await.unwrap();
    assert!(
        matches!(answer(theirs.asks(&their_account, call(1)).await).await, Err(ExecuteError::Unavailable(_))),
        "a call id is good for one call, also on a node that has not heard of it"
    );
    answer(theirs.asks(&their_account, call(100)).await).await.unwrap();
    let end = authorized.settle(settle(call_id(1))).await.unwrap();
    assert_eq!(end.charged.as_nanos(), COST);
    let again = authorized.settle(settle(call_id(1))).await.unwrap();
    assert_eq!(again.charged.as_nanos(), COST);
    let types = ours.history(account.id()).await.types_after_creation();
    assert_eq!(types, ["CallAuthorized", "CallAuthorized", "CallSettled"]);
}

#[tokio::test]
async fn a_store_that_tells_of_conflicts_that_there_are_not_is_not_asked_in_a_circle() {
    let ours = node().await;
    let account = ours.key(room_for(1)).await;
    ours.store.then([Outcome::Conflict; 12]);
    let started = std::time::Instant::now();
    assert!(answer(ours.asks(&account, call(1)).await).await.is_ok());
    assert!(started.elapsed() >= PACE.longest * 4, "waits grow to the longest one");
    assert_eq!(ours.history(account.id()).await.authorized(), [call_id(1)]);
    assert_eq!(ours.store.sent().len(), 14);
}

#[tokio::test]
async fn writers_who_contend_all_get_through() {
    let (ours, account, theirs, their_account) = two_nodes(1_000).await;
    let mut asking = Vec::new();
    for n in 0..50 {
        asking.push(ours.asks(&account, call(2 * n)).await);
        asking.push(theirs.asks(&their_account, call(2 * n + 1)).await);
    }
    for asking in asking {
        answer(asking).await.unwrap();
    }
    let history = ours.history(account.id()).await;
    let (even, odd): (Vec<_>, Vec<_>) =
        history.authorized().into_iter().map(|call| call.as_uuid().as_u128()).partition(|n| n % 2 == 0);
    assert_eq!(even, (0..50).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(odd, (0..50).map(|n| 2 * n + 1).collect::<Vec<_>>());
}
