//! What the official client hides: plain gRPC.

use std::time::{Duration, Instant};

use nemo_eventstoredb_simulator::protocol::StreamIdentifier;
use nemo_eventstoredb_simulator::protocol::streams::batch_append_req::options::{
    DeadlineOption, ExpectedStreamPosition,
};
use nemo_eventstoredb_simulator::protocol::streams::batch_append_req::{Options as Head, ProposedMessage};
use nemo_eventstoredb_simulator::protocol::streams::batch_append_resp;
use nemo_eventstoredb_simulator::protocol::streams::read_req::options::uuid_option::Content as Form;
use nemo_eventstoredb_simulator::protocol::streams::read_req::options::{
    AllOptions, CountOption, FilterOption, FilterOptions, StreamOption, SubscriptionOptions, UuidOption,
    all_options, filter_options,
};
use nemo_eventstoredb_simulator::protocol::streams::read_resp::{Checkpoint, Content};
use nemo_eventstoredb_simulator::protocol::streams::streams_client::StreamsClient;
use nemo_eventstoredb_simulator::protocol::streams::{
    BatchAppendReq, BatchAppendResp, ReadReq, ReadResp, read_req,
};
use nemo_eventstoredb_simulator::protocol::{Uuid, uuid};
use nemo_eventstoredb_simulator::{Code, Options, Simulator};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

async fn plain(server: &Simulator) -> StreamsClient<Channel> {
    StreamsClient::connect(format!("http://127.0.0.1:{}", server.ports()[0])).await.unwrap()
}

fn id(number: i64) -> Option<Uuid> {
    let structured = uuid::Structured { most_significant_bits: 0, least_significant_bits: number };
    Some(Uuid { value: Some(uuid::Value::Structured(structured)) })
}

fn piece(
    correlation: i64,
    stream: Option<&str>,
    events: std::ops::Range<i64>,
    is_final: bool,
) -> BatchAppendReq {
    let head = |name: &str| Head {
        stream_identifier: Some(StreamIdentifier { stream_name: name.as_bytes().to_vec().into() }),
        expected_stream_position: Some(ExpectedStreamPosition::NoStream(())),
        deadline_option: None,
    };
    let event = |number| ProposedMessage {
        id: id(number),
        metadata: [("type", "T"), ("content-type", "application/json")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        custom_metadata: Default::default(),
        data: b"{}".as_slice().into(),
    };
    BatchAppendReq {
        correlation_id: id(correlation),
        options: stream.map(head),
        proposed_messages: events.map(event).collect(),
        is_final,
    }
}

struct Session {
    requests: mpsc::UnboundedSender<BatchAppendReq>,
    answers: Streaming<BatchAppendResp>,
}

impl Session {
    async fn start(server: &Simulator, deadline: Option<Duration>) -> Self {
        let (requests, pieces) = mpsc::unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(pieces));
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        let answers = plain(server).await.batch_append(request).await.unwrap().into_inner();
        Self { requests, answers }
    }

    fn send(&self, piece: BatchAppendReq) {
        self.requests.send(piece).unwrap();
    }

    async fn answer(&mut self) -> Result<BatchAppendResp, Status> {
        self.answers.message().await.map(|answer| answer.expect("an answer"))
    }
}

