//! Rotating what opens the gateway while it serves: the master key, the peppers, and what to do when the master
//! key has leaked. The real command on the real directory, beside the real server.

#[cfg(feature = "failpoints")]
mod interrupted;
mod leaked;
mod master_key;
mod peppers;

use std::process::{Command, Output};

use nemo_events::{EventRecord, Revision, StreamName};
use nemo_store::embedded::{EmbeddedStore, Options};
use nemo_store::{Direction, EventStore};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Nemo};

/// `nemo secrets …` for this gateway's own directory.
fn secrets(nemo: &Nemo, args: &[&str]) -> Command {
    let mut command = nemo.cli();
    command.env("NEMO_SECRETS_DIR", nemo.data().join("secrets")).arg("secrets").args(args);
    command
}

/// Runs a command without holding up the test's other tasks.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that must succeed; what it wrote to standard output.
async fn done(command: Command) -> String {
    let output = run(command).await;
    assert!(output.status.success(), "{}\n{}", stdout(&output), stderr(&output));
    stdout(&output)
}

/// The master key that is in the file now; [`Nemo::master_key`] is the one of the first start.
fn master_key_on_disk(nemo: &Nemo) -> String {
    std::fs::read_to_string(nemo.master_key_file()).unwrap().trim().to_owned()
}

/// A management request with this master key.
async fn manage(nemo: &Nemo, master_key: &str, path: &str) -> Answer {
    Answer::of(nemo.http().request(Method::GET, nemo.url(path)).bearer_auth(master_key)).await
}

/// What the server tells of its secrets, asked with the master key on disk.
async fn told(nemo: &Nemo) -> Value {
    let position = manage(nemo, &master_key_on_disk(nemo), "/api/ledger").await.ok()["position"].clone();
    manage(nemo, &master_key_on_disk(nemo), &format!("/api/secrets?min_position={position}")).await.ok()
}

/// The peppers as `id status keys`, oldest first.
async fn peppers(nemo: &Nemo) -> Vec<(String, String, u64)> {
    let told = told(nemo).await;
    let rows = told["secrets"].as_array().unwrap().iter().filter(|row| row["kind"] == "pepper");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.map(|row| (text(&row["id"]), text(&row["status"]), row["keys"].as_u64().unwrap())).collect()
}

/// Adds a pepper; its id.
async fn add_pepper(nemo: &Nemo) -> String {
    let added = done(secrets(nemo, &["add-pepper", "--output", "jsonl"])).await;
    let row: Value = serde_json::from_str(&added).unwrap();
    assert_eq!((&row["kind"], &row["status"]), (&json!("pepper"), &json!("current")));
    row["id"].as_str().unwrap().to_owned()
}

/// The `gateway` stream of a stopped node, as type and data.
async fn gateway_events(nemo: &Nemo) -> Vec<(String, Value)> {
    let store = EmbeddedStore::open(&nemo.data(), Options::default()).unwrap();
    let events = store.read_stream(&StreamName::Gateway, Revision(0), Direction::Forwards, 1_000).await;
    store.close().await;
    let told = |record: &EventRecord| {
        (
            record.event.event_type.to_string(),
            serde_json::from_slice(&record.event.data).unwrap_or(json!(null)),
        )
    };
    events.unwrap().iter().map(told).collect()
}

fn count(events: &[(String, Value)], kind: &str) -> usize {
    events.iter().filter(|(event_type, _)| event_type == kind).count()
}
