//! Appends per second and their latency on a server beside the embedded store, with events of about 1 kB.
//!
//! `server_bench [seconds for each row, default 3]`
//! The server is the simulated one: the protocol, the sockets and the client are real, the engine behind them
//! is not. It keeps its log in a file and synchronises it before it answers. Round trips are on top of that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nemo_eventstoredb_simulator::Simulator;
use nemo_store::contract::Script;
use nemo_store::eventstoredb::{EventStoreDb, Options, Tuning};
use nemo_store::{EmbeddedStore, EventStore};

type Failure = Box<dyn std::error::Error>;

/// Who appends what.
#[derive(Clone, Copy)]
struct Load {
    what: &'static str,
    producers: u64,
    /// Events in each append.
    events: usize,
}

const LOADS: [Load; 3] = [
    Load { what: "one hot stream, one event at a time", producers: 1, events: 1 },
    Load { what: "one hot stream, 64 events at a time", producers: 1, events: 64 },
    Load { what: "64 streams at once, one event each", producers: 64, events: 1 },
];

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let length = Duration::from_secs(seconds);
    let dir = std::env::temp_dir().join(format!("nemo-server-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let embedded = Arc::new(EmbeddedStore::open(&dir.join("embedded"), Default::default())?);
    for load in LOADS {
        measure("embedded", embedded.clone(), load, length).await?;
    }
    embedded.close().await;
    for round_trip in [0, 1, 5] {
        for sessions in [1, 8, 32, 64] {
            let file = dir.join(format!("server-{round_trip}-{sessions}"));
            let server = Simulator::start(nemo_eventstoredb_simulator::Options::default().durable(file));
            server.latency(Duration::from_millis(round_trip));
            let mut options = Options::new(&server.connection_string())?;
            options.tuning = Tuning { sessions, ..Tuning::default() };
            let store = Arc::new(EventStoreDb::connect(&options)?);
            store.reachable().await;
            let name = format!("server, {round_trip} ms away, {sessions} sessions");
            for load in LOADS.into_iter().filter(|load| load.producers > 1 || sessions == 32) {
                measure(&name, store.clone(), load, length).await?;
            }
            store.close().await;
        }
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

async fn measure(
    name: &str,
    store: Arc<dyn EventStore>,
    load: Load,
    length: Duration,
) -> Result<(), Failure> {
    let mut working = tokio::task::JoinSet::new();
    let started = Instant::now();
    for producer in 0..load.producers {
        let store = Arc::clone(&store);
        // Streams that no other load has touched.
        let number = load.producers * 1_000 + load.events as u64 * 100_000 + producer;
        let mut script =
            Script::of_key(number).with_data(format!("{{\"text\":\"{}\"}}", "0123456789".repeat(70)));
        working.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < length {
                let append = script.next(load.events);
                let sent = Instant::now();
                store.append(append.expected, append.events).await?;
                latencies.push(sent.elapsed());
            }
            Ok::<_, nemo_store::AppendError>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(worker) = working.join_next().await {
        latencies.extend(worker??);
    }
    let took = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at =
        |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "{name}: {}: {:.0} appends/s, {:.0} events/s; ack p50 {:.2?}, p99 {:.2?}",
        load.what,
        latencies.len() as f64 / took,
        (latencies.len() * load.events) as f64 / took,
        at(0.5),
        at(0.99),
    );
    Ok(())
}
