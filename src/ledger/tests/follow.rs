//! Following: each event at least once and in order, and accounts in memory learn what others wrote.

use std::sync::Arc;
use std::time::Duration;

use nemo_events::{EventRecord, Position};
use nemo_projections::Refusal;
use nemo_store::EventStore as _;
use tokio::sync::mpsc;

use super::probe::Reading;
use super::support::*;
use crate::ledger::follow::Follower;
use crate::ledger::{ExecuteError, KeyAccount};

/// Notes what it is given; remembers its place as a read model would.
struct Notes {
    position: Option<Position>,
    taken: mpsc::UnboundedSender<Position>,
    /// It fails at this many events.
    fails_at: usize,
}

impl Follower for Notes {
    fn position(&self) -> Option<Position> {
        self.position
    }

    fn take(&mut self, records: &[EventRecord]) -> Result<(), String> {
        for record in records {
            if self.fails_at == 0 {
                return Err("told so by a test".to_owned());
            }
            self.fails_at -= 1;
            self.taken.send(record.position).unwrap();
            self.position = self.position.max(Some(record.position));
        }
        Ok(())
    }
}

async fn positions(node: &Node) -> Vec<Position> {
    let all = node.store.memory.read_all(None, usize::MAX).await.unwrap();
    all.iter().map(|record| record.position).collect()
}

/// Waits until the last event of the store was taken.
async fn catch_up(node: &Node, order: &mut mpsc::UnboundedReceiver<Position>, taken: &mut Vec<Position>) {
    let last = *positions(node).await.last().unwrap();
    while taken.last() != Some(&last) {
        let next = tokio::time::timeout(Duration::from_secs(30), order.recv()).await;
        taken.push(next.expect("the follower stands still").expect("the follower ended"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_gets_each_event_at_least_once_and_in_order_though_deliveries_break_off_and_repeat() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let (sender, mut order) = mpsc::unbounded_channel();
    let notes = Notes { position: None, taken: sender, fails_at: usize::MAX };
    let follows = tokio::spawn(Arc::clone(&node.ledger).follow(notes));
    let mut taken = Vec::new();
    for n in 0..30 {
        answer(node.asks(&account, call(n)).await).await.unwrap();
        if n % 10 == 3 {
            catch_up(&node, &mut order, &mut taken).await;
            node.store.memory.faults().deliver_twice();
        }
        if n % 10 == 5 {
            // The next page fails and ends the delivery.
            node.store.memory.faults().go_away();
            let asking = node.asks(&account, call(1_000 + n)).await;
            a_while().await;
            node.store.memory.faults().come_back();
            answer(asking).await.unwrap();
        }
    }
    catch_up(&node, &mut order, &mut taken).await;
    let mut once = taken.clone();
    once.dedup();
    let mut reached = None;
    once.retain(|position| {
        let new = Some(*position) > reached;
        reached = reached.max(Some(*position));
        new
    });
    assert_eq!(once, positions(&node).await, "all of them, new ones in order");
    assert!(taken.len() > once.len(), "some came again");
    node.store.close().await;
    tokio::time::timeout(Duration::from_secs(30), follows).await.expect("it ends with the store").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_cannot_go_on_ends_the_following() {
    let node = node().await;
    node.key(unlimited()).await;
    let (sender, mut order) = mpsc::unbounded_channel();
    let notes = Notes { position: None, taken: sender, fails_at: 0 };
    tokio::time::timeout(Duration::from_secs(30), Arc::clone(&node.ledger).follow(notes))
        .await
        .expect("it ends");
    assert!(order.recv().await.is_none());
}

#[tokio::test]
async fn an_account_folds_a_foreign_event_if_it_is_the_next_one_and_only_then() {
    let ours = node().await;
    let account = ours.key(unlimited()).await;
    let theirs = another_node(&ours.store.memory, PACE).await;
    let their_account = theirs.account(account.id()).await;
    for n in 0..3 {
        answer(theirs.asks(&their_account, call(n)).await).await.unwrap();
    }
    let records = ours.records(nemo_events::StreamName::Key(account.id())).await;
    let open = || account.glance(|state: &KeyAccount| state.key.as_ref().unwrap().open_calls.len());
    ours.ledger.observe(&records[..2]);
    ours.ledger.observe(&records[..2]);
    assert_eq!((open(), account.revision().unwrap().0), (1, 1), "known ones are passed over");
    assert!(account.settled(|_| ()).is_some());

    ours.ledger.observe(&records[3..]);
    assert_eq!((open(), account.revision().unwrap().0), (1, 1), "one is missing in between");
    assert!(account.settled(|_| ()).is_none(), "but it is known that there is more");
    assert_eq!(answer(ours.looks(account.id()).await).await.unwrap().open, 3, "so the stream is read");
    let sent = ours.store.sent().len();
    assert!(answer(ours.asks(&account, call(100)).await).await.is_ok());
    assert_eq!(ours.store.sent().len(), sent + 1, "without a conflict");
}

#[tokio::test]
async fn an_idle_account_answers_by_what_was_seen_of_other_nodes() {
    let ours = node().await;
    let account = ours.key(unlimited()).await;
    let theirs = another_node(&ours.store.memory, PACE).await;
    theirs.account(account.id()).await;
    answer(theirs.revokes(account.id()).await).await.unwrap();
    assert!(ours.ledger.authenticate(&account, presented(), HERE).await.is_ok(), "nobody has told it");
    ours.observes_all().await;
    let refused = ours.ledger.authenticate(&account, presented(), HERE).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::Revoked))));
}

