//! Each fault does what it says, once, at its place.

use std::time::{Duration, Instant};

use eventstore::{Client, StreamState};
use nemo_eventstoredb_simulator::{
    AppendFault, Calls, Code, LateAnswer, Options, ReadFault, Refusal, Simulator,
};

use crate::appends::is_conflict;
use crate::client::{append, connect, event, events, numbers, read_stream, session};

/// Long enough for an answer that comes, short enough to wait for one that does not.
const SOON: Duration = Duration::from_millis(300);

/// One append under a fault: what the client hears (`None`: nothing), and how many events the stream then has.
async fn under(fault: AppendFault) -> (Option<eventstore::Result<u64>>, usize) {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    server.next_append(fault.clone());
    let appended = append(&client, "key-a", StreamState::StreamRevision(0), events(1..3));
    let heard = soon_after_the_fault(&server, appended).await;
    let held = server.stream("key-a").len();

    // The next append is an ordinary one: the same bytes again succeed, written before or now.
    let client = connect(&server);
    let again = append(&client, "key-a", StreamState::StreamRevision(0), events(1..3)).await.unwrap();
    assert_eq!(again.current_revision(), Some(2), "{fault:?}");
    assert_eq!(numbers(&read_stream(&client, "key-a", &Default::default()).await), [0, 1, 2], "{fault:?}");
    (heard.map(|heard| heard.map(|written| written.current_revision().unwrap())), held)
}

/// What comes back, if anything does soon after the fault has happened.
async fn soon_after_the_fault<T>(server: &Simulator, call: impl Future<Output = T>) -> Option<T> {
    let patience = async {
        server.until("the fault has happened", |counts| counts.faults == 1).await;
        tokio::time::sleep(SOON).await;
    };
    tokio::select! {
        heard = call => {
            server.until("the fault has happened", |counts| counts.faults == 1).await;
            Some(heard)
        }
        () = patience => None,
    }
}

async fn heard_error(fault: AppendFault, events_then: usize) -> eventstore::Error {
    let (heard, held) = under(fault.clone()).await;
    assert_eq!(held, events_then, "{fault:?}");
    match heard {
        Some(Err(error)) => error,
        other => panic!("{fault:?}: {other:?}"),
    }
}

async fn heard_nothing(fault: AppendFault, events_then: usize) {
    let (heard, held) = under(fault.clone()).await;
    assert!(heard.is_none(), "{fault:?}: {heard:?}");
    assert_eq!(held, events_then, "{fault:?}");
}

#[tokio::test]
async fn a_conflict_is_said_although_nothing_changed() {
    let error = heard_error(AppendFault::Conflict, 1).await;
    assert!(is_conflict(&error), "{error}");
}

#[tokio::test]
async fn a_refusal_is_in_the_servers_words() {
    for (refusal, words) in [
        (Refusal::AccessDenied, "AccessDenied"),
        (Refusal::Timeout, "Timeout"),
        (Refusal::Busy, "Server Is Busy"),
        (Refusal::NotReady, "Server Is Not Ready"),
        (Refusal::TooLarge, "MaximumAppendSizeExceeded"),
        (Refusal::Unknown, "Unknown"),
    ] {
        let error = heard_error(AppendFault::Refuse(refusal), 1).await;
        assert!(
            matches!(&error, eventstore::Error::Grpc { message, .. } if message == words),
            "{words}: {error}"
        );
    }
}

