//! Refusals are coalesced, written with the next append or at the minute's end, and never lost but with
//! the process.

use std::collections::BTreeMap;

use nemo_events::key::RefusalCount;
use nemo_events::{GatewayEvent, KeyEvent, StreamName};
use nemo_projections::Refusal;

use super::probe::Outcome;
use super::support::*;
use crate::ledger::ExecuteError;

type Counts = BTreeMap<(String, Option<String>), u64>;

fn summed<'a>(counts: impl IntoIterator<Item = &'a RefusalCount>) -> Counts {
    let mut sums = Counts::new();
    for count in counts {
        *sums.entry((count.code.clone(), count.address.clone())).or_default() += count.count;
    }
    sums
}

/// All refusals that were written down of the key.
async fn written(node: &Node) -> Counts {
    let events = node.history(key_id(1)).await.events;
    summed(events.iter().flat_map(|event| match event {
        KeyEvent::CallsRefused(refused) => refused.refusals.as_slice(),
        _ => &[],
    }))
}

async fn strangers(node: &Node) -> Vec<Vec<RefusalCount>> {
    let records = node.records(StreamName::Gateway).await;
    let decode = |e: &nemo_events::Sealed| GatewayEvent::decode(&e.event_type, e.version, &e.data).unwrap();
    let counts = |event: GatewayEvent| match event {
        GatewayEvent::PresentationsRefused(refused) => Some(refused.refusals),
        _ => None,
    };
    records.iter().filter_map(|record| counts(decode(&record.event))).collect()
}

fn counts(node: &Node, times: u64) {
    for _ in 0..times {
        node.ledger.count_refusal(key_id(1), &Refusal::Blocked, Some("10.0.0.1"));
    }
}

fn blocked(times: u64) -> Counts {
    Counts::from([(("key_blocked".to_owned(), Some("10.0.0.1".to_owned())), times)])
}

#[tokio::test]
async fn they_are_written_in_front_of_the_next_event() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    counts(&node, 3);
    node.clock.set(later(noon(), 1));
    answer(node.asks(&account, call(1)).await).await.unwrap();
    answer(node.asks(&account, call(2)).await).await.unwrap();
    let history = node.history(account.id()).await;
    assert_eq!(history.types_after_creation(), ["CallsRefused", "CallAuthorized", "CallAuthorized"]);
    assert!(matches!(&history.events[1], KeyEvent::CallsRefused(refused) if refused.since == noon()));
    assert_eq!(written(&node).await, blocked(3));
}

#[tokio::test]
async fn they_are_written_at_the_minutes_end_without_anybodys_help() {
    let node = node().await;
    node.key(unlimited()).await;
    counts(&node, 2);
    node.ledger.write_refusals().await;
    node.ledger.write_refusals().await;
    assert_eq!(written(&node).await, blocked(2));
    assert_eq!(node.history(key_id(1)).await.types_after_creation(), ["CallsRefused"]);
}

#[tokio::test]
async fn a_command_that_is_refused_gives_them_back() {
    let node = node().await;
    let account = node.key(room_for(0)).await;
    counts(&node, 3);
    assert!(matches!(answer(node.asks(&account, call(1)).await).await, Err(ExecuteError::Refused(_))));
    counts(&node, 1);
    node.ledger.write_refusals().await;
    assert_eq!(written(&node).await, blocked(4));
}

#[tokio::test]
async fn a_command_that_changes_nothing_gives_them_back() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    answer(node.revokes(account.id()).await).await.unwrap();
    counts(&node, 3);
    answer(node.revokes(account.id()).await).await.unwrap();
    node.ledger.write_refusals().await;
    assert_eq!(written(&node).await, blocked(3));
}

#[tokio::test]
async fn a_command_that_is_given_up_gives_them_back() {
    let node = impatient_node().await;
    let account = node.key(unlimited()).await;
    counts(&node, 3);
    node.store.go_away();
    assert!(answer(node.asks(&account, call(1)).await).await.is_err());
    node.is_quiet().await;
    node.ledger.write_refusals().await;
    assert_eq!(written(&node).await, Counts::new());
    node.store.come_back();
    node.is_quiet().await;
    node.ledger.write_refusals().await;
    assert_eq!(written(&node).await, blocked(3));
}

