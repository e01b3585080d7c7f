//! How far a reader is behind: in positions, and by the age of what it has not read.

use nemo_store::EventStore as _;

use super::support::*;
use crate::ledger::Lag;

#[tokio::test]
async fn a_reader_is_as_far_behind_as_the_first_event_that_it_has_not_read_is_old() {
    let node = node().await;
    let nothing = node.ledger.lag_behind(None).await.unwrap();
    node.key(unlimited()).await;
    let end = node.ledger.lag_behind(None).await.unwrap();
    assert!(end.head > nothing.head && end.positions > nothing.positions);
    node.clock.set(later(noon(), 1_500_000));
    let behind = node.ledger.lag_behind(nothing.head).await.unwrap();
    assert_eq!((behind.head, behind.micros), (end.head, 1_500_000));
    let lag = node.ledger.lag_behind(end.head).await;
    assert_eq!(lag, Some(Lag { head: end.head, positions: 0, micros: 0 }));
}

#[tokio::test]
async fn nobody_knows_when_the_store_does_not_tell() {
    let node = node().await;
    node.key(unlimited()).await;
    node.store.memory.close().await;
    assert_eq!(node.ledger.lag_behind(None).await, None);
}
