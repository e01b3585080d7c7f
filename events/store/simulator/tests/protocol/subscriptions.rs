//! Subscriptions: from a place on, live, filtered, dropped and doubled.

use std::time::Duration;

use eventstore::{Client, Position, StreamPosition, StreamState, SubscribeToAllOptions, SubscriptionEvent};
use nemo_eventstoredb_simulator::{Calls, Code, Options, Simulator};

use crate::client::{append, connect, events, only};

/// What a subscription brought, in short.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Event(u128),
    CaughtUp,
}

struct Subscribed(eventstore::Subscription);

impl Subscribed {
    async fn start(client: &Client, from: StreamPosition<Position>) -> Self {
        let options = SubscribeToAllOptions::default().position(from).filter(only("key-"));
        Self(client.subscribe_to_all(&options).await)
    }

    async fn next(&mut self) -> eventstore::Result<Seen> {
        loop {
            match self.0.next_subscription_event().await? {
                SubscriptionEvent::EventAppeared(event) => {
                    return Ok(Seen::Event(event.get_original_event().id.as_u128()));
                }
                SubscriptionEvent::CaughtUp(_) => return Ok(Seen::CaughtUp),
                _ => {}
            }
        }
    }

    async fn sees(&mut self, wanted: impl IntoIterator<Item = Seen>) {
        for wanted in wanted {
            assert_eq!(self.next().await.unwrap(), wanted);
        }
    }
}

fn numbered(range: std::ops::Range<u128>) -> impl Iterator<Item = Seen> {
    range.map(Seen::Event)
}

#[tokio::test]
async fn a_subscription_brings_what_is_there_and_what_comes() {
    let server = Simulator::start(Options::default().system_event_every(1));
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..100)).await.unwrap();
    let mut subscription = Subscribed::start(&client, StreamPosition::Start).await;
    subscription.sees(numbered(0..100)).await;
    subscription.sees([Seen::CaughtUp]).await;
    append(&client, "other", StreamState::NoStream, events(500..501)).await.unwrap();
    append(&client, "key-b", StreamState::NoStream, events(100..110)).await.unwrap();
    subscription.sees(numbered(100..110)).await;
    assert_eq!(server.counts().open_subscriptions, 1);
    drop(subscription);
    server.until("the subscription is gone", |counts| counts.open_subscriptions == 0).await;
}

#[tokio::test]
async fn a_subscription_resumes_behind_the_position_it_is_given() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..10)).await.unwrap();
    let at = server.stream("key-a")[6].position;
    let from = StreamPosition::Position(Position { commit: at, prepare: at });
    let mut subscription = Subscribed::start(&client, from).await;
    subscription.sees(numbered(7..10)).await;
    let mut live = Subscribed::start(&client, StreamPosition::End).await;
    live.sees([Seen::CaughtUp]).await;
    append(&client, "key-a", StreamState::StreamRevision(9), events(10..11)).await.unwrap();
    live.sees(numbered(10..11)).await;
}

#[tokio::test]
async fn a_subscription_delivers_again_what_the_test_wants_doubled() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..5)).await.unwrap();
    let mut subscription = Subscribed::start(&client, StreamPosition::Start).await;
    subscription.sees(numbered(0..5)).await;
    subscription.sees([Seen::CaughtUp]).await;
    assert_eq!(server.duplicate_deliveries(2), 1);
    subscription.sees(numbered(3..5)).await;
    append(&client, "key-a", StreamState::StreamRevision(4), events(5..6)).await.unwrap();
    subscription.sees(numbered(5..6)).await;
}

#[tokio::test]
async fn a_subscription_that_fails_or_is_cut_says_so_once() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    for drop_it in [
        |server: &Simulator| server.fail_subscriptions(Code::Unavailable),
        |server: &Simulator| server.cut_subscriptions(),
    ] {
        let mut subscription = Subscribed::start(&client, StreamPosition::Start).await;
        subscription.sees([Seen::CaughtUp]).await;
        assert_eq!(drop_it(&server), 1);
        let dropped = subscription.next().await.unwrap_err();
        assert!(matches!(dropped, eventstore::Error::ServerError(_)), "{dropped}");
        server.until("it is gone", |counts| counts.open_subscriptions == 0).await;
    }
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
}

#[tokio::test]
async fn a_subscription_that_hangs_delivers_afterwards() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let mut subscription = Subscribed::start(&client, StreamPosition::Start).await;
    subscription.sees([Seen::CaughtUp]).await;
    server.hang(Calls::Subscriptions);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(200), subscription.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    server.release(Calls::Subscriptions);
    subscription.sees(numbered(0..1)).await;
}

/// The client keeps the session's tasks, and with them the session, until it fails or the connection ends.
#[tokio::test]
async fn a_session_that_the_client_drops_stays_open() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    append(&client, "key-b", StreamState::NoStream, events(0..1)).await.unwrap();
    assert_eq!(server.counts().open_batch_sessions, 2);
    append(&client, "key-b", StreamState::NoStream, events(1..2)).await.unwrap_err();
    server.until("the failed one is gone", |counts| counts.open_batch_sessions == 2).await;
    server.cut_connections();
    server.until("all are gone", |counts| counts.open_batch_sessions == 0).await;
}
