//! Reads in a log that is not the ledger's alone.

use std::time::Instant;

use nemo_eventstoredb_simulator::Calls;

use super::*;
use crate::contract::Append;

async fn everything(store: &EventStoreDb, limit: usize) -> Vec<EventRecord> {
    let mut all: Vec<EventRecord> = Vec::new();
    loop {
        let page = store.read_all(all.last().map(|record| record.position), limit).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledgers_with_different_prefixes_know_nothing_of_each_other() {
    let server = simulator();
    let (one, other) = (connected(&server).await, connected(&server).await);
    let (mut a, mut b) = (Script::of_key(1), Script::of_key(1));
    for _ in 0..20 {
        a.write(&one, 2).await;
        b.write(&other, 3).await;
    }
    assert_eq!(everything(&one, 7).await.len(), 40);
    assert_eq!(everything(&other, 7).await.len(), 60);
    assert_eq!(stored(&one, &a).await.len(), 40);
    let head = one.head().await.unwrap();
    assert_eq!(everything(&one, 100).await.last().map(|record| record.position), head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_others_that_pass_the_filter_are_passed_over() {
    let server = simulator();
    let plain = connect_to(&options(&server, PATIENT)).await;
    let foreign = connect_to(&options(&server, PATIENT).with_prefix("key-of-others-").unwrap()).await;
    let mut ours = Script::of_key(1);
    ours.write(&plain, 1).await;
    let mut theirs = Script::of(StreamName::Prices);
    for _ in 0..300 {
        theirs.write(&foreign, 1).await;
    }
    assert_eq!(plain.head().await.unwrap(), Some(everything(&plain, 1).await[0].position));
    ours.write(&plain, 1).await;
    assert_eq!(everything(&plain, 1).await.len(), 2);
    assert_eq!(everything(&foreign, 4).await.len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_ledger_is_found_behind_much_that_is_not_its_own_and_passed_over_once() {
    let server = simulator();
    let store = connected(&server).await;
    let mut script = Script::of_key(1);
    let last = script.write(&store, 3).await;
    server.write_system_events(100_000);
    let fresh = connect_to(&options(&server, PATIENT).with_prefix(&prefix(&store)).unwrap()).await;
    let took = |started: Instant| started.elapsed();
    let started = Instant::now();
    assert_eq!(fresh.head().await.unwrap(), Some(last));
    let first = took(started);
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(fresh.head().await.unwrap(), Some(last));
        assert_eq!(fresh.read_all(Some(last), 100).await.unwrap(), []);
    }
    let again = took(started) / 20;
    assert!(again < first.max(Duration::from_millis(50)), "{again:?} after {first:?}");
    let last = script.write(&store, 1).await;
    server.write_system_events(1_000);
    assert_eq!(fresh.head().await.unwrap(), Some(last));
}

fn prefix(store: &EventStoreDb) -> String {
    let name = store.shared.names.on_server(&StreamName::Prices);
    name.strip_suffix("prices").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_the_server_does_not_know_is_an_error_and_disturbs_nothing() {
    let server = simulator();
    let store = connected(&server).await;
    let mut script = Script::of_key(1);
    let position = script.write(&store, 5).await;
    let unknown = Some(Position(position.0 - 1));
    let answer = store.read_all(unknown, 10).await;
    assert!(matches!(answer, Err(ReadError::Damaged { .. })), "{answer:?}");
    let mut subscription = store.subscribe_all(unknown).await.unwrap();
    let delivered = in_time(subscription.next()).await.unwrap();
    assert!(matches!(delivered, Err(ReadError::Damaged { .. })), "{delivered:?}");
    assert!(in_time(subscription.next()).await.is_none());
    assert_eq!(stored(&store, &script).await.len(), 5);
    assert_eq!(store.reach(), Reach::Reachable);
}

/// Writes past the adapter, as somebody with the server's own tools could.
async fn meddle(server: &Simulator, stream: &str, event: eventstore::EventData) {
    let client = eventstore::Client::new(server.connection_string().parse().unwrap()).unwrap();
    client.append_to_stream(stream, &eventstore::AppendToStreamOptions::default(), event).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_wrote_into_a_stream_of_the_ledger_is_damage_wherever_it_is_met() {
    let server = simulator();
    for tampered in [false, true] {
        let store = connected(&server).await;
        let mut script = Script::of_key(1);
        let last = script.write(&store, 2).await;
        let Append { events, .. } = script.next(1);
        let event = Sealed {
            data: if tampered { "{\"more\":1}".into() } else { events[0].data.clone() },
            ..events[0].clone()
        };
        let encoded = if tampered {
            record::encode(&event).unwrap()
        } else {
            eventstore::EventData::binary("X", "x".into())
        };
        meddle(&server, &store.shared.names.on_server(&script.stream), encoded).await;
        let read = store.read_stream(&script.stream, Revision::FIRST, Direction::Forwards, 10).await;
        assert!(matches!(&read, Err(ReadError::Damaged { place, .. }) if place.contains("@2")), "{read:?}");
        let read = store.read_all(Some(last), 10).await;
        assert!(matches!(read, Err(ReadError::Damaged { .. })), "{read:?}");
        let mut subscription = store.subscribe_all(None).await.unwrap();
        let delivered = loop {
            match in_time(subscription.next()).await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(delivered, ReadError::Damaged { .. }), "{delivered:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_stream_is_damage() {
    let server = simulator();
    let store = connected(&server).await;
    let mut script = Script::of_key(1);
    script.write(&store, 5).await;
    let name = store.shared.names.on_server(&script.stream);
    let truncate = eventstore::EventData::json("$metadata", &std::collections::BTreeMap::from([("$tb", 2)]));
    meddle(&server, &format!("$${name}"), truncate.unwrap()).await;
    let read = store.read_stream(&script.stream, Revision::FIRST, Direction::Forwards, 10).await;
    assert!(matches!(read, Err(ReadError::Damaged { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_hang_are_given_up_and_work_again_afterwards() {
    let server = simulator();
    let store = connect(&options(&server, IMPATIENT)).await;
    let mut script = Script::of_key(1);
    script.write(&store, 1).await;
    server.hang(Calls::Reads);
    let read = in_time(store.read_stream(&script.stream, Revision::FIRST, Direction::Forwards, 1)).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    until(&store, |reach| matches!(reach, Reach::Away { .. })).await;
    server.release(Calls::Reads);
    in_time(store.reachable()).await;
    assert_eq!(stored(&store, &script).await.len(), 1);
}