fn message(answer: &BatchAppendResp) -> &str {
    match &answer.result {
        Some(batch_append_resp::Result::Error(error)) => &error.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_append_in_pieces_is_one_append_and_a_session_survives_refusals() {
    let server = Simulator::start(Options::default());
    let mut session = Session::start(&server, None).await;
    session.send(piece(1, Some("key-a"), 0..2, false));
    session.send(piece(2, Some("key-b"), 0..1, true));
    session.send(piece(1, None, 2..4, true));
    session.send(piece(3, Some("key-b"), 7..8, true));
    session.send(piece(4, Some(""), 8..9, true));
    session.send(piece(5, Some("key-c"), 9..10, true));
    let answers = [
        session.answer().await.unwrap(),
        session.answer().await.unwrap(),
        session.answer().await.unwrap(),
        session.answer().await.unwrap(),
        session.answer().await.unwrap(),
    ];
    assert_eq!(answers.clone().map(|answer| answer.correlation_id), [id(2), id(1), id(3), id(4), id(5)]);
    assert_eq!((message(&answers[2]), message(&answers[3])), ("WrongExpectedVersion", "BadRequest"));
    assert!(
        answers.iter().all(|answer| answer.stream_identifier.is_some()),
        "the client takes it for granted"
    );
    assert_eq!(
        (server.stream("key-a").len(), server.stream("key-b").len(), server.stream("key-c").len()),
        (4, 1, 1)
    );
}

#[tokio::test]
async fn pieces_that_grow_too_large_together_are_refused_at_once() {
    let server = Simulator::start(Options::default().max_append_bytes(10));
    let mut session = Session::start(&server, None).await;
    session.send(piece(1, Some("key-a"), 0..2, false));
    session.send(piece(1, None, 2..3, false));
    assert_eq!(message(&session.answer().await.unwrap()), "MaximumAppendSizeExceeded");
    session.send(piece(1, None, 3..4, true));
    session.send(piece(2, Some("key-b"), 0..2, true));
    assert_eq!(session.answer().await.unwrap().correlation_id, id(2), "the rest of it is nobody's");
    assert!(server.stream("key-a").is_empty());
}

#[tokio::test]
async fn a_relative_deadline_of_nothing_is_over() {
    let server = Simulator::start(Options::default());
    let mut session = Session::start(&server, None).await;
    let mut late = piece(1, Some("key-a"), 0..1, true);
    let over = DeadlineOption::Deadline(prost_types::Duration { seconds: 0, nanos: 0 });
    late.options.as_mut().unwrap().deadline_option = Some(over);
    session.send(late);
    assert_eq!(message(&session.answer().await.unwrap()), "Timeout");
    assert!(server.stream("key-a").is_empty());
}

#[tokio::test]
async fn the_server_ends_a_session_at_the_calls_deadline() {
    let server = Simulator::start(Options::default());
    let start = Instant::now();
    let mut session = Session::start(&server, Some(Duration::from_millis(200))).await;
    let ended = session.answer().await.unwrap_err();
    assert!(matches!(ended.code(), Code::DeadlineExceeded | Code::Cancelled), "{ended}");
    assert!(start.elapsed() >= Duration::from_millis(190));
    server.until("the session is over", |counts| counts.open_batch_sessions == 0).await;
}

async fn subscribe(server: &Simulator, prefix: &str, from: all_options::AllOption) -> Streaming<ReadResp> {
    let filter = filter_options::Expression { regex: String::new(), prefix: vec![prefix.to_owned()] };
    let options = read_req::Options {
        stream_option: Some(StreamOption::All(AllOptions { all_option: Some(from) })),
        count_option: Some(CountOption::Subscription(SubscriptionOptions {})),
        filter_option: Some(FilterOption::Filter(FilterOptions {
            filter: Some(filter_options::Filter::StreamIdentifier(filter)),
            window: Some(filter_options::Window::Max(10)),
            checkpoint_interval_multiplier: 2,
        })),
        uuid_option: Some(UuidOption { content: Some(Form::Structured(())) }),
        ..Default::default()
    };
    plain(server).await.read(ReadReq { options: Some(options) }).await.unwrap().into_inner()
}

async fn said(subscription: &mut Streaming<ReadResp>) -> Content {
    subscription.message().await.unwrap().unwrap().content.unwrap()
}

/// What a subscription brings until it has caught up: revisions of events, and positions of checkpoints.
async fn until_caught_up(
    subscription: &mut Streaming<ReadResp>,
) -> Vec<Result<u64, read_req::options::Position>> {
    assert!(matches!(said(subscription).await, Content::Confirmation(_)));
    let mut all = Vec::new();
    loop {
        match said(subscription).await {
            Content::Event(event) => all.push(Ok(event.event.unwrap().stream_revision)),
            Content::Checkpoint(wire) => {
                let Checkpoint { commit_position, prepare_position, .. } = wire;
                all.push(Err(read_req::options::Position { commit_position, prepare_position }));
            }
            Content::CaughtUp(_) => return all,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_filtered_subscription_brings_checkpoints_from_which_nothing_is_lost() {
    let server = Simulator::start(Options::default());
    let mut session = Session::start(&server, None).await;
    for number in 0..5_u64 {
        server.write_system_events(7 * number as usize + 20);
        let mut append = piece(1, Some("key-a"), number as i64..number as i64 + 1, true);
        append.options.as_mut().unwrap().expected_stream_position = Some(ExpectedStreamPosition::Any(()));
        session.send(append);
        session.answer().await.unwrap();
    }
    server.write_system_events(30);
    let mut subscription = subscribe(&server, "key-", all_options::AllOption::Start(())).await;
    let brought = until_caught_up(&mut subscription).await;
    let events =
        |of: &[Result<u64, _>]| Vec::from_iter(of.iter().filter_map(|one| one.as_ref().ok().copied()));
    assert_eq!(events(&brought), [0, 1, 2, 3, 4]);
    assert_eq!(brought.len() - 5, server.all().len() / 20, "one for each 20 events considered");
    for (place, checkpoint) in brought.iter().enumerate() {
        let Err(checkpoint) = checkpoint else { continue };
        let from = all_options::AllOption::Position(*checkpoint);
        let mut resumed = subscribe(&server, "key-", from).await;
        assert_eq!(events(&until_caught_up(&mut resumed).await), events(&brought[place..]), "{checkpoint:?}");
    }

    server.write_system_events(40);
    let live = [said(&mut subscription).await, said(&mut subscription).await];
    let positions = Vec::from_iter(server.all().iter().map(|event| event.position));
    for checkpoint in live {
        let Content::Checkpoint(checkpoint) = checkpoint else { panic!("{checkpoint:?}") };
        assert!(positions.contains(&checkpoint.commit_position));
    }
}

#[tokio::test]
async fn a_subscription_from_no_records_start_is_refused() {
    let server = Simulator::start(Options::default());
    let at = server.all()[3].position + 1;
    let position = read_req::options::Position { commit_position: at, prepare_position: at };
    let mut subscription = subscribe(&server, "", all_options::AllOption::Position(position)).await;
    let refused = subscription.message().await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

#[tokio::test]
async fn a_subscription_that_the_server_ends_ends_without_an_error() {
    let server = Simulator::start(Options::default());
    let mut subscription = subscribe(&server, "key-", all_options::AllOption::End(())).await;
    assert!(matches!(said(&mut subscription).await, Content::Confirmation(_)));
    assert_eq!(server.end_subscriptions(), 1);
    while let Some(said) = subscription.message().await.unwrap() {
        assert!(matches!(said.content, Some(Content::CaughtUp(_))), "{said:?}");
    }
}
