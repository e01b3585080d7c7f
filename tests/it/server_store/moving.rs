//! A ledger that moves: from its directory to a server and back, and what is refused on the way.

use std::path::Path;
use std::process::Output;

use nemo_eventstoredb_simulator::{Options, Simulator};
use serde_json::{Value, json};

use super::{gateway, is_ready, written};
use crate::fake_provider::Behaviour;
use crate::harness::{Key, Nemo, Setup};

/// A gateway with a ledger in its directory that has seen something, stopped.
async fn stopped_with_a_past() -> (Nemo, Key) {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    for _ in 0..5 {
        key.chat(json!({})).await.ok();
    }
    key.ended_calls().await;
    (nemo, key)
}

fn copy(nemo: &Nemo, from: &str, to: &str, more: &[&str]) -> Output {
    let mut command = nemo.local_cli();
    command.args(["ledger", "copy", "--output", "json", "--from", from, "--to", to]).args(more);
    command.output().unwrap()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output, code: i32, told: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(told), "{stderr}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_moves_to_a_server_with_its_keys_and_back() {
    let (nemo, key) = stopped_with_a_past().await;
    let history = key.history().await;
    assert!(nemo.terminate().await.success());
    let server = Simulator::start(Options::default());
    let url = server.connection_string();
    let (data, back) = (nemo.data(), nemo.home().join("back"));

    let there = report(&copy(&nemo, text(&data), &url, &[]));
    assert_eq!(there["copied"], there["events"]);
    let again = report(&copy(&nemo, text(&data), &url, &[]));
    assert_eq!((&again["copied"], &again["log_digest"]), (&json!(0), &there["log_digest"]));
    let verified = nemo.local_cli().args(["ledger", "verify", "--store", &url]).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    nemo.append_to_config(&format!("[store]\nurl = \"{url}\"\n"));
    nemo.restart().await;
    is_ready(&nemo).await;
    assert_eq!(key.history().await, history, "as it was");
    key.chat(json!({})).await.ok();
    key.books_balance().await;
    refused(&copy(&nemo, &url, text(&back), &[]), 1, "Nodes may be working on this ledger");
    assert!(nemo.terminate().await.success());

    let here = report(&copy(&nemo, &url, text(&back), &[]));
    assert!(here["events"].as_u64() > there["events"].as_u64());
    let verify = nemo.local_cli().args(["ledger", "verify", "--data-dir"]).arg(&back).output().unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stderr));
    refused(&copy(&nemo, text(&data), text(&back), &[]), 1, "more than the source");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_a_ledger_is_not_pointed_at_an_empty_server() {
    let (nemo, _key) = stopped_with_a_past().await;
    assert!(nemo.terminate().await.success());
    let server = Simulator::start(Options::default());
    nemo.append_to_config(&format!("[store]\nurl = \"{}\"\n", server.connection_string()));
    nemo.restart().await;
    let exited = nemo.until_exit().await;
    assert_eq!(exited.status.code(), Some(1));
    assert!(exited.stderr.contains("nemo ledger copy"), "{}", exited.stderr);
    assert!(written(&server) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_copied_is_refused() {
    let (nemo, _key) = stopped_with_a_past().await;
    let data = nemo.data();
    let to = nemo.home().join("copy");
    refused(&copy(&nemo, text(&data), text(&to), &[]), 1, "in use");
    assert!(nemo.terminate().await.success());
    refused(&copy(&nemo, text(&nemo.home().join("none")), text(&to), &[]), 3, "There is no ledger in");
    refused(&copy(&nemo, text(&data), text(&data), &[]), 2, "to where it is");
    refused(&copy(&nemo, text(&data), "http://db:2113", &[]), 1, "the URL of a server");
    let (foreign, other) = gateway().await;
    other.rich_key().await;
    let url = foreign.connection_string();
    refused(&copy(&nemo, text(&data), &url, &[]), 1, "not a beginning of the source");
    report(&copy(&nemo, text(&data), &url, &["--to-prefix", "second-"]));
    assert!(other.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = Simulator::start(Options::default());
    let url = server.connection_string();
    drop(server);
    let home = Setup::default().start().await;
    let mut verify = home.cli();
    let output = verify.args(["ledger", "verify", "--store", &url]).output().unwrap();
    refused(&output, 6, "cannot be reached");
}
