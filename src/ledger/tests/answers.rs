//! Answers wait: nothing is told that rests on what is not durable.

use std::sync::Arc;

use nemo_events::StreamName;
use nemo_projections::Refusal;
use nemo_projections::decide::SuspendOrg;
use nemo_projections::org::Standing;
use tokio::sync::mpsc;

use super::support::*;
use crate::ledger::{Context, ExecuteError};

#[tokio::test]
async fn while_an_append_waits_nothing_that_rests_on_it_is_answered_and_then_all_is_in_order() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    node.store.pause_appends();
    let (told, mut order) = mpsc::unbounded_channel();
    let tell = |what: &'static str| {
        let told = told.clone();
        move || told.send(what).unwrap()
    };

    let fits = node.asks(&account, call(1)).await;
    let fits_too = node.asks(&account, call(2)).await;
    // Decided on holds that are not durable.
    let held = node.asks(&account, call(3)).await;
    let look = node.looks(account.id()).await;
    let revoked = node.revokes(account.id()).await;
    // A no-op: "already revoked", by a revocation that is not durable.
    let again = node.revokes(account.id()).await;
    let refused = node.asks(&account, call(4)).await;
    let (ledger, presenting) = (Arc::clone(&node.ledger), Arc::clone(&account));
    let presents = tokio::spawn(async move { ledger.authenticate(&presenting, presented(), HERE).await });
    a_while().await;
    let asked: [(&str, tokio::task::JoinHandle<()>); 8] = [
        ("fits", then(fits, |r| assert!(r.is_ok()), tell("fits"))),
        ("fits too", then(fits_too, |r| assert!(r.is_ok()), tell("fits too"))),
        (
            "held",
            then(held, |r| assert!(is_refused(r, |x| matches!(x, Refusal::BudgetHeld(_)))), tell("held")),
        ),
        ("look", then(look, |r| assert_eq!(r.unwrap().open, 2), tell("look"))),
        ("revoked", then(revoked, |r| assert!(r.is_ok()), tell("revoked"))),
        ("again", then(again, |r| assert!(r.is_ok()), tell("again"))),
        ("refused", then(refused, |r| assert!(is_refused(r, |x| *x == Refusal::Revoked)), tell("refused"))),
        (
            "presents",
            then(presents, |r| assert!(is_refused(r, |x| *x == Refusal::Revoked)), tell("presents")),
        ),
    ];
    a_while().await;
    assert!(order.try_recv().is_err(), "nothing is durable yet");
    assert_eq!(account.waiting(), 8);

    node.store.release_appends();
    for (what, task) in asked {
        task.await.unwrap();
        assert_eq!(order.recv().await, Some(what));
    }
    let types = node.history(account.id()).await.types_after_creation();
    assert_eq!(types, ["CallAuthorized", "CallAuthorized", "KeyRevoked"]);
    assert_eq!(node.store.sent().len(), 3, "one event went alone, the rest together");
    node.is_quiet().await;
}

fn then<T: Send + 'static>(
    asking: Asking<T>,
    check: impl FnOnce(Result<T, ExecuteError>) + Send + 'static,
    tell: impl FnOnce() + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        check(answer(asking).await);
        tell();
    })
}

fn is_refused<T>(result: Result<T, ExecuteError>, as_expected: impl FnOnce(&Refusal) -> bool) -> bool {
    matches!(result, Err(ExecuteError::Refused(refusal)) if as_expected(&refusal))
}

#[tokio::test]
async fn what_rests_on_durable_events_is_answered_though_the_store_hangs() {
    let node = node().await;
    let account = node.key(room_for(1)).await;
    let sent = node.store.sent().len();
    node.store.pause_appends();
    assert_eq!(answer(node.looks(account.id()).await).await.unwrap().open, 0);
    let other = node.ledger.authenticate(&account, presented(), HERE).await;
    assert_eq!(other.unwrap(), 1);
    assert_eq!(node.store.sent().len(), sent);
}

#[tokio::test]
async fn one_hanging_append_holds_up_one_key_only() {
    let node = node().await;
    let one = node.key(unlimited()).await;
    node.has_key(key_id(2), unlimited()).await;
    let two = node.account(key_id(2)).await;
    node.store.pause_appends();
    let hangs = node.asks(&one, call(1)).await;
    assert_eq!(answer(node.looks(two.id()).await).await.unwrap().open, 0);
    assert!(!hangs.is_finished());
    node.store.release_appends();
    assert!(answer(hangs).await.is_ok());
}

#[tokio::test]
async fn an_orgs_standing_counts_once_it_is_durable() {
    let node = node().await;
    let (ledger, org) = (Arc::clone(&node.ledger), org_id());
    assert_eq!(ledger.standing(Some(org)).await.unwrap(), Standing::Active);
    node.store.pause_appends();
    let suspends = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.manage_org(org, SuspendOrg { reason: None }, Context::system()).await }
    });
    a_while().await;
    let asks = tokio::spawn(async move { ledger.standing(Some(org)).await });
    a_while().await;
    assert!(!asks.is_finished());
    node.store.release_appends();
    assert_eq!(asks.await.unwrap().unwrap(), Standing::Suspended);
    assert!(suspends.await.unwrap().is_ok());
    assert_eq!(node.records(StreamName::Org(org)).await.len(), 2);
}

#[tokio::test]
async fn many_commands_share_few_appends() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let before = node.store.sent().len();
    node.store.pause_appends();
    let mut asking = Vec::new();
    for n in 0..600 {
        asking.push(node.asks(&account, call(n)).await);
    }
    node.store.release_appends();
    for asking in asking {
        answer(asking).await.unwrap();
    }
    let sizes: Vec<usize> = node.store.sent().split_off(before).iter().map(Vec::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 600);
    assert_eq!(sizes[0], 1);
    assert!(sizes.iter().all(|size| *size <= 512) && sizes.len() <= 4, "{sizes:?}");
    assert_eq!(node.history(account.id()).await.authorized(), (0..600).map(call_id).collect::<Vec<_>>());
}
