//! Revocation is final: no call is authorised behind it, and whatever was authorised before it is cut.

use std::sync::Arc;
use std::time::Duration;

use nemo_events::KeyEvent;
use nemo_projections::Refusal;

use super::support::*;
use crate::ledger::{Context, Cut, ExecuteError, Running};

/// What became of one call.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Authorised, then cut.
    Cut,
    /// Refused, because the key was revoked.
    Refused,
}

/// A call as the proxy makes it: on the list first, then authorised, then running until it is cut.
async fn runs(node: Arc<Node>, n: u128) -> Fate {
    let account = node.account(key_id(1)).await;
    let mut place = node.ledger.running.enter(account.id(), call_id(n));
    match node.ledger.authorize(&account, call(n)).await {
        Ok(authorized) => {
            assert_eq!(place.cut().await, Cut::KeyRevoked);
            authorized.settle(settle(call_id(n))).await.unwrap();
            Fate::Cut
        }
        Err(ExecuteError::Refused(Refusal::Revoked)) => Fate::Refused,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_race_with_two_revocations_are_refused_or_cut() {
    for _ in 0..40 {
        let node = Arc::new(node().await);
        node.key(unlimited()).await;
        let calls: Vec<_> = (0..64).map(|n| tokio::spawn(runs(Arc::clone(&node), n))).collect();
        let revoke = || {
            let ledger = Arc::clone(&node.ledger);
            tokio::spawn(async move {
                ledger.revoke_key(key_id(1), revoke(), Context::system()).await.map(|_| ())
            })
        };
        let revokes = [revoke(), revoke()];
        for revokes in revokes {
            answer(revokes).await.unwrap();
        }
        let mut cut = 0;
        for call in calls {
            let fate = tokio::time::timeout(Duration::from_secs(30), call)
                .await
                .expect("a call was not cut")
                .unwrap();
            cut += usize::from(fate == Fate::Cut);
        }
        let history = node.history(key_id(1)).await;
        assert_eq!(history.authorized().len(), cut);
        assert_eq!(history.ends().len(), cut);
        let revoked =
            history.events.iter().position(|event| matches!(event, KeyEvent::KeyRevoked(_))).unwrap();
        let authorized_behind_it = |event: &KeyEvent| matches!(event, KeyEvent::CallAuthorized(_));
        assert!(!history.events[revoked..].iter().any(authorized_behind_it));
        assert_eq!(node.ledger.running.count(), 0);
    }
}

#[tokio::test]
async fn a_call_on_the_list_is_cut_though_the_revocation_comes_while_it_is_being_authorised() {
    let node = Arc::new(node().await);
    let account = node.key(unlimited()).await;
    node.store.pause_appends();
    let runs = tokio::spawn(runs(Arc::clone(&node), 1));
    a_while().await;
    let revokes = node.revokes(account.id()).await;
    node.store.release_appends();
    answer(revokes).await.unwrap();
    assert_eq!(runs.await.unwrap(), Fate::Cut);
    let types = node.history(account.id()).await.types_after_creation();
    assert_eq!(types, ["CallAuthorized", "KeyRevoked", "CallSettled"]);
}

#[tokio::test]
async fn a_revocation_written_elsewhere_or_after_its_manager_went_away_cuts_once_it_is_seen() {
    let node = Arc::new(node().await);
    let account = node.key(unlimited()).await;
    let runs = tokio::spawn(runs(Arc::clone(&node), 1));
    until(|| account.revision().is_some_and(|revision| revision.0 == 1)).await;
    node.store.pause_appends();
    let revokes = node.revokes(account.id()).await;
    revokes.abort();
    assert!(revokes.await.is_err());
    node.store.release_appends();
    node.is_quiet().await;
    assert!(!runs.is_finished(), "nobody is left who could have cut it");
    node.observes_all().await;
    assert_eq!(runs.await.unwrap(), Fate::Cut);
}

#[tokio::test]
async fn a_cut_is_noticed_whenever_it_is_asked_for_and_by_its_own_key_only() {
    let running = Running::default();
    let mut mine = running.enter(key_id(1), call_id(1));
    let mut other = running.enter(key_id(2), call_id(2));
    running.cut(key_id(1));
    assert_eq!(mine.cut().await, Cut::KeyRevoked);
    assert_eq!(mine.cut().await, Cut::KeyRevoked, "and again");
    assert!(futures_util::FutureExt::now_or_never(other.cut()).is_none());
    running.cut_all();
    assert_eq!(other.cut().await, Cut::Stopping);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_waits_for_the_last_call_to_end_is_told() {
    for _ in 0..300 {
        let running = Arc::new(Running::default());
        let barrier = Arc::new(tokio::sync::Barrier::new(9));
        let calls: Vec<_> = (0..8_u32)
            .map(|n| {
                let (running, barrier) = (Arc::clone(&running), Arc::clone(&barrier));
                tokio::spawn(async move {
                    let place = running.enter(key_id(n % 2), call_id(n.into()));
                    barrier.wait().await;
                    drop(place);
                })
            })
            .collect();
        barrier.wait().await;
        tokio::time::timeout(Duration::from_secs(30), running.idle())
            .await
            .expect("the last leave was not noticed");
        assert_eq!(running.count(), 0);
        for call in calls {
            call.await.unwrap();
        }
    }
}