#[tokio::test]
async fn conflicts_and_unknown_outcomes_write_them_once() {
    for outcomes in [vec![Outcome::Conflict], vec![Outcome::Written], vec![Outcome::Lost, Outcome::Lost]] {
        let node = node().await;
        let account = node.key(unlimited()).await;
        counts(&node, 3);
        node.store.then(outcomes.clone());
        answer(node.asks(&account, call(1)).await).await.unwrap();
        counts(&node, 2);
        node.store.then(outcomes);
        node.ledger.write_refusals().await;
        node.is_quiet().await;
        assert_eq!(written(&node).await, blocked(5));
    }
}

#[tokio::test]
async fn what_is_durable_after_it_was_given_up_is_not_written_again() {
    let node = impatient_node().await;
    let account = node.key(unlimited()).await;
    counts(&node, 3);
    node.store.pause_appends();
    assert!(answer(node.asks(&account, call(1)).await).await.is_err());
    node.store.release_appends();
    node.is_quiet().await;
    node.ledger.write_refusals().await;
    assert_eq!(written(&node).await, blocked(3));
}

#[tokio::test]
async fn those_of_a_revoked_key_are_written_too() {
    let node = node().await;
    let account = node.key(unlimited()).await;
    answer(node.revokes(account.id()).await).await.unwrap();
    counts(&node, 1);
    node.ledger.write_refusals().await;
    assert_eq!(written(&node).await, blocked(1));
}

#[tokio::test]
async fn those_of_a_key_that_does_not_exist_spoil_nothing_and_are_forgotten() {
    let node = node().await;
    counts(&node, 1);
    node.ledger.write_refusals().await;
    assert_eq!(node.ledger.refusals.keys(), []);
    counts(&node, 1);
    node.has_key(key_id(1), unlimited()).await;
    assert_eq!(node.history(key_id(1)).await.types(), ["KeyCreated"]);
}

#[tokio::test]
async fn strangers_are_written_to_the_gateways_stream() {
    let node = node().await;
    for n in 0..3 {
        node.ledger.count_stranger("invalid_api_key", Some(&format!("10.0.0.{n}")));
    }
    node.ledger.count_stranger("missing_api_key", None);
    node.ledger.write_refusals().await;
    node.ledger.write_refusals().await;
    let written = strangers(&node).await;
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].iter().map(|count| count.count).sum::<u64>(), 4);
    assert!(
        written[0].iter().any(|c| c.code == "missing_api_key" && c.address.as_deref() == Some("unknown"))
    );
}

#[tokio::test]
async fn strangers_that_cannot_be_written_go_on_waiting() {
    let node = impatient_node().await;
    node.ledger.count_stranger("invalid_api_key", None);
    node.store.go_away();
    node.ledger.write_refusals().await;
    node.is_quiet().await;
    node.ledger.count_stranger("invalid_api_key", None);
    node.store.come_back();
    node.ledger.write_refusals().await;
    let written = strangers(&node).await;
    assert_eq!(written.iter().flatten().map(|count| count.count).sum::<u64>(), 2);
}

#[tokio::test]
async fn the_seventeenth_address_is_counted_with_the_rest_also_after_they_came_back() {
    let node = node().await;
    let account = node.key(room_for(0)).await;
    let flood = |from: u32, to: u32| {
        for n in from..to {
            for _ in 0..2 {
                node.ledger.count_refusal(key_id(1), &Refusal::Blocked, Some(&format!("10.0.0.{n}")));
            }
        }
    };
    flood(0, 20);
    // Taken, refused, given back: meanwhile others are counted.
    node.store.pause_appends();
    let revokes = node.revokes(account.id()).await;
    flood(10, 30);
    revokes.abort();
    assert!(revokes.await.is_err());
    node.store.then([Outcome::Conflict]);
    node.store.release_appends();
    node.is_quiet().await;
    assert_eq!(node.history(account.id()).await.types(), ["KeyCreated"]);

    node.ledger.write_refusals().await;
    let events = node.history(account.id()).await.events;
    let Some(KeyEvent::CallsRefused(refused)) = events.last() else { panic!("nothing was written") };
    assert_eq!(refused.refusals.len(), 17);
    assert_eq!(refused.refusals.iter().map(|count| count.count).sum::<u64>(), 80);
    let rest = refused.refusals.last().unwrap();
    assert_eq!((rest.address.as_deref(), rest.other_addresses), (None, Some(14)));
}
