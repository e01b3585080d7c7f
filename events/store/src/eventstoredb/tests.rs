//! The contract on a server, and what can go wrong with one.
//!
//! The server is simulated, unless `NEMO_TEST_EVENTSTORE` has the connection string of a real one: then the contract
//! is run there, each promise under a prefix of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod appending;
mod following;
mod leaks;
mod reading;
mod secured;
mod supervising;

use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use nemo_eventstoredb_simulator::Simulator;
use uuid::Uuid;

use super::*;
use crate::contract::Script;

const REAL: &str = "NEMO_TEST_EVENTSTORE";

static SAID: Once = Once::new();

crate::contract_tests!(async || {
    let real = std::env::var(REAL).ok();
    // Once for all promises, past the test runner, which would keep it to itself.
    SAID.call_once(|| {
        let what =
            if real.is_some() { "the real server that NEMO_TEST_EVENTSTORE names" } else { "the simulator" };
        let _ = writeln!(std::io::stderr(), "the contract of EventStoreDB is tested on {what}");
    });
    let (store, server) = match real {
        Some(connection) => (connect(&Options::new(&connection).unwrap()).await, None),
        None => {
            let server = simulator();
            (connected(&server).await, Some(server))
        }
    };
    (Arc::new(store) as Arc<dyn EventStore>, server)
});

fn simulator() -> Simulator {
    Simulator::start(nemo_eventstoredb_simulator::Options::default())
}

/// Patience for a busy machine, and short pauses.
const PATIENT: Tuning = Tuning {
    sessions: 8,
    timeout: Duration::from_secs(20),
    scan_timeout: Duration::from_secs(20),
    check_every: Duration::from_secs(5),
    first_pause: Duration::from_millis(5),
    longest_pause: Duration::from_millis(50),
    max_append_bytes: 1_000_000,
};

/// Where a server is going to hang.
const IMPATIENT: Tuning =
    Tuning { timeout: Duration::from_millis(1_500), scan_timeout: Duration::from_millis(1_500), ..PATIENT };

/// Where it is to be noticed without traffic that the server is away.
const ATTENTIVE: Duration = Duration::from_millis(50);

fn options(server: &Simulator, tuning: Tuning) -> Options {
    let mut options = Options::new(&server.connection_string()).unwrap();
    options.tuning = tuning;
    options
}

/// A store that answers, under a prefix of its own.
async fn connect(options: &Options) -> EventStoreDb {
    let prefix = format!("test-{}-", Uuid::new_v4().simple());
    connect_to(&options.clone().with_prefix(&prefix).unwrap()).await
}

async fn connect_to(options: &Options) -> EventStoreDb {
    let store = EventStoreDb::connect(options).unwrap();
    assert_eq!(in_time(store.reachable()).await, Reach::Reachable);
    store
}

async fn connected(server: &Simulator) -> EventStoreDb {
    connect(&options(server, PATIENT)).await
}

/// What takes longer than this never happens.
async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it happens in time")
}

/// Waits until the store is as asked.
async fn until(store: &EventStoreDb, is: impl Fn(&Reach) -> bool) {
    let mut state = store.shared.state.subscribe();
    in_time(state.wait_for(|_| is(&store.reach()))).await.unwrap();
}

/// Everything that is stored of a script's stream.
async fn stored(store: &EventStoreDb, script: &Script) -> Vec<Sealed> {
    let records = in_time(async {
        loop {
            match store.read_stream(&script.stream, Revision::FIRST, Direction::Forwards, usize::MAX).await {
                Err(ReadError::Unavailable(_)) => drop(store.reachable().await),
                records => return records,
            }
        }
    });
    records.await.unwrap().into_iter().map(|record| record.event).collect()
}