#[tokio::test]
async fn a_call_ends_with_the_status_that_is_wanted() {
    let error = heard_error(AppendFault::Fail(Code::Unavailable), 1).await;
    assert!(matches!(error, eventstore::Error::ServerError(_)), "{error}");
    let error = heard_error(AppendFault::Fail(Code::ResourceExhausted), 1).await;
    assert!(matches!(error, eventstore::Error::Grpc { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_cut_before_the_commit_leaves_nothing() {
    for fault in [AppendFault::CutBeforeReading, AppendFault::CutBeforeCommit] {
        let error = heard_error(fault, 1).await;
        assert!(matches!(error, eventstore::Error::ServerError(_)), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_after_the_commit_loses_the_acknowledgement_alone() {
    for fault in [AppendFault::CutAfterCommit, AppendFault::CutMidAnswer] {
        let error = heard_error(fault, 3).await;
        assert!(matches!(error, eventstore::Error::ServerError(_)), "{error}");
    }
}

#[tokio::test]
async fn silence_says_nothing_of_what_was_written() {
    heard_nothing(AppendFault::Silent, 1).await;
    heard_nothing(AppendFault::SilentAfterCommit, 3).await;
}

#[tokio::test]
async fn a_fault_is_counted_when_it_has_happened() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    for number in 0..20 {
        let stream = format!("key-{number}");
        server.next_append(AppendFault::CutAfterCommit);
        let written = async {
            server.until("the fault has happened", |counts| counts.faults == number + 1).await;
            server.stream(&stream).len()
        };
        let appended = append(&client, &stream, StreamState::NoStream, events(0..3));
        let (appended, written) = tokio::join!(appended, written);
        appended.unwrap_err();
        assert_eq!(written, 3);
    }
}

/// The client does not notice that its session is over: it waits for ever.
#[tokio::test]
async fn a_session_that_the_server_ends_leaves_the_client_waiting() {
    heard_nothing(AppendFault::EndSession, 1).await;
}

#[tokio::test]
async fn a_slow_append_is_an_append() {
    let start = Instant::now();
    let (heard, held) = under(AppendFault::Slow(Duration::from_millis(50))).await;
    assert_eq!((heard.unwrap().unwrap(), held), (2, 3));
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_late_commit_happens_when_the_test_says_so() {
    for (answer, hears) in
        [(LateAnswer::Nothing, false), (LateAnswer::Timeout, true), (LateAnswer::Cut, true)]
    {
        let server = Simulator::start(Options::default());
        let client = connect(&server);
        server.next_append(AppendFault::LateCommit(answer));
        let appended = append(&client, "key-a", StreamState::NoStream, events(0..2));
        let heard = soon_after_the_fault(&server, appended).await;
        assert_eq!(heard.map(|heard| heard.is_err()), hears.then_some(true), "{answer:?}");
        assert!(server.stream("key-a").is_empty());
        assert_eq!(server.commit_late(), 1);
        assert_eq!(server.stream("key-a").len(), 2);
        assert_eq!(server.commit_late(), 0, "once");
        let counts = server.counts();
        assert_eq!((counts.appends_arrived, counts.appends_committed, counts.events_committed), (1, 1, 2));
    }
}

#[tokio::test]
async fn a_late_commit_comes_too_late_when_its_stream_moved_on() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    server.next_append(AppendFault::LateCommit(LateAnswer::Timeout));
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap_err();
    append(&client, "key-a", StreamState::NoStream, events(5..6)).await.unwrap();
    assert_eq!(server.commit_late(), 0);
    assert_eq!(server.stream("key-a").len(), 1);
}

#[tokio::test]
async fn a_fault_for_one_stream_leaves_the_others_alone() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    server.next_append_to("key-b", AppendFault::Conflict);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    assert!(is_conflict(&append(&client, "key-b", StreamState::NoStream, events(0..1)).await.unwrap_err()));
    append(&client, "key-b", StreamState::NoStream, events(0..1)).await.unwrap();

    server.every_append_to("key-", AppendFault::Conflict);
    for _ in 0..3 {
        let refused = append(&client, "key-c", StreamState::NoStream, events(0..1)).await.unwrap_err();
        assert!(is_conflict(&refused), "{refused}");
    }
    server.clear_append_faults();
    append(&client, "key-c", StreamState::NoStream, events(0..1)).await.unwrap();
    assert_eq!(server.counts().faults, 4);
}

/// Whether it answers soon.
async fn answers<T>(call: impl Future<Output = T>) -> bool {
    tokio::time::timeout(SOON, call).await.is_ok()
}

async fn read(client: &Client) -> usize {
    read_stream(client, "key-a", &Default::default()).await.len()
}

#[tokio::test]
async fn what_hangs_hangs_until_it_is_released_and_nothing_else_does() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();

    server.hang(Calls::Appends);
    let waiting = session(&client).await;
    let appended = waiting.append_to_stream("key-a", StreamState::StreamRevision(0), vec![event(1)]);
    tokio::pin!(appended);
    assert!(!answers(&mut appended).await);
    assert!(answers(read(&client)).await);
    server.release(Calls::Appends);
    assert_eq!(appended.await.unwrap().current_revision(), Some(1));

    server.hang(Calls::Reads);
    assert!(!answers(read(&client)).await);
    assert!(answers(append(&client, "key-b", StreamState::NoStream, events(0..1))).await);
    server.release(Calls::Reads);
    assert_eq!(read(&client).await, 2);
}

#[tokio::test]
async fn a_server_that_hangs_as_a_whole_answers_nobody_and_goes_on_afterwards() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    let before = server.counts();
    server.hang(Calls::Everything);
    let another = connect(&server);
    assert!(!answers(read(&client)).await);
    assert!(!answers(session(&another)).await);
    assert!(!answers(append(&client, "key-a", StreamState::StreamRevision(0), events(1..2))).await);
    assert_eq!(server.counts().appends_arrived, before.appends_arrived, "nothing was read");
    server.release(Calls::Everything);
    assert!(read(&client).await >= 1);
}

#[tokio::test]
async fn latency_is_added_to_appends_and_reads_and_appends_in_flight_share_it() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let session = session(&client).await;
    let latency = Duration::from_millis(40);
    server.latency(latency);
    let start = Instant::now();
    let streams =
        (0..20).map(|number| {
            let session = &session;
            async move {
                session.append_to_stream(format!("key-{number}"), StreamState::NoStream, events(0..1)).await
            }
        });
    for appended in futures_util::future::join_all(streams).await {
        appended.unwrap();
    }
    let took = start.elapsed();
    assert!(took >= latency && took < 10 * latency, "twenty at once took {took:?}");
    let start = Instant::now();
    read_stream(&client, "key-0", &Default::default()).await;
    assert!(start.elapsed() >= latency);
}

#[tokio::test]
async fn a_read_fails_or_is_cut_behind_as_many_events_as_the_test_wants() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..80)).await.unwrap();
    let code = Code::Unavailable;
    for (fault, events) in [
        (ReadFault::Fail { after: 0, code }, 0..=0),
        (ReadFault::Fail { after: 50, code }, 50..=50),
        (ReadFault::Fail { after: 200, code }, 80..=80),
        (ReadFault::Cut { after: 50 }, 0..=50),
    ] {
        server.next_read(fault);
        let mut read = client.read_stream("key-a", &Default::default()).await.unwrap();
        let mut got = 0;
        let error = loop {
            match read.next().await {
                Ok(Some(_)) => got += 1,
                Ok(None) => panic!("{fault:?}: the read ended well"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, eventstore::Error::ServerError(_)), "{fault:?}: {error}");
        assert!(events.contains(&got), "{fault:?}: {got}");
        assert_eq!(read_stream(&client, "key-a", &Default::default()).await.len(), 80, "once");
    }
    assert_eq!(server.counts().faults, 4);
}
