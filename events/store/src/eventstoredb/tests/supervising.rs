//! The server is away, comes back, hangs, or hands over to another: the store says so, and recovers by itself.

use nemo_eventstoredb_simulator::{AppendFault, Calls};

use super::*;

fn away(reach: &Reach) -> bool {
    matches!(reach, Reach::Away { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_server_is_not_there_yet_says_so_at_once_and_connects_later() {
    let server = simulator();
    server.stop();
    let store = EventStoreDb::connect(&options(&server, PATIENT)).unwrap();
    let mut script = Script::of_key(1);
    for _ in 0..3 {
        let append = script.clone().next(1).send(&store).await;
        assert!(matches!(append, Err(AppendError::Unavailable(_))), "{append:?}");
        let read = store.read_all(None, 1).await;
        assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
        assert!(matches!(store.head().await, Err(ReadError::Unavailable(_))));
        assert!(matches!(store.subscribe_all(None).await, Err(ReadError::Unavailable(_))));
        until(&store, |reach| matches!(reach, Reach::Away { why } if why != "not connected yet")).await;
    }
    server.start_again();
    assert_eq!(in_time(store.reachable()).await, Reach::Reachable);
    script.write(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_noticed_without_traffic_and_found_again() {
    let server = simulator();
    let store = connect(&options(&server, Tuning { check_every: ATTENTIVE, ..PATIENT })).await;
    let mut script = Script::of_key(1);
    for _ in 0..5 {
        script.write(&store, 1).await;
        server.stop();
        until(&store, away).await;
        let append = script.clone().next(1).send(&store).await;
        assert!(
            matches!(append, Err(AppendError::Unavailable(_))),
            "nothing was written, for certain: {append:?}"
        );
        server.start_again();
        in_time(store.reachable()).await;
    }
    assert_eq!(stored(&store, &script).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_altogether_is_noticed_and_found_again() {
    let server = simulator();
    let store = connect(&options(&server, Tuning { check_every: ATTENTIVE, ..IMPATIENT })).await;
    let mut script = Script::of_key(1);
    script.write(&store, 1).await;
    server.hang(Calls::Everything);
    let append = script.next(1);
    let answer = in_time(append.send(&store)).await;
    assert!(matches!(answer, Err(AppendError::Unknown(_) | AppendError::Unavailable(_))), "{answer:?}");
    until(&store, away).await;
    server.release(Calls::Everything);
    in_time(async {
        while append.send(&store).await.is_err() {
            store.reachable().await;
        }
    })
    .await;
    assert_eq!(stored(&store, &script).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_the_leader_changes_under_load() {
    let server = Simulator::start(nemo_eventstoredb_simulator::Options::default().nodes(3));
    let store = Arc::new(connected(&server).await);
    let mut subscription = store.subscribe_all(None).await.unwrap();
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..6 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            let mut script = Script::of_key(number);
            for _ in 0..60 {
                let append = script.next(2);
                loop {
                    match append.send(&*store).await {
                        Ok(_) => break,
                        Err(AppendError::Unknown(_) | AppendError::Unavailable(_)) => {
                            store.reachable().await;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            script
        });
    }
    let mut leader = 0;
    while !writing.is_empty() {
        let arrived = server.counts().appends_committed;
        leader = (leader + 1) % 3;
        server.elect(leader);
        tokio::select! {
            _ = server.until("some were written", |counts| counts.appends_committed > arrived + 20) => {}
            Some(script) = writing.join_next() => {
                let script = script.unwrap();
                assert_eq!(stored(&store, &script).await.len(), 120);
            }
        }
    }
    let mut seen = 0;
    while seen < 6 * 120 {
        seen += in_time(subscription.next()).await.unwrap().unwrap().len();
    }
    assert_eq!(seen, 6 * 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_leader_is_gone_is_used_through_the_next_one() {
    let server = Simulator::start(nemo_eventstoredb_simulator::Options::default().nodes(3));
    let store = connect(&options(&server, Tuning { check_every: ATTENTIVE, ..PATIENT })).await;
    let mut script = Script::of_key(1);
    for leader in [1, 2, 0] {
        script.write(&store, 1).await;
        let before = server.leader();
        server.stop_node(before);
        server.elect(leader);
        in_time(async {
            while store.read_all(None, 1).await.is_err() {
                until(&store, |reach| *reach == Reach::Reachable).await;
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.start_node(before);
    }
    script.write(&store, 1).await;
    assert_eq!(stored(&store, &script).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_for_what_is_in_flight_and_not_longer() {
    let server = simulator();
    let store = Arc::new(connect(&options(&server, IMPATIENT)).await);
    server.next_append(AppendFault::Slow(Duration::from_millis(200)));
    let arrived = server.counts().appends_arrived;
    let slow = tokio::spawn({
        let store = Arc::clone(&store);
        async move { Script::of_key(1).next(1).send(&*store).await }
    });
    server.until("it arrived", |counts| counts.appends_arrived > arrived).await;
    in_time(store.close()).await;
    assert!(slow.await.unwrap().is_ok());
    assert_eq!(store.reach(), Reach::Closed);
    assert_eq!(store.reachable().await, Reach::Closed);
    server.until("nothing is open any more", |counts| counts.open_connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_server_does_not_keep_a_store_from_closing() {
    let server = simulator();
    let store = connect(&options(&server, IMPATIENT)).await;
    let _subscription = store.subscribe_all(None).await.unwrap();
    server.hang(Calls::Everything);
    in_time(store.close()).await;
    let never = EventStoreDb::connect(&options(&server, IMPATIENT)).unwrap();
    in_time(never.close()).await;
}
