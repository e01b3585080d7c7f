//! Servers that stop, start, lead, follow, ask who comes, and speak TLS.

use std::net::TcpStream;

use eventstore::{AppendToStreamOptions, StreamState};
use nemo_eventstoredb_simulator::{AppendFault, Calls, Options, Simulator};

use crate::client::{append, connect, connect_to, event, events, numbers, read_stream, session};

#[tokio::test]
async fn a_stopped_server_refuses_connections_and_a_started_one_has_what_was_committed() {
    let directory = tempfile::tempdir().unwrap();
    for options in [Options::default(), Options::default().durable(directory.path().join("log"))] {
        let server = Simulator::start(options);
        let client = connect(&server);
        append(&client, "key-a", StreamState::NoStream, events(0..40)).await.unwrap();
        let before = server.all();
        server.stop();
        assert!(TcpStream::connect(("127.0.0.1", server.ports()[0])).is_err());
        assert!(client.read_stream("key-a", &Default::default()).await.is_err());
        server.start_again();
        let client = connect(&server);
        assert_eq!(numbers(&read_stream(&client, "key-a", &Default::default()).await), Vec::from_iter(0..40));
        assert_eq!(server.all(), before);
        append(&client, "key-a", StreamState::StreamRevision(39), events(40..41)).await.unwrap();
    }
}

#[tokio::test]
async fn a_durable_log_outlives_its_server_and_what_was_half_written_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    let server = Simulator::start(Options::default().durable(&file));
    append(&connect(&server), "key-a", StreamState::NoStream, events(0..3)).await.unwrap();
    let (before, port) = (server.all(), server.ports()[0]);
    drop(server);
    let mut bytes = std::fs::read(&file).unwrap();
    let half = bytes[..bytes.len() / 2].to_vec();
    bytes.extend_from_slice(&half[..50]);
    std::fs::write(&file, bytes).unwrap();

    let server = Simulator::start(Options::default().durable(&file).ports([port]));
    assert_eq!(server.all(), before);
    append(&connect(&server), "key-a", StreamState::StreamRevision(2), events(3..4)).await.unwrap();
    drop(server);
    let server = Simulator::start(Options::default().durable(&file));
    assert_eq!(server.stream("key-a").len(), 4);
}

#[tokio::test]
async fn nothing_is_committed_once_the_server_has_stopped() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    let waiting = session(&client).await;
    server.hang(Calls::Appends);
    let appended = waiting.append_to_stream("key-a", StreamState::NoStream, vec![event(1)]);
    let stop = async {
        server.until("the append arrived", |counts| counts.appends_arrived == 1).await;
        server.stop();
        server.release(Calls::Appends);
    };
    let (appended, ()) = tokio::join!(appended, stop);
    appended.unwrap_err();
    server.until("all connections are closed", |counts| counts.open_connections == 0).await;
    assert_eq!((server.counts().appends_committed, server.stream("key-a").len()), (0, 0));
}

#[tokio::test]
async fn connections_that_are_cut_are_made_again() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    server.cut_connections();
    server.until("the connection is closed", |counts| counts.open_connections == 0).await;
    assert_eq!(read_stream(&client, "key-a", &Default::default()).await.len(), 1);
    assert_eq!(server.counts().connections, 2);
}

