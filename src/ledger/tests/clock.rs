//! Time: never backwards in a stream, and nothing granted by a clock that lies far behind.

use super::support::*;
use crate::ledger::ExecuteError;

const SECOND: i64 = 1_000_000;

#[tokio::test]
async fn a_clock_that_steps_back_does_not_take_the_streams_time_with_it() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let clock = |seconds: i64| node.clock.set(later(noon(), seconds * SECOND));
    for (n, seconds) in [10, 7, 5, 12, 8].into_iter().enumerate() {
        clock(seconds);
        answer(node.asks(&account, call(n as u128)).await).await.unwrap();
    }
    let recorded = node.history(account.id()).await.recorded().to_vec();
    assert_eq!(recorded, [0, 10, 10, 10, 12, 12].map(|seconds| later(noon(), seconds * SECOND)));
}

#[tokio::test]
async fn five_seconds_behind_is_tolerated_and_more_is_refused_with_the_distance() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    node.clock.set(later(noon(), -5 * SECOND));
    assert!(answer(node.asks(&account, call(1)).await).await.is_ok());
    node.clock.set(later(noon(), -5 * SECOND - 1));
    let behind = answer(node.asks(&account, call(2)).await).await;
    assert!(matches!(behind, Err(ExecuteError::ClockBehind(5_000))));
    assert!(matches!(answer(node.looks(account.id()).await).await, Err(ExecuteError::ClockBehind(5_000))));
    node.clock.set(later(noon(), -65 * SECOND));
    assert!(matches!(answer(node.revokes(account.id()).await).await, Err(ExecuteError::ClockBehind(65_000))));
    node.clock.set(later(noon(), SECOND));
    assert!(answer(node.asks(&account, call(3)).await).await.is_ok());
}

#[tokio::test]
async fn an_end_is_written_at_the_streams_own_time_however_far_the_clock_lies_behind() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let authorized = answer(node.asks(&account, call(1)).await).await.unwrap();
    node.clock.set(at("2026-11-18T11:00:00Z"));
    assert_eq!(authorized.settle(settle(call_id(1))).await.unwrap().charged.as_nanos(), COST);
    let recorded = node.history(account.id()).await.recorded().to_vec();
    assert_eq!(recorded, [noon(); 3]);
}

#[tokio::test]
async fn a_call_given_up_is_voided_though_the_clock_stepped_back_meanwhile() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    node.store.pause_appends();
    let given_up = node.asks(&account, call(1)).await;
    given_up.abort();
    assert!(given_up.await.is_err());
    node.clock.set(at("2026-11-18T11:00:00Z"));
    node.store.release_appends();
    node.is_quiet().await;
    assert_eq!(node.history(account.id()).await.voided_unsent(), [call_id(1)]);
}

#[tokio::test]
async fn another_nodes_clock_that_runs_ahead_is_found_out_at_the_conflict() {
    let ours = node().await;
    let account = ours.key(unlimited()).await;
    let authorized = answer(ours.asks(&account, call(1)).await).await.unwrap();
    let theirs = another_node(&ours.store.memory, PACE).await;
    let their_account = theirs.account(account.id()).await;
    theirs.clock.set(later(noon(), 6 * SECOND));
    ours.store.pause_appends();
    let asking = ours.asks(&account, call(2)).await;
    let settles = tokio::spawn(async move { authorized.settle(settle(call_id(1))).await });
    a_while().await;
    answer(theirs.asks(&their_account, call(100)).await).await.unwrap();
    ours.store.release_appends();
    assert!(matches!(answer(asking).await, Err(ExecuteError::ClockBehind(6_000))));
    assert!(settles.await.unwrap().is_ok());
    assert_eq!(
        ours.history(account.id()).await.types_after_creation(),
        ["CallAuthorized", "CallAuthorized", "CallSettled"]
    );
}
