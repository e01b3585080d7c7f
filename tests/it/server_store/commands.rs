//! What operators do with a ledger that a server keeps: back it up while it is served, restore it, put it back
//! on a server; and have the doctor look at it.

use std::process::Command;

use nemo_eventstoredb_simulator::{Options, Simulator};
use nemo_store::EventStore as _;
use nemo_store::eventstoredb::{EventStoreDb, Options as StoreOptions};
use serde_json::{Value, json};

use super::{gateway, is_ready};
use crate::fake_provider::Behaviour;
use crate::harness::{Nemo, start_an_hour_ahead};

/// What a command printed as JSON.
async fn told(mut command: Command) -> Value {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// Asks the node that serves.
async fn of_node(nemo: &Nemo, line: &str) -> Value {
    let mut command = nemo.cli();
    command.arg("ledger").args(line.split_whitespace()).args(["--output", "json"]);
    told(command).await
}

/// Works on directories.
async fn local(nemo: &Nemo, line: &str) -> Value {
    let mut command = nemo.local_cli();
    command.arg("ledger").args(line.split_whitespace());
    told(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_served_ledger_goes_on_is_restored_and_goes_back_to_a_server() {
    let (server, nemo) = gateway().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    key.ended_calls().await;
    let first = of_node(&nemo, "backup b").await;
    for _ in 0..5 {
        key.chat(json!({})).await.ok();
    }
    key.ended_calls().await;
    let second = of_node(&nemo, "backup b").await;
    let (before, after) = (first["events"].as_u64().unwrap(), second["events"].as_u64().unwrap());
    assert_eq!(second["new_events"].as_u64(), Some(after - before), "{second}");
    let verified = of_node(&nemo, "verify --serving").await;
    assert_eq!((&verified["log_digest"], &verified["events"]), (&second["log_digest"], &second["events"]));
    assert!(second["source_position"].as_u64() > Some(after), "the server counts otherwise: {second}");

    local(&nemo, "verify --data-dir b").await;
    let restored = local(&nemo, "restore b --data-dir restored --output json").await;
    assert_eq!(restored["log_digest"], second["log_digest"]);
    local(&nemo, "verify --data-dir restored").await;

    let history = key.history().await;
    nemo.kill9().await;
    drop(server);
    let fresh = Simulator::start(Options::default());
    let url = fresh.connection_string();
    let copied = local(&nemo, &format!("copy --from restored --to {url} --output json")).await;
    assert_eq!(copied["log_digest"], second["log_digest"]);
    let path = nemo.home().join("nemo.toml");
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines = lines.lines().map(|line| match line.starts_with("url = ") {
        true => format!("url = \"{url}\""),
        false => line.to_owned(),
    });
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    nemo.restart().await;
    is_ready(&nemo).await;
    assert_eq!(key.history().await, history);
    key.chat(json!({})).await.ok();
    key.books_balance().await;
}

/// The doctor's findings about some checks: level, and what was found.
async fn findings(nemo: &Nemo, checks: &[&str], more: &[&str]) -> Vec<(String, String)> {
    let mut command = nemo.local_cli();
    command.args(["doctor", "--config", "nemo.toml", "--output", "json"]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = all.iter().filter(|finding| checks.contains(&finding["check"].as_str().unwrap()));
    of.map(|finding| (text(&finding["level"]), text(&finding["found"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_whether_the_server_answers_and_whether_the_clock_is_behind_its_ledger() {
    let (server, nemo) = gateway().await;
    let good = findings(&nemo, &["store", "clock"], &[]).await;
    assert!(good.iter().all(|(level, _)| level == "ok") && good.len() == 2, "{good:?}");
    assert!(good[0].1.contains("holds a ledger"), "{good:?}");
    assert!(findings(&nemo, &["store"], &["--offline"]).await.is_empty());
    assert!(nemo.terminate().await.success());
    let store = EventStoreDb::connect(&StoreOptions::new(&server.connection_string()).unwrap()).unwrap();
    store.reachable().await;
    start_an_hour_ahead(&store).await;
    store.close().await;
    let behind = findings(&nemo, &["clock"], &[]).await;
    assert!(
        behind[0].0 == "fail" && behind[0].1.contains("s behind the last event in the ledger"),
        "{behind:?}"
    );

    server.stop();
    let away = findings(&nemo, &["store"], &[]).await;
    assert!(away.len() == 1 && away[0].0 == "fail" && away[0].1.contains("cannot be reached"), "{away:?}");
}