#[tokio::test]
async fn everything_ends_when_the_server_is_dropped() {
    let server = Simulator::start(Options::default());
    let (client, port) = (connect(&server), server.ports()[0]);
    let hanging = session(&client).await;
    server.hang(Calls::Appends);
    let appended = hanging.append_to_stream("key-a", StreamState::NoStream, vec![event(1)]);
    let end = async {
        server.until("the append arrived", |counts| counts.appends_arrived == 1).await;
        drop(server);
    };
    let (appended, ()) = tokio::join!(appended, end);
    appended.unwrap_err();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn a_cluster_is_found_by_any_of_its_nodes_and_its_leader_takes_the_appends() {
    let server = Simulator::start(Options::default().nodes(3));
    server.elect(2);
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    assert_eq!(read_stream(&client, "key-a", &Default::default()).await.len(), 1);
}

#[tokio::test]
async fn an_append_to_a_follower_is_redirected_to_the_leader() {
    let server = Simulator::start(Options::default().nodes(2));
    let client = connect_to(&format!("esdb://127.0.0.1:{}?tls=false", server.ports()[1]));
    let refused = append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap_err();
    let eventstore::Error::NotLeaderException(leader) = refused else { panic!("{refused}") };
    assert_eq!(leader.port, u32::from(server.ports()[0]));
    // The client follows the redirection by itself.
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    assert_eq!(server.stream("key-a").len(), 1);
}

#[tokio::test]
async fn a_leader_that_lost_its_place_commits_nothing_that_it_had_read() {
    let server = Simulator::start(Options::default().nodes(2));
    let client = connect_to(&format!("esdb://127.0.0.1:{}?tls=false", server.ports()[0]));
    let session = session(&client).await;
    server.hang(Calls::Appends);
    let appended = session.append_to_stream("key-a", StreamState::NoStream, vec![event(1)]);
    let elect = async {
        server.until("the append arrived", |counts| counts.appends_arrived == 1).await;
        server.elect(1);
        server.release(Calls::Appends);
    };
    let (appended, ()) = tokio::join!(appended, elect);
    let refused = appended.unwrap_err();
    assert!(matches!(refused, eventstore::Error::NotLeaderException(_)), "{refused}");
    assert!(server.stream("key-a").is_empty());
}

#[tokio::test]
async fn without_a_leader_there_is_nobody_to_be_redirected_to() {
    let server = Simulator::start(Options::default().nodes(2));
    let client = connect_to(&format!("esdb://127.0.0.1:{}?tls=false", server.ports()[1]));
    server.stop_node(0);
    let refused = append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap_err();
    assert!(refused.to_string().contains("No leader info"), "{refused}");
    server.start_node(0);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap_err();
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
}

#[tokio::test]
async fn credentials_are_required_where_the_options_say_so() {
    let server = Simulator::start(Options::default().credentials("admin", "right"));
    let address = format!("127.0.0.1:{}?tls=false", server.ports()[0]);
    append(&connect(&server), "key-a", StreamState::NoStream, events(0..1)).await.unwrap();

    let anonymous = connect_to(&format!("esdb://{address}"));
    let refused = append(&anonymous, "key-b", StreamState::NoStream, events(0..1)).await.unwrap_err();
    assert!(refused.to_string().contains("AccessDenied"), "{refused}");
    let refused = anonymous.read_stream("key-a", &Default::default()).await.unwrap_err();
    assert!(refused.is_access_denied(), "{refused}");

    let stranger = connect_to(&format!("esdb://admin:wrong@{address}"));
    let refused = append(&stranger, "key-b", StreamState::NoStream, events(0..1)).await.unwrap_err();
    assert!(refused.is_access_denied(), "{refused}");
    assert!(server.stream("key-b").is_empty());
}

#[tokio::test]
async fn tls_is_spoken_with_the_certificate_that_is_given_and_faults_work_through_it() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("ca.pem");
    std::fs::write(&authority, made.cert.pem()).unwrap();
    let options =
        Options::default().host("localhost").tls(&made.cert.pem(), &made.signing_key.serialize_pem());
    let server = Simulator::start(options);
    let trusting = format!("{}&tlsCaFile={}", server.connection_string(), authority.display());
    let client = connect_to(&trusting);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    server.next_append(AppendFault::CutMidAnswer);
    append(&client, "key-a", StreamState::StreamRevision(0), events(1..2)).await.unwrap_err();
    assert_eq!(server.stream("key-a").len(), 2);

    let distrusting = connect(&server);
    let new = AppendToStreamOptions::default().stream_state(StreamState::NoStream);
    distrusting.append_to_stream("key-b", &new, event(1)).await.unwrap_err();
}

#[tokio::test]
async fn a_hundred_connections_that_were_cut_leave_nothing_behind() {
    let server = Simulator::start(Options::default());
    let client = connect(&server);
    append(&client, "key-a", StreamState::NoStream, events(0..1)).await.unwrap();
    let before = open_files();
    for connection in 1..=100 {
        server.cut_connections();
        server.until("it is closed", |counts| counts.open_connections == 0).await;
        assert_eq!(read_stream(&client, "key-a", &Default::default()).await.len(), 1);
        assert_eq!(server.counts().connections, 1 + connection);
    }
    let counts = server.counts();
    assert_eq!((counts.open_connections, counts.open_batch_sessions, counts.open_subscriptions), (1, 0, 0));
    assert!(open_files() <= before + 50, "other tests have files open too, but not a hundred more");
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
