//! Promises about appends.

use std::sync::Arc;

use nemo_events::{Digest, EventRecord, Revision, Sealed, StreamName};

use super::script::{Append, Script};
use crate::{AppendError, Direction, EventStore, Expected, MAX_APPEND, MAX_PAGE};

async fn whole(store: &dyn EventStore, stream: &StreamName) -> Vec<EventRecord> {
    store.read_stream(stream, Revision::FIRST, Direction::Forwards, MAX_PAGE).await.unwrap()
}

async fn assert_conflict(store: &dyn EventStore, append: &Append) {
    let stream = append.events[0].stream.clone();
    let before = (whole(store, &stream).await, store.head().await.unwrap());
    let answer = append.send(store).await;
    assert!(matches!(answer, Err(AppendError::Conflict)), "{answer:?}");
    assert_eq!((whole(store, &stream).await, store.head().await.unwrap()), before, "nothing was written");
}

/// Both expectations, against a stream that has moved on.
pub async fn an_append_behind_another_revision_conflicts_and_writes_nothing(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    let mut no_stream = script.clone();
    script.write(&*store, 2).await;
    let mut at_one = script.clone();
    script.write(&*store, 1).await;
    assert_conflict(&*store, &no_stream.next(1)).await;
    assert_conflict(&*store, &at_one.next(2)).await;
    script.write(&*store, 1).await;
}

/// An exact revision that the stream has not reached, or no stream at all.
pub async fn an_append_ahead_of_the_stream_conflicts_and_writes_nothing(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    let mut ahead = script.clone();
    let _never_sent = ahead.next(2);
    assert_conflict(&*store, &ahead.next(1)).await;
    script.write(&*store, 1).await;
    assert_conflict(&*store, &ahead.next(1)).await;
}

/// A lost answer is repaired by sending the same again.
pub async fn the_same_events_again_succeed_at_the_same_position(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    for count in [1, 3] {
        let append = script.next(count);
        let position = append.send(&*store).await.unwrap();
        assert_eq!(append.send(&*store).await.unwrap(), position);
        assert_eq!(store.head().await.unwrap(), Some(position));
    }
    assert_eq!(whole(&*store, &script.stream).await.len(), 4);
}

/// The same, when the resend comes late.
pub async fn the_same_events_again_succeed_after_others_followed(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    let append = script.next(2);
    let position = append.send(&*store).await.unwrap();
    let last = script.write(&*store, 3).await;
    Script::of_key(2).write(&*store, 1).await;
    assert_eq!(append.send(&*store).await.unwrap(), position);
    assert!(position < last);
    assert_eq!(whole(&*store, &script.stream).await.len(), 5);
}

/// The same, when the first has not been answered yet.
pub async fn the_same_events_sent_twice_at_once_succeed_at_one_position(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    for _ in 0..20 {
        let append = script.next(2);
        let (one, two) = tokio::join!(append.send(&*store), append.send(&*store));
        assert_eq!(one.unwrap(), two.unwrap());
    }
    assert_eq!(whole(&*store, &script.stream).await.len(), 40);
}

/// Only exactly the same events are a resend.
pub async fn a_resend_with_a_foreign_event_conflicts_and_writes_nothing(store: Arc<dyn EventStore>) {
    let mut script = Script::of_key(1);
    let first = script.next(1);
    let mut other = script.clone();
    let second = script.next(1);
    first.send(&*store).await.unwrap();
    second.send(&*store).await.unwrap();
    let join = |parts: [&Append; 2]| {
        let events = parts.iter().flat_map(|part| part.events.clone()).collect();
        Append { expected: Expected::NoStream, events }
    };
    assert_conflict(&*store, &join([&first, &other.next(1)])).await;
    let longer = Append {
        expected: Expected::NoStream,
        events: [first.events, second.events, script.next(1).events].concat(),
    };
    assert_conflict(&*store, &longer).await;
}

/// Each way in which a caller can get it wrong.
pub async fn events_that_do_not_continue_their_stream_are_invalid_and_not_written(
    store: Arc<dyn EventStore>,
) {
    let mut script = Script::of_key(1);
    let position = script.write(&*store, 3).await;
    let fresh = |count| script.clone().next(count);
    let reseal = |event: &Sealed, change: fn(&mut Sealed)| {
        let mut event = event.clone();
        change(&mut event);
        event.with_hash()
    };
    let mut mixed = fresh(1);
    mixed.events.extend(Script::of_key(2).next(1).events);
    let mut gap = fresh(3);
    gap.events.remove(1);
    let mut backwards = fresh(2);
    backwards.events.reverse();
    let mut wrong_expectation = fresh(1);
    wrong_expectation.expected = Expected::NoStream;
    let mut tampered = fresh(1);
    tampered.events[0].data = b"{}".to_vec().into();
    let mut unchained = fresh(2);
    unchained.events[1] = reseal(&unchained.events[1], |event| event.prev_hash = Digest::ZERO);
    let mut not_chained_to_the_head = fresh(1);
    not_chained_to_the_head.events[0] =
        reseal(&not_chained_to_the_head.events[0], |event| event.prev_hash = Digest::of(b"another past"));
    let mut before_the_head = fresh(1);
    before_the_head.events[0] =
        reseal(&before_the_head.events[0], |event| event.recorded_at = nemo_events::Timestamp::EPOCH);
    let empty = Append { expected: Expected::NoStream, events: Vec::new() };
    let cases = [
        ("empty", empty),
        ("mixed", mixed),
        ("gap", gap),
        ("backwards", backwards),
        ("wrong expectation", wrong_expectation),
        ("tampered", tampered),
        ("unchained", unchained),
        ("not chained to the head", not_chained_to_the_head),
        ("before the head", before_the_head),
        ("too many", fresh(MAX_APPEND + 1)),
    ];
    for (case, append) in cases {
        let answer = append.send(&*store).await;
        assert!(matches!(answer, Err(AppendError::Invalid(_))), "{case}: {answer:?}");
    }
    assert_eq!(store.head().await.unwrap(), Some(position));
    script.write(&*store, MAX_APPEND).await;
}

