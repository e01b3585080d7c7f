//! Appends that go wrong: whatever is told of them is true, and sent again they are there once.

use nemo_eventstoredb_simulator::{AppendFault, Calls, Code, LateAnswer, Refusal};

use super::*;
use crate::append_bytes;
use crate::contract::Append;

/// The prefixed name that the server knows a script's stream by.
fn on_server(store: &EventStoreDb, script: &Script) -> String {
    store.shared.names.on_server(&script.stream)
}

/// Sends the same events until it is known what became of them, as the ledger does.
async fn until_known(store: &EventStoreDb, append: &Append) -> Result<Position, AppendError> {
    loop {
        match append.send(store).await {
            Err(AppendError::Unknown(_) | AppendError::Unavailable(_)) => {
                in_time(store.reachable()).await;
            }
            known => return known,
        }
    }
}

/// What the first answer may be.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Unknown,
    Unavailable,
    Conflict,
}

fn told(answer: &Result<Position, AppendError>) -> Told {
    match answer {
        Err(AppendError::Unknown(_)) => Told::Unknown,
        Err(AppendError::Unavailable(_)) => Told::Unavailable,
        Err(AppendError::Conflict) => Told::Conflict,
        other => panic!("{other:?}"),
    }
}

/// The faults, and whether the events are there after the first answer.
async fn goes_wrong(server: &Simulator, fault: AppendFault, first: Told, written: bool) {
    let store = connect(&options(server, IMPATIENT)).await;
    let mut script = Script::of_key(1);
    script.write(&store, 2).await;
    let append = script.next(3);
    server.next_append_to(&on_server(&store, &script), fault.clone());
    let answer = append.send(&store).await;
    assert_eq!(told(&answer), first, "{fault:?}: {answer:?}");
    let there = server.stream(&on_server(&store, &script)).len();
    assert_eq!(there, if written { 5 } else { 2 }, "{fault:?}");
    let position = in_time(until_known(&store, &append)).await.unwrap();
    let events = stored(&store, &script).await;
    assert_eq!(events[2..], append.events, "{fault:?}: there once, in order");
    assert_eq!(store.head().await.unwrap(), Some(position), "{fault:?}");
    script.write(&store, 1).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_loses_its_connection_at_any_point_is_there_once() {
    let server = simulator();
    for (fault, written) in [
        (AppendFault::CutBeforeReading, false),
        (AppendFault::CutBeforeCommit, false),
        (AppendFault::CutAfterCommit, true),
        (AppendFault::CutMidAnswer, true),
        (AppendFault::Fail(Code::Unavailable), false),
        (AppendFault::Fail(Code::Internal), false),
    ] {
        goes_wrong(&server, fault, Told::Unknown, written).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_not_answered_in_time_is_there_once() {
    let server = simulator();
    goes_wrong(&server, AppendFault::SilentAfterCommit, Told::Unknown, true).await;
    goes_wrong(&server, AppendFault::Silent, Told::Unknown, false).await;
    goes_wrong(&server, AppendFault::Refuse(Refusal::Timeout), Told::Unknown, false).await;
    goes_wrong(&server, AppendFault::Refuse(Refusal::Unknown), Told::Unknown, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_busy_server_refuses_is_not_written_and_can_be_sent_again() {
    let server = simulator();
    for refusal in [Refusal::Busy, Refusal::NotReady, Refusal::AccessDenied] {
        goes_wrong(&server, AppendFault::Refuse(refusal), Told::Unavailable, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_that_the_server_makes_up_writes_nothing() {
    goes_wrong(&simulator(), AppendFault::Conflict, Told::Conflict, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_committed_late_is_there_once_whether_it_was_sent_again_or_not() {
    let server = simulator();
    for answer in [LateAnswer::Nothing, LateAnswer::Timeout, LateAnswer::Cut] {
        for again_before in [true, false] {
            let store = connect(&options(&server, IMPATIENT)).await;
            let mut script = Script::of_key(1);
            script.write(&store, 1).await;
            let append = script.next(2);
            server.next_append(AppendFault::LateCommit(answer));
            let answered = append.send(&store).await;
            assert_eq!(told(&answered), Told::Unknown, "{answered:?}");
            let again = if again_before { Some(until_known(&store, &append).await.unwrap()) } else { None };
            assert_eq!(server.commit_late(), usize::from(!again_before));
            let position = until_known(&store, &append).await.unwrap();
            assert!(again.is_none_or(|again| again == position));
            assert_eq!(stored(&store, &script).await[1..], append.events);
            store.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_took_the_place_of_a_late_append_is_a_conflict_for_it() {
    let server = simulator();
    let store = connect(&options(&server, IMPATIENT)).await;
    let mut script = Script::of_key(1);
    script.write(&store, 1).await;
    let late = script.clone().next(2);
    server.next_append(AppendFault::LateCommit(LateAnswer::Timeout));
    assert_eq!(told(&late.send(&store).await), Told::Unknown);
    script.write(&store, 1).await;
    assert_eq!(server.commit_late(), 0);
    assert_eq!(told(&late.send(&store).await), Told::Conflict);
    assert_eq!(stored(&store, &script).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_on_one_stream_leaves_the_appends_of_others_alone() {
    let server = simulator();
    let store = Arc::new(connected(&server).await);
    let mut contested = Script::of_key(0);
    let stale = contested.clone();
    contested.write(&*store, 1).await;
    let mut writing = tokio::task::JoinSet::new();
    for number in 1..=6 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            let mut script = Script::of_key(number);
            for _ in 0..40 {
                // Every one of them is told what became of it.
                script.write(&*store, 2).await;
            }
        });
    }
    while !writing.is_empty() {
        let answer = stale.clone().next(1).send(&*store).await;
        assert_eq!(told(&answer), Told::Conflict);
        while writing.try_join_next().map(Result::unwrap).is_some() {}
    }
    assert!(server.counts().conflicts > 10, "{:?}", server.counts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_bytes_than_the_server_takes_are_refused_whoever_notices_first() {
    let small = nemo_eventstoredb_simulator::Options::default().max_append_bytes(20_000);
    let server = Simulator::start(small);
    let store = connected(&server).await;
    let mut script = Script::of_key(1).with_data(format!("\"{}\"", "x".repeat(30_000)));
    assert!(store.max_append_bytes() < 1 << 20, "what the server takes by default");
    // Below our limit, but above the server's.
    let answer = script.clone().next(1).send(&store).await;
    assert!(matches!(answer, Err(AppendError::Invalid(_))), "{answer:?}");
    let arrived = server.counts().appends_arrived;
    let answer = script.clone().next(40).send(&store).await;
    assert!(matches!(answer, Err(AppendError::Invalid(_))), "{answer:?}");
    assert_eq!(server.counts().appends_arrived, arrived, "not even sent");
    script = Script::of_key(1);
    script.write(&store, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_as_its_bytes_is_never_less_than_what_the_server_counts() {
    let server = simulator();
    let store = connected(&server).await;
    let mut script = Script::of_key(1).with_data("{}");
    let append = script.next(3);
    append.send(&store).await.unwrap();
    for (event, stored) in append.events.iter().zip(server.stream(&on_server(&store, &script))) {
        let counted = stored.data.len() + stored.metadata.len() + 2 * stored.event_type.len();
        assert!(append_bytes(event) >= counted, "{} < {counted}", append_bytes(event));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_hang_do_not_keep_reads_from_their_answers() {
    let server = simulator();
    let store = Arc::new(connect(&options(&server, Tuning { sessions: 2, ..IMPATIENT })).await);
    let mut script = Script::of_key(1);
    script.write(&*store, 1).await;
    let arrived = server.counts().appends_arrived;
    server.hang(Calls::Appends);
    let mut hanging = tokio::task::JoinSet::new();
    for number in 2..6 {
        let store = Arc::clone(&store);
        hanging.spawn(async move { Script::of_key(number).next(1).send(&*store).await });
    }
    server.until("two are on their way", |counts| counts.appends_arrived >= arrived + 2).await;
    assert_eq!(stored(&store, &script).await.len(), 1);
    let answers: Vec<Told> = in_time(hanging.join_all()).await.iter().map(told).collect();
    let unknown = answers.iter().filter(|told| **told == Told::Unknown).count();
    assert!(unknown >= 2, "those that were sent: {answers:?}");
    assert!(!answers.contains(&Told::Conflict));
    server.release(Calls::Appends);
    let append = script.next(1);
    in_time(until_known(&store, &append)).await.unwrap();
}
