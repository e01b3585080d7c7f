//! Pages, directions, filters, positions.

use eventstore::{Client, Position, ReadAllOptions, ReadStreamOptions, StreamPosition, StreamState};
use nemo_eventstoredb_simulator::{Options, Simulator, StoredEvent};

use crate::client::{all_from, append, connect, events, numbers, only, read_all, read_stream, revisions};

#[tokio::test]
async fn a_stream_is_read_from_any_revision_both_ways() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..100)).await.unwrap();
    let read = async |options: ReadStreamOptions| numbers(&read_stream(&client, "key-a", &options).await);
    let from = |at| ReadStreamOptions::default().position(at);

    assert_eq!(read(from(StreamPosition::Start)).await, Vec::from_iter(0..100));
    assert_eq!(read(from(StreamPosition::Position(40)).max_count(3)).await, [40, 41, 42]);
    assert_eq!(read(from(StreamPosition::Position(98)).max_count(50)).await, [98, 99]);
    assert_eq!(read(from(StreamPosition::Position(100))).await, [0; 0]);
    assert_eq!(read(from(StreamPosition::Position(4_000))).await, [0; 0]);
    assert_eq!(read(from(StreamPosition::End).backwards()).await, Vec::from_iter((0..100).rev()));
    assert_eq!(read(from(StreamPosition::Position(2)).backwards()).await, [2, 1, 0]);
    assert_eq!(read(from(StreamPosition::Position(4_000)).backwards().max_count(2)).await, [99, 98]);
}

#[tokio::test]
async fn a_stream_that_was_never_written_is_not_found() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let mut read = client.read_stream("key-a", &Default::default()).await.unwrap();
    assert!(matches!(read.next().await, Err(eventstore::Error::ResourceNotFound)));
}

#[tokio::test]
async fn all_streams_are_one_order_with_the_servers_own_events_in_between() {
    let server = Simulator::start(Options::default().system_event_every(3));
    let client = connect(&server);
    for number in 0..50 {
        let stream = format!("key-{}", number % 3);
        append(&client, &stream, StreamState::Any, events(number..number + 1)).await.unwrap();
    }
    let all = read_all(&client, &ReadAllOptions::default()).await.unwrap();
    let filtered = read_all(&client, &all_from(StreamPosition::Start)).await.unwrap();
    let backwards = read_all(&client, &all_from(StreamPosition::End).backwards().max_count(5)).await.unwrap();
    let positions: Vec<u64> = all.iter().map(|event| event.get_original_event().position.commit).collect();

    assert!(
        positions.is_sorted() && positions.windows(2).all(|pair| pair[1] > pair[0] + 90),
        "{positions:?}"
    );
    assert_eq!(all.len(), server.all().len());
    assert!(all.iter().filter(|event| event.get_original_stream_id().starts_with('$')).count() > 20);
    assert_eq!(numbers(&filtered), Vec::from_iter(0..50));
    assert_eq!(numbers(&backwards), [49, 48, 47, 46, 45]);
}

#[tokio::test]
async fn a_read_of_all_starts_with_the_event_at_its_position_and_ends_before_it_going_backwards() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..10)).await.unwrap();
    let at = server.stream("key-a")[4].position;
    let place = StreamPosition::Position(Position { commit: at, prepare: at });
    assert_eq!(numbers(&read_all(&client, &all_from(place).max_count(2)).await.unwrap()), [4, 5]);
    assert_eq!(numbers(&read_all(&client, &all_from(place).backwards().max_count(2)).await.unwrap()), [3, 2]);
}

#[tokio::test]
async fn a_position_at_which_no_record_starts_is_refused() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..10)).await.unwrap();
    let at = server.stream("key-a")[4].position;
    for off in [Position { commit: at - 1, prepare: at - 1 }, Position { commit: at, prepare: at + 1 }] {
        let forwards = all_from(StreamPosition::Position(off));
        for options in [forwards.clone(), forwards.backwards()] {
            let refused = read_all(&client, &options).await.unwrap_err();
            assert!(refused.to_string().contains("invalid position"), "{off:?}: {refused}");
        }
    }
    let behind = Position { commit: at + 1_000_000, prepare: at };
    assert!(read_all(&client, &all_from(StreamPosition::Position(behind))).await.unwrap().is_empty());
}

#[tokio::test]
async fn max_count_in_a_streams_metadata_hides_its_older_events_from_its_readers_alone() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let metadata = eventstore::StreamMetadataBuilder::new().max_count(1).build();
    client.set_stream_metadata("live-a", &Default::default(), &metadata).await.unwrap();
    append(&client, "live-a", StreamState::NoStream, events(0..5)).await.unwrap();
    let read = read_stream(&client, "live-a", &Default::default()).await;
    assert_eq!((numbers(&read), revisions(&read)), (vec![4], vec![4]));
    let all = ReadAllOptions::default().filter(only("live-"));
    assert_eq!(numbers(&read_all(&client, &all).await.unwrap()), [0, 1, 2, 3, 4]);
}

/// Many places, both ways, with and without a filter: what a page holds is what the whole says. (Each read takes
/// the official client 40 ms, which waits for an acknowledgement between the headers and the body of its request.)
#[tokio::test]
async fn pages_of_all_streams_are_cuttings_of_the_whole() {
    let server = Simulator::start(Options::default().system_event_every(2));
    let client = connect(&server);
    for number in 0..40 {
        let stream = if number % 5 == 0 { "other" } else { "key-a" };
        append(&client, stream, StreamState::Any, events(number..number + 1)).await.unwrap();
    }
    let all = server.all();
    for (place, at) in all.iter().enumerate().step_by(7) {
        let from = StreamPosition::Position(Position { commit: at.position, prepare: at.position });
        for limit in [3, 40] {
            let upwards = ReadAllOptions::default().position(from).max_count(limit);
            let downwards = upwards.clone().backwards();
            let (below, above) = all.split_at(place);
            let wanted = |events: Vec<&StoredEvent>| {
                Vec::from_iter(events.iter().take(limit).map(|event| event.position))
            };
            let is_key = |event: &&StoredEvent| event.stream.starts_with("key-");

            assert_eq!(positions(&client, &upwards).await, wanted(above.iter().collect()));
            assert_eq!(positions(&client, &downwards).await, wanted(below.iter().rev().collect()));
            let (upwards, downwards) = (upwards.filter(only("key-")), downwards.filter(only("key-")));
            assert_eq!(positions(&client, &upwards).await, wanted(above.iter().filter(is_key).collect()));
            assert_eq!(
                positions(&client, &downwards).await,
                wanted(below.iter().rev().filter(is_key).collect())
            );
        }
    }
}

async fn positions(client: &Client, options: &ReadAllOptions) -> Vec<u64> {
    let events = read_all(client, options).await.unwrap();
    events.iter().map(|event| event.get_original_event().position.commit).collect()
}
