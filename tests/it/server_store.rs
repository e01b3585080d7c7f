//! The ledger on a server that comes and goes: the real program over real gRPC, against a simulated server.

mod absence;
mod commands;
mod moving;
mod starting;

use std::time::{Duration, Instant};

use nemo_eventstoredb_simulator::{Options, Simulator};
use serde_json::Value;

use crate::harness::{Nemo, Setup, until};

/// A server, and a gateway whose ledger is on it.
async fn gateway() -> (Simulator, Nemo) {
    let server = Simulator::start(Options::default());
    let nemo = Setup::default().on_server(&server.connection_string()).start().await;
    is_ready(&nemo).await;
    (server, nemo)
}

/// Waits until calls are taken.
async fn is_ready(nemo: &Nemo) {
    until("it takes calls", || async { (readiness(nemo).await.0 == 200).then_some(()) }).await;
}

/// Status and reason.
async fn readiness(nemo: &Nemo) -> (u16, String) {
    let answer = nemo.http().get(nemo.url("/readyz")).send().await.unwrap();
    let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
    (status, body["reason"].as_str().unwrap_or_default().to_owned())
}

/// How long something took.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (work.await, began.elapsed())
}

/// Events of ledgers on a server.
fn written(server: &Simulator) -> usize {
    server.all().iter().filter(|event| !event.stream.starts_with('$')).count()
}
