//! Subscriptions outlive whatever happens to the server's: nothing is missed, nothing comes out of order.

use nemo_eventstoredb_simulator::{Calls, Code};

use super::*;

/// Takes deliveries up to `last`; checks their order.
async fn take(subscription: &mut Subscription, seen: &mut Vec<EventRecord>, last: Position) {
    while seen.last().map(|record| record.position) < Some(last) {
        let page = in_time(subscription.next()).await.expect("the store is open").unwrap();
        seen.extend(page);
    }
    assert!(seen.is_sorted_by(|a, b| a.position < b.position));
}

async fn survives(tuning: Tuning, server: &Simulator, mut happens: impl AsyncFnMut(usize)) {
    let store = connect(&options(server, tuning)).await;
    let mut scripts = [Script::of_key(1), Script::of_key(2)];
    let mut subscription = store.subscribe_all(None).await.unwrap();
    let mut seen = Vec::new();
    for round in 0..12 {
        let mut last = Position(0);
        for script in &mut scripts {
            let append = script.next(1 + round % 3);
            // What happens to the subscription may happen to the append, too.
            last = in_time(async {
                loop {
                    if let Ok(position) = append.send(&store).await {
                        return position;
                    }
                    store.reachable().await;
                }
            })
            .await;
        }
        if round % 2 == 0 {
            take(&mut subscription, &mut seen, last).await;
        }
        happens(round).await;
    }
    let last = loop {
        if let Ok(head) = store.head().await {
            break head.unwrap();
        }
        in_time(store.reachable()).await;
    };
    take(&mut subscription, &mut seen, last).await;
    assert_eq!(seen.len(), 2 * 24);
    assert!(server.counts().subscriptions > 6, "{:?}", server.counts());
    store.close().await;
    assert!(in_time(subscription.next()).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_the_server_ends_without_an_error_goes_on() {
    let server = simulator();
    survives(PATIENT, &server, async |_| {
        server.until("one is open", |counts| counts.open_subscriptions > 0).await;
        server.end_subscriptions();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_the_server_ends_with_an_error_goes_on() {
    let server = simulator();
    let codes = [Code::Unavailable, Code::Aborted, Code::PermissionDenied, Code::Unknown];
    survives(PATIENT, &server, async |round| {
        server.until("one is open", |counts| counts.open_subscriptions > 0).await;
        server.fail_subscriptions(codes[round % codes.len()]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_goes_on_when_connections_are_cut_and_servers_restarted() {
    let server = simulator();
    survives(PATIENT, &server, async |round| {
        server.until("one is open", |counts| counts.open_subscriptions > 0).await;
        if round % 2 == 0 { server.cut_connections() } else { server.restart() }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_whose_server_stands_still_is_made_again() {
    let server = simulator();
    let patience = Duration::from_millis(300);
    survives(Tuning { timeout: patience, ..PATIENT }, &server, async |round| {
        if round % 4 == 0 {
            server.hang(Calls::Subscriptions);
        } else if round % 4 == 1 {
            let before = server.counts().subscriptions;
            server.until("it was made again", |counts| counts.subscriptions > before + 1).await;
            server.release(Calls::Subscriptions);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_delivers_twice_is_delivered_once() {
    let server = simulator();
    let store = connected(&server).await;
    let mut script = Script::of_key(1);
    let mut subscription = store.subscribe_all(None).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..10 {
        let last = script.write(&store, 5).await;
        take(&mut subscription, &mut seen, last).await;
        assert_eq!(server.duplicate_deliveries(12), 1);
    }
    let last = script.write(&store, 1).await;
    take(&mut subscription, &mut seen, last).await;
    assert_eq!(seen.len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_subscribers_hold_up_nobody_and_keep_no_subscription_of_the_server() {
    let server = simulator();
    let store = connected(&server).await;
    let mut slow = Vec::new();
    for _ in 0..6 {
        slow.push(store.subscribe_all(None).await.unwrap());
    }
    // Together far more than all buffers of a connection.
    let mut script = Script::of_key(1).with_data(format!("\"{}\"", "x".repeat(2_000)));
    let mut last = None;
    for _ in 0..30 {
        last = Some(in_time(script.write(&store, 300)).await);
    }
    server.until("the slow ones are given up", |counts| counts.open_subscriptions == 0).await;
    assert_eq!(in_time(store.head()).await.unwrap(), last);
    for subscription in &mut slow {
        let mut seen = Vec::new();
        take(subscription, &mut seen, last.unwrap()).await;
        assert_eq!(seen.len(), 9_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_through_much_that_is_not_the_ledgers_resumes_where_it_was() {
    let server = simulator();
    let store = connected(&server).await;
    let mut script = Script::of_key(1);
    let mut subscription = store.subscribe_all(None).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let last = script.write(&store, 2).await;
        take(&mut subscription, &mut seen, last).await;
        server.write_system_events(5_000);
        server.fail_subscriptions(Code::Unavailable);
    }
    let last = script.write(&store, 1).await;
    take(&mut subscription, &mut seen, last).await;
    assert_eq!(seen.len(), 9);
}