/// A reader who looks all the time never sees a part.
pub async fn an_append_shows_as_a_whole_or_not_at_all(store: Arc<dyn EventStore>) {
    const AT_ONCE: usize = 7;
    let writing = Arc::clone(&store);
    let writer = tokio::spawn(async move {
        let mut script = Script::of_key(1);
        for _ in 0..40 {
            script.write(&*writing, AT_ONCE).await;
        }
    });
    let stream = Script::of_key(1).stream;
    while !writer.is_finished() {
        let seen = whole(&*store, &stream).await.len();
        assert_eq!(seen % AT_ONCE, 0, "a part of an append was visible");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert_eq!(whole(&*store, &stream).await.len(), 40 * AT_ONCE);
}

/// The race that the whole ledger rests on.
pub async fn of_many_appenders_at_one_revision_exactly_one_wins(store: Arc<dyn EventStore>) {
    const APPENDERS: usize = 16;
    let mut script = Script::of_key(1);
    for round in 0..30 {
        let mut racing = tokio::task::JoinSet::new();
        for _ in 0..APPENDERS {
            let (store, mut own) = (Arc::clone(&store), script.clone());
            racing.spawn(async move {
                let append = own.next(1 + round % 3);
                (append.send(&*store).await, own)
            });
        }
        let mut winners = Vec::new();
        while let Some(finished) = racing.join_next().await {
            match finished.unwrap() {
                (Ok(_), own) => winners.push(own),
                (Err(AppendError::Conflict), _) => {}
                (Err(other), _) => panic!("{other}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        script = winners.remove(0);
    }
    let events = whole(&*store, &script.stream).await;
    assert_eq!(events.last().unwrap().event.head(), script.head);
}

/// Streams do not disturb each other.
pub async fn many_streams_grow_at_the_same_time(store: Arc<dyn EventStore>) {
    const STREAMS: u64 = 24;
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..STREAMS {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            let mut script = Script::of_key(number);
            let mut last = None;
            for round in 0..20 {
                let position = script.write(&*store, 1 + round % 4).await;
                assert!(Some(position) > last, "positions of a stream ascend");
                last = Some(position);
            }
            script
        });
    }
    while let Some(finished) = writing.join_next().await {
        let script = finished.unwrap();
        let events = whole(&*store, &script.stream).await;
        assert_eq!(events.len() as u64, script.revision().0 + 1);
        assert_eq!(events.last().unwrap().event.head(), script.head);
    }
}

async fn log(store: &dyn EventStore) -> Vec<Sealed> {
    store.read_all(None, MAX_PAGE).await.unwrap().into_iter().map(|record| record.event).collect()
}

/// Streams alternate, and come several times; the same list again changes nothing.
pub async fn a_list_is_appended_in_its_order(store: Arc<dyn EventStore>) {
    let (mut one, mut two) = (Script::of_key(1), Script::of_key(2));
    one.write(&*store, 1).await;
    let list: Vec<Vec<Sealed>> = [two.next(2), one.next(1), two.next(1), one.next(3)]
        .into_iter()
        .map(|append| append.events)
        .collect();
    let position = store.append_in_order(list.clone()).await.unwrap();
    assert_eq!(store.head().await.unwrap(), Some(position));
    let whole_log = log(&*store).await;
    assert_eq!(whole_log[1..], list.concat());
    assert_eq!(store.append_in_order(list).await.unwrap(), position, "sent again");
    assert_eq!(log(&*store).await, whole_log);
    one.write(&*store, 1).await;
    assert!(matches!(store.append_in_order(Vec::new()).await, Err(AppendError::Invalid(_))));
    assert!(matches!(store.append_in_order(vec![Vec::new()]).await, Err(AppendError::Invalid(_))));
}

/// Nothing behind it, although it would have fitted.
pub async fn of_a_list_only_what_comes_before_a_conflict_is_written(store: Arc<dyn EventStore>) {
    let (mut one, mut two, mut three) = (Script::of_key(1), Script::of_key(2), Script::of_key(3));
    let mut elsewhere = two.clone();
    elsewhere.write(&*store, 1).await;
    let before = log(&*store).await;
    let list = vec![one.next(2).events, two.next(1).events, three.next(1).events];
    let answer = store.append_in_order(list.clone()).await;
    assert!(matches!(answer, Err(AppendError::Conflict)), "{answer:?}");
    assert_eq!(log(&*store).await[before.len()..], list[0]);
    one.write(&*store, 1).await;
}
