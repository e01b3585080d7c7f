//! Promises about the end.

use std::sync::Arc;

use nemo_events::Revision;

use super::script::Script;
use crate::{AppendError, Direction, EventStore, ReadError};

/// Each operation says so; none hangs.
pub async fn a_closed_store_refuses_everything_and_closing_again_is_harmless(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    script.write(&*store, 1).await;
    tokio::join!(store.close(), store.close());
    store.close().await;
    let answer = script.next(1).send(&*store).await;
    assert!(matches!(answer, Err(AppendError::Unavailable(_))), "{answer:?}");
    let reads = [
        store.read_stream(&script.stream, Revision::FIRST, Direction::Forwards, 1).await.err(),
        store.read_all(None, 1).await.err(),
        store.head().await.err(),
        store.subscribe_all(None).await.err(),
    ];
    for read in reads {
        assert!(matches!(read, Some(ReadError::Unavailable(_))), "{read:?}");
    }
}

/// Whether it waits for events or for its subscriber.
pub async fn a_subscription_ends_when_the_store_closes(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    let last = script.write(&*store, 1).await;
    let mut idle = store.subscribe_all(Some(last)).await.unwrap();
    let mut not_taken = store.subscribe_all(None).await.unwrap();
    for _ in 0..8 {
        script.write(&*store, 1000).await;
    }
    while let Some(record) = idle.next().await.unwrap().unwrap().last() {
        if record.event.revision == script.revision() {
            break;
        }
    }
    let waiting = tokio::spawn(async move { idle.next().await.is_none() });
    store.close().await;
    assert!(waiting.await.unwrap());
    while let Some(page) = not_taken.next().await {
        page.unwrap();
    }
}

/// Done, or not done: never unknown because of a close.
pub async fn appends_around_a_close_are_answered(store: Arc<dyn EventStore>) {
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            let mut script = Script::of_key(number);
            loop {
                match script.next(1).send(&*store).await {
                    Ok(_) => {}
                    Err(AppendError::Unavailable(_)) => return script.revision().0,
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    while store.head().await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    store.close().await;
    writing.join_all().await;
}