#[tokio::test]
async fn what_is_seen_while_an_append_is_in_flight_is_neither_folded_twice_nor_missed() {
    let ours = node().await;
    let account = ours.key(unlimited()).await;
    let theirs = another_node(&ours.store.memory, PACE).await;
    // Ours is written, but we do not know yet; theirs comes behind it, and both are seen.
    ours.store.then([super::probe::Outcome::Written]);
    ours.store.hold_reads();
    let asking = ours.asks(&account, call(1)).await;
    ours.store.reads_arrive(1).await;
    theirs.account(account.id()).await;
    answer(theirs.revokes(account.id()).await).await.unwrap();
    ours.observes_all().await;
    ours.store.release_reads();
    assert!(answer(asking).await.is_ok(), "it came before the revocation");
    let refused = ours.ledger.authenticate(&account, presented(), HERE).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(Refusal::Revoked))));
    assert_eq!(ours.history(account.id()).await.types_after_creation(), ["CallAuthorized", "KeyRevoked"]);
}

#[tokio::test]
async fn own_events_that_are_seen_before_their_append_is_answered_change_nothing() {
    let node = node().await;
    let account = node.key(room_for(2)).await;
    node.store.then([super::probe::Outcome::Written]);
    node.store.hold_reads();
    let asking = node.asks(&account, call(1)).await;
    node.store.reads_arrive(1).await;
    let behind = node.asks(&account, call(2)).await;
    node.observes_all().await;
    node.store.then_reads([Reading::Away]);
    node.store.release_reads();
    assert!(answer(asking).await.is_ok());
    assert!(answer(behind).await.is_ok());
    node.observes_all().await;
    assert_eq!(answer(node.looks(account.id()).await).await.unwrap().open, 2);
    assert_eq!(node.history(account.id()).await.authorized(), [1, 2].map(call_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_learn_what_others_wrote_though_nobody_builds_a_read_model() {
    let memory = Arc::default();
    let theirs = another_node(&memory, PACE).await;
    theirs.has_key(key_id(1), unlimited()).await;
    let ours = another_node(&memory, PACE).await;
    let account = ours.account(key_id(1)).await;
    let before = account.revision();
    let (sender, _taken) = mpsc::unbounded_channel();
    let fails_at_once = Notes { position: None, taken: sender, fails_at: 0 };
    Arc::clone(&ours.ledger).follow(fails_at_once).await;
    let follows = tokio::spawn(Arc::clone(&ours.ledger).follow_alone());
    theirs.revokes(key_id(1)).await.await.unwrap().unwrap();
    until(|| account.revision() > before).await;
    ours.store.close().await;
    follows.await.unwrap();
}
