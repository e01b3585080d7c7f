//! What the store takes at once bounds what is sent to it.

use nemo_store::append_bytes;

use super::support::*;
use crate::ledger::ExecuteError;

#[tokio::test]
async fn no_batch_has_more_bytes_than_the_store_takes() {
    const TAKES: usize = 4_000;
    let node = node().await;
    let account = node.key(room_for(100)).await;
    let before = node.store.sent().len();
    node.store.takes_bytes(TAKES);
    node.store.pause_appends();
    let mut asking = Vec::new();
    for n in 1..=20 {
        asking.push(node.asks(&account, call(n)).await);
    }
    node.store.release_appends();
    for asking in asking {
        answer(asking).await.unwrap();
    }
    let sent = &node.store.sent()[before..];
    assert!(sent.iter().all(|batch| batch.iter().map(append_bytes).sum::<usize>() <= TAKES));
    assert!(sent.iter().any(|batch| batch.len() > 1), "batches all the same");
    assert_eq!(node.history(account.id()).await.authorized().len(), 20);
}

#[tokio::test]
async fn a_decision_with_more_bytes_than_the_store_takes_is_not_sent_and_leaves_no_trace() {
    let node = node().await;
    let account = node.key(room_for(100)).await;
    let before = node.store.sent().len();
    node.store.takes_bytes(100);
    let refused = answer(node.asks(&account, call(1)).await).await;
    assert!(matches!(refused, Err(ExecuteError::Unavailable(_))));
    assert_eq!(node.store.sent().len(), before);
    node.store.takes_bytes(usize::MAX);
    answer(node.asks(&account, call(2)).await).await.unwrap();
    assert_eq!(node.history(account.id()).await.authorized(), [call_id(2)]);
    node.is_quiet().await;
}
