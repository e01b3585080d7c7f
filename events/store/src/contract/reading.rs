//! Promises about reads.

use std::sync::Arc;

use nemo_events::{EventRecord, Position, Revision, StreamName};

use super::script::Script;
use crate::{Direction, EventStore, MAX_APPEND, MAX_PAGE};

async fn revisions(
    store: &dyn EventStore,
    stream: &StreamName,
    from: u64,
    way: Direction,
    limit: usize,
) -> Vec<u64> {
    let events = store.read_stream(stream, Revision(from), way, limit).await.unwrap();
    assert!(events.iter().all(|record| record.event.stream == *stream));
    events.iter().map(|record| record.event.revision.0).collect()
}

/// Every event, read in pages of `limit`.
pub(super) async fn everything(store: &dyn EventStore, limit: usize) -> Vec<EventRecord> {
    let mut all: Vec<EventRecord> = Vec::new();
    loop {
        let after = all.last().map(|record| record.position);
        let page = store.read_all(after, limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Spaces, repeated keys, odd numbers, escapes, length: nothing is parsed and written anew.
pub async fn stored_bytes_come_back_verbatim(store: Arc<dyn EventStore>) {
    let payloads: [Vec<u8>; 5] = [
        b"{ \"b\" : 1.00 , \"a\":2,\n\t\"b\":1e2 }".to_vec(),
        "{\"ü\":\"\\u0000 \\ud83d\\ude00 😀\"}".as_bytes().to_vec(),
        b"{}".to_vec(),
        b"123456789012345678901234567890".to_vec(),
        format!("{{\"long\":\"{}\"}}", "x".repeat(200_000)).into_bytes(),
    ];
    let mut script = Script::of_key(1);
    let mut written = Vec::new();
    for payload in payloads {
        script = script.with_data(payload);
        let append = script.next(2);
        append.send(&*store).await.unwrap();
        written.extend(append.events);
    }
    let read =
        store.read_stream(&script.stream, Revision::FIRST, Direction::Forwards, MAX_PAGE).await.unwrap();
    let all = everything(&*store, 3).await;
    assert!(read.iter().map(|record| &record.event).eq(&written));
    assert_eq!(read, all);
}

/// Inclusive start, dense pages, nothing twice.
pub async fn a_stream_is_read_in_pages_in_both_directions(store: Arc<dyn EventStore>) {
    let (mut script, mut other) = (Script::of_key(1), Script::of_key(2));
    for _ in 0..5 {
        script.write(&*store, 2).await;
        other.write(&*store, 1).await;
    }
    let stream = &script.stream;
    assert_eq!(revisions(&*store, stream, 0, Direction::Forwards, 4).await, [0, 1, 2, 3]);
    assert_eq!(revisions(&*store, stream, 4, Direction::Forwards, 4).await, [4, 5, 6, 7]);
    assert_eq!(revisions(&*store, stream, 8, Direction::Forwards, 4).await, [8, 9]);
    assert_eq!(revisions(&*store, stream, 9, Direction::Backwards, 4).await, [9, 8, 7, 6]);
    assert_eq!(revisions(&*store, stream, 5, Direction::Backwards, 4).await, [5, 4, 3, 2]);
    assert_eq!(revisions(&*store, stream, 1, Direction::Backwards, 4).await, [1, 0]);
}

/// Neither before nor after others exist.
pub async fn a_stream_that_does_not_exist_is_empty(store: Arc<dyn EventStore>) {
    let stream = Script::of_key(1).stream;
    for other in [2, 3] {
        for way in [Direction::Forwards, Direction::Backwards] {
            assert_eq!(revisions(&*store, &stream, 0, way, 10).await, [0_u64; 0]);
            assert_eq!(revisions(&*store, &stream, u64::MAX, way, 10).await, [0_u64; 0]);
        }
        Script::of_key(other).write(&*store, 1).await;
    }
}

/// Beyond the end, at it, and no room at all.
pub async fn the_edges_of_a_stream_are_as_documented(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    script.write(&*store, 3).await;
    let stream = &script.stream;
    for beyond in [3, 4, u64::MAX] {
        assert_eq!(revisions(&*store, stream, beyond, Direction::Forwards, 10).await, [0_u64; 0]);
        assert_eq!(revisions(&*store, stream, beyond, Direction::Backwards, 2).await, [2, 1]);
    }
    assert_eq!(revisions(&*store, stream, 2, Direction::Forwards, 10).await, [2]);
    assert_eq!(revisions(&*store, stream, 0, Direction::Backwards, 10).await, [0]);
    assert_eq!(revisions(&*store, stream, 0, Direction::Forwards, 0).await, [0_u64; 0]);
    assert_eq!(revisions(&*store, stream, 2, Direction::Backwards, 0).await, [0_u64; 0]);
    assert_eq!(store.read_all(None, 0).await.unwrap(), []);
}

/// Whatever is asked for.
pub async fn no_read_returns_more_than_a_page(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    while script.head.next_revision().0 <= MAX_PAGE as u64 {
        script.write(&*store, MAX_APPEND).await;
    }
    let stream = &script.stream;
    assert_eq!(revisions(&*store, stream, 0, Direction::Forwards, usize::MAX).await.len(), MAX_PAGE);
    assert_eq!(revisions(&*store, stream, u64::MAX, Direction::Backwards, usize::MAX).await.len(), MAX_PAGE);
    assert_eq!(store.read_all(None, usize::MAX).await.unwrap().len(), MAX_PAGE);
}

/// Ascending positions, each append's events together, the same whatever the page size.
pub async fn all_events_are_read_in_one_order_in_pages(store: Arc<dyn EventStore>) {
    let mut scripts: Vec<Script> = (0..5).map(Script::of_key).collect();
    let mut written = Vec::new();
    for round in 0..8 {
        for script in &mut scripts {
            let append = script.next(1 + round % 3);
            append.send(&*store).await.unwrap();
            written.extend(append.events);
        }
    }
    let all = everything(&*store, MAX_PAGE).await;
    assert!(all.iter().map(|record| &record.event).eq(&written));
    assert!(all.is_sorted_by(|a, b| a.position < b.position));
    for limit in [1, 2, 7] {
        assert_eq!(everything(&*store, limit).await, all);
    }
    let last = all.last().unwrap().position;
    assert_eq!(store.read_all(Some(last), 10).await.unwrap(), []);
    assert_eq!(store.read_all(Some(Position(u64::MAX)), 10).await.unwrap(), []);
}

/// And of nothing while there is nothing.
pub async fn the_head_is_the_position_of_the_last_append(store: Arc<dyn EventStore>) {
    assert_eq!(store.head().await.unwrap(), None);
    let mut script = Script::of_key(1);
    for count in [1, 4] {
        let position = script.write(&*store, count).await;
        assert_eq!(store.head().await.unwrap(), Some(position));
        assert_eq!(everything(&*store, 10).await.last().unwrap().position, position);
    }
}
