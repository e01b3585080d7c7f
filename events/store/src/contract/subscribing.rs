//! Promises about subscriptions: everything at least once, in order, only what is durable.

use std::sync::Arc;

use nemo_events::{EventRecord, Position};

use super::reading::everything;
use super::script::Script;
use crate::{EventStore, MAX_PAGE, Subscription};

/// Takes deliveries until `last` has come. Repetitions are allowed, gaps and reorderings are not.
async fn until(subscription: &mut Subscription, last: Position) -> Vec<EventRecord> {
    let mut distinct: Vec<EventRecord> = Vec::new();
    while distinct.last().map(|record| record.position) < Some(last) {
        let page = subscription.next().await.expect("the store is open").unwrap();
        assert!(!page.is_empty());
        for record in page {
            if distinct.last().map(|r| r.position) < Some(record.position) {
                distinct.push(record);
            } else {
                assert!(distinct.contains(&record), "only what was delivered may come again");
            }
        }
    }
    distinct
}

/// Also on an empty store, and across more than one page.
pub async fn a_subscription_from_the_start_delivers_everything_in_order(store: Arc<dyn EventStore>) {
    let mut early = store.subscribe_all(None).await.unwrap();
    let mut script = Script::of_key(1);
    for count in [1, 5, 900, 1000] {
        script.write(&*store, count).await;
    }
    let last = Script::of_key(2).write(&*store, 1).await;
    let mut late = store.subscribe_all(None).await.unwrap();
    let expected = everything(&*store, MAX_PAGE).await;
    assert_eq!(until(&mut early, last).await, expected);
    assert_eq!(until(&mut late, last).await, expected);
    let last = script.write(&*store, 1).await;
    assert_eq!(until(&mut early, last).await.len(), 1);
    assert_eq!(until(&mut late, last).await.len(), 1);
}

/// Exclusive of the position itself; the head as a start delivers only what is new.
pub async fn a_subscription_from_a_position_delivers_what_comes_behind_it(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    let third = script.write(&*store, 3).await;
    let sixth = script.write(&*store, 3).await;
    let mut behind_third = store.subscribe_all(Some(third)).await.unwrap();
    let mut behind_all = store.subscribe_all(Some(sixth)).await.unwrap();
    assert_eq!(until(&mut behind_third, sixth).await, everything(&*store, 10).await[3..]);
    let ninth = script.write(&*store, 3).await;
    assert_eq!(until(&mut behind_all, ninth).await, everything(&*store, 10).await[6..]);
}

/// The border between catching up and live.
pub async fn a_subscription_misses_nothing_while_others_append(store: Arc<dyn EventStore>) {
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..4 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            let mut script = Script::of_key(number);
            for round in 0..60 {
                script.write(&*store, 1 + round % 5).await;
            }
        });
    }
    let mut following = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let after = store.head().await.unwrap();
        let mut subscription = store.subscribe_all(after).await.unwrap();
        let store = Arc::clone(&store);
        following.spawn(async move {
            let mut seen = Vec::new();
            let total = 4 * (1..=60).map(|round| 1 + (round - 1) % 5).sum::<usize>();
            let skipped =
                everything(&*store, MAX_PAGE).await.iter().filter(|r| Some(r.position) <= after).count();
            while seen.len() + skipped < total {
                let page = subscription.next().await.expect("the store is open").unwrap();
                let last = page.last().expect("pages are not empty").position;
                assert!(Some(last) <= store.head().await.unwrap(), "only durable events are delivered");
                seen.extend(page);
                seen.dedup();
            }
            (after, seen)
        });
        tokio::task::yield_now().await;
    }
    writing.join_all().await;
    let all = everything(&*store, MAX_PAGE).await;
    for (after, seen) in following.join_all().await {
        let start = all.partition_point(|record| Some(record.position) <= after);
        assert_eq!(seen, all[start..]);
    }
}

/// Back-pressure, not loss: and nobody else waits for the slow one.
pub async fn a_slow_subscriber_misses_nothing(store: Arc<dyn EventStore>) {
    let mut slow = store.subscribe_all(None).await.unwrap();
    let mut quick = store.subscribe_all(None).await.unwrap();
    let mut script = Script::of_key(1);
    let mut last = None;
    for _ in 0..12 {
        last = Some(script.write(&*store, 1000).await);
    }
    let quick = until(&mut quick, last.unwrap()).await;
    assert_eq!(quick.len(), 12_000);
    assert_eq!(until(&mut slow, last.unwrap()).await, quick);
}

/// Appends, reads and other subscriptions go on.
pub async fn a_dropped_subscription_disturbs_nobody(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    script.write(&*store, 1000).await;
    let mut stays = store.subscribe_all(None).await.unwrap();
    for _ in 0..20 {
        let mut goes = store.subscribe_all(None).await.unwrap();
        goes.next().await.unwrap().unwrap();
        drop(goes);
        drop(store.subscribe_all(None).await.unwrap());
    }
    let last = script.write(&*store, 1).await;
    assert_eq!(until(&mut stays, last).await.len(), 1001);
}
