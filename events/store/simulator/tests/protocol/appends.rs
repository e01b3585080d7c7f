//! Expected revisions, idempotency, sizes.

use eventstore::{AppendToStreamOptions, EventData, StreamState};
use nemo_eventstoredb_simulator::{Options, Simulator};

use crate::client::{append, connect, event, events, id, numbers, read_stream, session};

#[tokio::test]
async fn an_append_is_read_back_as_it_was_written() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let written = append(&client, "key-a", StreamState::NoStream, events(1..4)).await.unwrap();
    let read = read_stream(&client, "key-a", &Default::default()).await;

    assert_eq!((written.stream_name(), written.current_revision()), ("key-a", Some(2)));
    assert_eq!(numbers(&read), [1, 2, 3]);
    let last = read[2].get_original_event();
    assert_eq!((last.stream_id(), last.revision, last.id), ("key-a", 2, id(3)));
    assert_eq!((last.event_type.as_str(), last.is_json), ("Counted", false));
    assert_eq!(&last.data[..], b"{ \"number\":3 }");
    assert_eq!(&last.custom_metadata[..], b"{\"of\":  3}");
    assert_eq!(Some(last.position), written.current_position());
    assert_eq!(last.position.commit, last.position.prepare);
    let counts = server.counts();
    assert_eq!((counts.appends_arrived, counts.appends_committed, counts.events_committed), (1, 1, 3));
}

#[tokio::test]
async fn many_appends_share_one_session() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let session = session(&client).await;
    for number in 1..=100_u64 {
        let expected = number.checked_sub(2).map_or(StreamState::NoStream, StreamState::StreamRevision);
        let written = session.append_to_stream("key-a", expected, vec![event(number.into())]).await.unwrap();
        assert_eq!(written.current_revision(), Some(number - 1));
    }
    let counts = server.counts();
    assert_eq!((counts.batch_sessions, counts.appends_committed, counts.connections), (1, 100, 1));
}

#[tokio::test]
async fn the_same_events_at_the_same_place_are_the_same_append() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let first = append(&client, "key-a", StreamState::NoStream, events(1..4)).await.unwrap();
    append(&client, "key-a", StreamState::StreamRevision(2), events(4..6)).await.unwrap();
    let again = append(&client, "key-a", StreamState::NoStream, events(1..4)).await.unwrap();

    assert_eq!(first.current_revision(), again.current_revision());
    assert_eq!(first.current_position(), again.current_position());
    assert_eq!(server.stream("key-a").len(), 5);
    assert_eq!(server.counts().appends_committed, 2);
}

#[tokio::test]
async fn known_ids_at_another_place_or_with_other_events_conflict() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(1..4)).await.unwrap();
    for (expected, numbers) in [
        (StreamState::StreamRevision(0), vec![1]),
        (StreamState::NoStream, vec![1, 2, 9]),
        (StreamState::NoStream, vec![9]),
        (StreamState::StreamRevision(1), vec![3, 4]),
        (StreamState::StreamRevision(3), vec![4]),
    ] {
        let events = numbers.iter().copied().map(event).collect();
        let refused = append(&client, "key-a", expected, events).await.unwrap_err();
        assert!(is_conflict(&refused), "{expected:?} {numbers:?}: {refused}");
    }
    let refused = append(&client, "key-b", StreamState::StreamRevision(0), events(1..2)).await.unwrap_err();
    assert!(is_conflict(&refused), "{refused}");
    assert_eq!(server.stream("key-a").len(), 3);
    assert_eq!(server.counts().conflicts, 6);
}

/// The client's session ends with the first refusal, whatever else it carries.
#[tokio::test]
async fn a_refusal_ends_the_clients_session() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let session = session(&client).await;
    let refused =
        session.append_to_stream("key-a", StreamState::StreamRevision(7), events(1..2)).await.unwrap_err();
    assert!(is_conflict(&refused), "{refused}");
    let ended = session.append_to_stream("key-b", StreamState::NoStream, events(1..2)).await.unwrap_err();
    assert!(matches!(ended, eventstore::Error::ServerError(_)), "{ended}");
    append(&client, "key-b", StreamState::NoStream, events(1..2)).await.unwrap();
}

#[tokio::test]
async fn one_append_takes_a_mebibyte_and_no_more() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let fits = EventData::binary("Blob", vec![b'x'; 1024 * 1024 - 8].into()).id(id(1));
    append(&client, "key-a", StreamState::NoStream, vec![fits]).await.unwrap();
    let larger = EventData::binary("Blob", vec![b'x'; 1024 * 1024 - 7].into()).id(id(2));
    let refused = append(&client, "key-b", StreamState::NoStream, vec![larger]).await.unwrap_err();
    assert!(refused.to_string().contains("MaximumAppendSizeExceeded"), "{refused}");
    assert!(server.stream("key-b").is_empty());
}

#[tokio::test]
async fn the_unary_append_follows_the_same_rules() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let new = AppendToStreamOptions::default().stream_state(StreamState::NoStream);
    let written = client.append_to_stream("key-a", &new, event(1)).await.unwrap();
    let again = client.append_to_stream("key-a", &new, event(1)).await.unwrap();
    assert_eq!((written.next_expected_version, written.position), (0, again.position));
    let refused = client.append_to_stream("key-a", &new, event(2)).await.unwrap_err();
    assert!(matches!(refused, eventstore::Error::WrongExpectedVersion { .. }), "{refused}");
}

pub(crate) fn is_conflict(error: &eventstore::Error) -> bool {
    matches!(error, eventstore::Error::Grpc { message, .. } if message == "WrongExpectedVersion")
}
