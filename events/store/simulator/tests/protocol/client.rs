//! The official client, and the few things that these tests do with it.

use eventstore::{
    BatchAppendClient, BatchWriteResult, Client, EventData, Position, ReadAllOptions, ReadStreamOptions,
    ResolvedEvent, StreamPosition, StreamState, SubscriptionFilter,
};
use nemo_eventstoredb_simulator::Simulator;
use uuid::Uuid;

/// An id that says which event it is.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An event whose id and data are this number.
pub(crate) fn event(number: u128) -> EventData {
    EventData::binary("Counted", format!("{{ \"number\":{number} }}").into_bytes().into())
        .id(id(number))
        .metadata(format!("{{\"of\":  {number}}}").into_bytes().into())
}

pub(crate) fn events(numbers: std::ops::Range<u128>) -> Vec<EventData> {
    numbers.map(event).collect()
}

pub(crate) fn connect(server: &Simulator) -> Client {
    connect_to(&server.connection_string())
}

pub(crate) fn connect_to(connection_string: &str) -> Client {
    // The client sleeps for this long before it connects, half a second unless it is told.
    let settings = format!("{connection_string}&discoveryInterval=5").parse().expect("a connection string");
    Client::new(settings).expect("a client")
}

pub(crate) async fn session(client: &Client) -> BatchAppendClient {
    client.batch_append(&Default::default()).await.expect("a batch session")
}

/// Appends in a session of its own, as a failure would end a shared one.
pub(crate) async fn append(
    client: &Client,
    stream: &str,
    expected: StreamState,
    events: Vec<EventData>,
) -> eventstore::Result<BatchWriteResult> {
    session(client).await.append_to_stream(stream, expected, events).await
}

pub(crate) async fn read_stream(
    client: &Client,
    stream: &str,
    options: &ReadStreamOptions,
) -> Vec<ResolvedEvent> {
    let mut read = client.read_stream(stream, options).await.expect("a read");
    let mut events = Vec::new();
    while let Some(event) = read.next().await.expect("an event") {
        events.push(event);
    }
    events
}

pub(crate) async fn read_all(
    client: &Client,
    options: &ReadAllOptions,
) -> eventstore::Result<Vec<ResolvedEvent>> {
    let mut read = client.read_all(options).await?;
    let mut events = Vec::new();
    while let Some(event) = read.next().await? {
        events.push(event);
    }
    Ok(events)
}

/// All streams from a place on, the server's own left out by the server.
pub(crate) fn all_from(position: StreamPosition<Position>) -> ReadAllOptions {
    ReadAllOptions::default().position(position).filter(only("key-"))
}

pub(crate) fn only(prefix: &str) -> SubscriptionFilter {
    SubscriptionFilter::on_stream_name().add_prefix(prefix)
}

/// Revisions and ids, as the numbers they were made of.
pub(crate) fn numbers(events: &[ResolvedEvent]) -> Vec<u128> {
    events.iter().map(|event| event.get_original_event().id.as_u128()).collect()
}

pub(crate) fn revisions(events: &[ResolvedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.get_original_event().revision).collect()
}
