//! The contract on the memory store, and each of its faults.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use crate::contract::Script;

crate::contract_tests!(async || (Arc::new(MemoryStore::new()) as Arc<dyn EventStore>, ()));

async fn length(store: &MemoryStore, script: &Script) -> usize {
    store.read_stream(&script.stream, Revision::FIRST, Direction::Forwards, 100).await.unwrap().len()
}

#[tokio::test]
async fn each_fault_hits_one_append_in_the_order_queued() {
    let store = MemoryStore::new();
    let mut script = Script::of_key(1);
    for fault in [Fault::Conflict, Fault::NotWritten, Fault::Written] {
        store.faults().next(fault);
    }
    let append = script.next(1);
    assert!(matches!(append.send(&store).await, Err(AppendError::Conflict)));
    assert!(matches!(append.send(&store).await, Err(AppendError::Unknown(_))));
    assert_eq!(length(&store, &script).await, 0);
    assert!(matches!(append.send(&store).await, Err(AppendError::Unknown(_))));
    assert_eq!(length(&store, &script).await, 1);
    append.send(&store).await.unwrap();
    assert_eq!(length(&store, &script).await, 1);
}

#[tokio::test]
async fn a_late_commit_shows_on_command_unless_the_stream_moved_on() {
    let store = MemoryStore::new();
    let (mut script, mut lost) = (Script::of_key(1), Script::of_key(2));
    store.faults().next(Fault::Late);
    store.faults().next(Fault::Late);
    let late = script.next(1);
    assert!(matches!(late.send(&store).await, Err(AppendError::Unknown(_))));
    assert!(matches!(lost.clone().next(1).send(&store).await, Err(AppendError::Unknown(_))));
    lost.write(&store, 1).await;
    assert_eq!(length(&store, &script).await, 0);
    assert_eq!(store.commit_late(), 1);
    assert_eq!(length(&store, &script).await, 1);
    assert_eq!(length(&store, &lost).await, 1);
    late.send(&store).await.unwrap();
}

#[tokio::test]
async fn a_store_that_went_away_comes_back_as_it_was() {
    let store = MemoryStore::new();
    let mut script = Script::of_key(1);
    script.write(&store, 1).await;
    store.faults().go_away();
    assert!(matches!(script.clone().next(1).send(&store).await, Err(AppendError::Unavailable(_))));
    assert!(matches!(store.head().await, Err(ReadError::Unavailable(_))));
    store.faults().come_back();
    script.write(&store, 1).await;
    store.faults().fail_appends();
    assert!(matches!(script.clone().next(1).send(&store).await, Err(AppendError::Unavailable(_))));
    assert_eq!(length(&store, &script).await, 2);
}

#[tokio::test]
async fn paused_appends_wait_until_released() {
    let store = Arc::new(MemoryStore::new());
    let mut script = Script::of_key(1);
    store.faults().pause_appends();
    let append = script.next(1);
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { append.send(&*store).await }
    });
    store.faults().appends_arrive(1).await;
    assert_eq!(length(&store, &script).await, 0);
    assert!(!waiting.is_finished());
    store.faults().release_appends();
    waiting.await.unwrap().unwrap();
    assert_eq!(length(&store, &script).await, 1);
}

#[tokio::test]
async fn duplicate_delivery_repeats_pages_in_order() {
    let store = MemoryStore::new();
    store.faults().deliver_twice();
    let mut script = Script::of_key(1);
    script.write(&store, 5).await;
    let mut subscription = store.subscribe_all(None).await.unwrap();
    let mut revisions = Vec::new();
    while revisions.last() != Some(&4) {
        let page = subscription.next().await.unwrap().unwrap();
        revisions.extend(page.iter().map(|record| record.event.revision.0));
    }
    assert_eq!(revisions, [0, 1, 2, 0, 1, 2, 3, 4]);
}
