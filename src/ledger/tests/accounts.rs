//! Accounts in memory: one for each key in use, whatever the cache thinks of it, and never an older one
//! than was seen.

use std::collections::HashSet;
use std::sync::Arc;

use nemo_events::StreamName;

use super::probe::Reading;
use super::support::*;
use crate::ledger::{Account, ExecuteError, KeyAccount, KeyFold};

fn state(account: &Account<KeyFold>) -> KeyAccount {
    account.glance(Clone::clone)
}

#[tokio::test]
async fn a_cache_without_room_never_makes_a_second_account_while_one_is_in_use() {
    let node = node_with_memory_for(&Arc::default(), PACE, 1).await;
    let account = node.key(room_for(100)).await;
    node.store.pause_appends();
    let asking = node.asks(&account, call(1)).await;
    let address = Arc::as_ptr(&account);
    drop(account);
    for _ in 0..10 {
        assert_eq!(node.ledger.keys.tidy_up().await.0, 0);
        // Held by the pump and the asker only.
        assert_eq!(Arc::as_ptr(&node.account(key_id(1)).await), address);
    }
    node.store.release_appends();
    answer(asking).await.unwrap();
}

#[tokio::test]
async fn an_account_that_was_evicted_and_read_again_is_the_same_as_before() {
    let node = node_with_memory_for(&Arc::default(), PACE, 1).await;
    let account = node.key(room_for(100)).await;
    for n in 0..5 {
        let authorized = answer(node.asks(&account, call(n)).await).await.unwrap();
        if n % 2 == 0 {
            authorized.settle(settle(call_id(n))).await.unwrap();
        }
    }
    let (before, revision) = (state(&account), account.revision());
    drop(account);
    node.is_quiet().await;
    // The cache lets go of what it evicted a little later.
    for _ in 0..10_000 {
        node.ledger.keys.tidy_up().await;
        if node.ledger.key_in_memory(key_id(1)).is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(node.ledger.key_in_memory(key_id(1)).is_none());
    let account = node.account(key_id(1)).await;
    let after = state(&account);
    assert_eq!(
        (after.key, after.attribution, account.revision()),
        (before.key, before.attribution, revision)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_want_a_cold_key_at_once_share_one_read_and_one_account() {
    let memory = Arc::default();
    another_node(&memory, PACE).await.has_key(key_id(1), unlimited()).await;
    for _ in 0..20 {
        let node = Arc::new(another_node(&memory, PACE).await);
        let before = node.store.reads();
        let asking: Vec<_> = (0..32)
            .map(|_| {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.account(key_id(1)).await })
            })
            .collect();
        let mut accounts = Vec::new();
        for asking in asking {
            accounts.push(asking.await.unwrap());
        }
        assert!(accounts.iter().all(|account| Arc::ptr_eq(account, &accounts[0])));
        assert_eq!(node.store.reads() - before, 2, "a page and the end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eviction_while_a_key_is_used_and_dropped_by_many_never_leads_to_two_accounts() {
    let node = Arc::new(node_with_memory_for(&Arc::default(), PACE, 1).await);
    node.key(unlimited()).await;
    let in_use: Arc<std::sync::Mutex<HashSet<usize>>> = Arc::default();
    let users: Vec<_> = (0..8_u128)
        .map(|user| {
            let (node, in_use) = (Arc::clone(&node), Arc::clone(&in_use));
            tokio::spawn(async move {
                for n in 0..40 {
                    let account = node.account(key_id(1)).await;
                    node.ledger.keys.tidy_up().await;
                    // Whoever has an account now has it while this one is in use.
                    let again = node.ledger.key_in_memory(key_id(1)).expect("it is in use");
                    assert!(Arc::ptr_eq(&account, &again));
                    in_use.lock().unwrap().insert(Arc::as_ptr(&account) as usize);
                    node.ledger.authorize(&account, call(1_000 * user + n)).await.unwrap();
                }
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    assert_eq!(node.history(key_id(1)).await.authorized().len(), 320);
}

#[tokio::test]
async fn a_read_that_is_overtaken_by_an_event_is_made_again() {
    let memory = Arc::default();
    let theirs = another_node(&memory, PACE).await;
    let their_account = theirs.key(unlimited()).await;
    let ours = Arc::new(another_node(&memory, PACE).await);
    ours.store.hold_reads();
    let loads = tokio::spawn({
        let ours = Arc::clone(&ours);
        async move { ours.account(key_id(1)).await }
    });
    // The page with the creation and the empty one behind it were read; now the key is revoked.
    ours.store.let_reads_through(1);
    ours.store.reads_arrive(2).await;
    let loads_too = tokio::spawn({
        let ours = Arc::clone(&ours);
        async move { ours.account(key_id(1)).await }
    });
    a_while().await;
    answer(theirs.revokes(their_account.id()).await).await.unwrap();
    assert!(ours.ledger.key_in_memory(key_id(1)).is_none(), "nobody is given what was not read");
    ours.observes_all().await;
    ours.store.release_reads();
    let account = loads.await.unwrap();
    assert!(Arc::ptr_eq(&account, &loads_too.await.unwrap()));
    assert_eq!(account.revision().unwrap().0, 1);
    assert_eq!(ours.store.reads(), 4, "two in vain, and then a page and the end");
    assert_eq!(state(&account).key, state(&their_account).key);
}

#[tokio::test]
async fn a_store_that_stays_behind_what_it_has_told_is_not_believed() {
    let memory = Arc::default();
    let theirs = another_node(&memory, PACE).await;
    theirs.key(unlimited()).await;
    let ours = Arc::new(another_node(&memory, PACE).await);
    ours.store.then_reads([Reading::Behind; 100]);
    ours.store.hold_reads();
    let loads = tokio::spawn({
        let ours = Arc::clone(&ours);
        async move { ours.ledger.key(key_id(1)).await.map(|_| ()) }
    });
    ours.store.reads_arrive(1).await;
    ours.observes_all().await;
    ours.store.release_reads();
    assert!(matches!(loads.await.unwrap(), Err(ExecuteError::Unavailable(_))));
    ours.store.come_back();
    assert_eq!(ours.account(key_id(1)).await.revision().unwrap().0, 0);
}

#[tokio::test]
async fn keys_that_do_not_exist_are_not_kept() {
    let node = node().await;
    node.key(unlimited()).await;
    let kept = node.ledger.keys.tidy_up().await;
    assert_eq!(kept.0, 1);
    for n in 0..20_000 {
        let account = node.account(key_id(1_000 + n)).await;
        assert_eq!(account.revision(), None);
    }
    assert_eq!(node.ledger.keys.tidy_up().await, kept);
    assert!(node.ledger.keys.entries() <= 64 * 65, "dead entries are swept");
    assert!(node.ledger.key_in_memory(key_id(1_000)).is_none());
}

#[tokio::test]
async fn a_key_is_kept_from_the_first_use_after_its_creation() {
    let node = node().await;
    node.has_key(key_id(1), unlimited()).await;
    let account = node.account(key_id(1)).await;
    node.ledger.keys.tidy_up().await;
    let weak = Arc::downgrade(&account);
    drop(account);
    assert!(weak.upgrade().is_some());
}

#[tokio::test]
async fn a_load_that_fails_is_told_and_the_next_one_succeeds() {
    let node = node().await;
    node.has_key(key_id(1), unlimited()).await;
    let cold = another_node(&node.store.memory, PACE).await;
    cold.store.then_reads([Reading::Away]);
    assert!(matches!(cold.ledger.key(key_id(1)).await, Err(ExecuteError::Unavailable(_))));
    cold.store.then_reads([Reading::Damaged]);
    assert!(matches!(cold.ledger.key(key_id(1)).await, Err(ExecuteError::Damaged(_))));
    assert_eq!(cold.account(key_id(1)).await.revision().unwrap().0, 0);
    assert_eq!(cold.records(StreamName::Key(key_id(1))).await.len(), 1);
}

#[tokio::test]
async fn the_cache_learns_that_an_account_has_grown() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let small = node.ledger.keys.tidy_up().await.1;
    for n in 0..30 {
        answer(node.asks(&account, call(n)).await).await.unwrap();
    }
    node.ledger.authenticate(&account, presented(), HERE).await.unwrap();
    let (accounts, grown) = node.ledger.keys.tidy_up().await;
    assert_eq!((accounts, grown), (1, account.weight() as u64));
    assert!(grown > 2 * small, "{small} -> {grown}");
}

#[tokio::test]
async fn an_account_that_outgrows_the_cache_is_evicted_but_stays_one_while_in_use() {
    let node = node_with_memory_for(&Arc::default(), PACE, 8_000).await;
    let account = node.key(unlimited()).await;
    assert_eq!(node.ledger.keys.tidy_up().await.0, 1);
    for n in 0..60 {
        answer(node.asks(&account, call(n)).await).await.unwrap();
    }
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&account, &node.account(key_id(1)).await));
        assert_eq!(node.ledger.keys.tidy_up().await, (0, 0));
    }
}
