//! `nemo ledger`: backups taken while a node serves, and restored elsewhere; read models built anew.
//!
//! Map: `load` at full load, bit for bit · `kills` every command killed at every place · `refusals` what is
//! refused, and in which words · here what they share, and the formats.

mod kills;
mod load;
mod refusals;

use std::path::{Path, PathBuf};
use std::process::Command;

use nemo_events::EventRecord;
use nemo_read_model::ReadModel;
use nemo_store::embedded::Options;
use nemo_store::{EmbeddedStore, EventStore, MAX_PAGE};
use serde_json::{Value, json};

use super::{FORMATS, Ran, ran};
use crate::fake_provider::Behaviour;
use crate::harness::{Key, Nemo, program};

/// A gateway with some calls in its ledger.
async fn used() -> (Nemo, Key) {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    for _ in 0..12 {
        key.chat(json!({})).await.ok();
    }
    (nemo, key)
}

/// `nemo ledger` with a line of words and no server in its environment.
fn ledger(nemo: &Nemo, line: &str) -> Command {
    let mut command = program();
    command.current_dir(nemo.home()).arg("ledger").args(line.split_whitespace());
    command
}

/// The same, to be told of the node that serves.
fn of_node(nemo: &Nemo, line: &str) -> Command {
    let mut command = nemo.cli();
    command.arg("ledger").args(line.split_whitespace());
    command
}

/// How `nemo serve` refuses a directory.
async fn not_served(nemo: &Nemo, dir: &str) -> String {
    let mut serve = program();
    serve.current_dir(nemo.home()).args(["serve", "--config", "nemo.toml", "--data-dir", dir]);
    let ran = ran(serve).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    ran.stderr
}

async fn in_json(mut command: Command) -> Value {
    command.args(["--output", "json"]);
    ran(command).await.json()
}

/// Everything that a stopped directory's ledger holds.
async fn log(dir: &Path) -> Vec<EventRecord> {
    let dir = dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&dir, Options::default()));
    let store = opened.await.unwrap().unwrap();
    let (mut after, mut log) = (None, Vec::new());
    loop {
        let page = store.read_all(after, MAX_PAGE).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.position);
        log.extend(page);
    }
    store.close().await;
    log
}

/// Fails unless both fold to the same read model, row by row.
fn same_folds(one: &[EventRecord], other: &[EventRecord]) {
    let home = tempfile::tempdir().unwrap();
    let [one, other] = [("one", one), ("other", other)].map(|(name, log)| {
        let mut model = ReadModel::open(&home.path().join(name)).unwrap().model;
        for page in log.chunks(MAX_PAGE) {
            model.apply(page).unwrap();
        }
        model
    });
    let compared = nemo_read_model::compare(&one.reader().unwrap(), &other.reader().unwrap()).unwrap();
    assert!(compared.differences.is_empty(), "{:?}", compared.differences);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Puts a restored directory in place of the gateway's own, with its secrets.
fn take_over(nemo: &Nemo, restored: &Path) -> PathBuf {
    let original = nemo.home().join("original");
    std::fs::rename(nemo.data(), &original).unwrap();
    std::fs::rename(restored, nemo.data()).unwrap();
    copy_dir(&original.join("secrets"), &nemo.data().join("secrets"));
    std::fs::set_permissions(
        nemo.data().join("secrets"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    original
}

#[tokio::test]
async fn commands_on_a_stopped_directory_print_every_format() {
    let (nemo, _key) = used().await;
    assert!(nemo.terminate().await.success());
    for format in FORMATS {
        let lines = [
            "status --data-dir data".to_owned(),
            format!("backup b-{format} --data-dir data"),
            format!("restore b-{format} --data-dir r-{format}"),
            "rebuild --data-dir data".to_owned(),
        ];
        for line in lines {
            let ran = ran(ledger(&nemo, &format!("{line} --output {format}"))).await;
            has_form(format, &line, &ran);
        }
    }
}

fn has_form(format: &str, line: &str, ran: &Ran) {
    let text = ran.ok();
    assert!(text.ends_with('\n') && !text.contains('\x1b') && !ran.stderr.contains('\r'), "{line} {ran:?}");
    match format {
        "json" | "jsonl" => assert!(ran.json().is_object(), "{line} {ran:?}"),
        "csv" => assert_eq!(ran.csv().len(), 1, "{line} {ran:?}"),
        _ => assert!(text.lines().count() >= 2, "{line} {ran:?}"),
    }
}

#[tokio::test]
async fn a_nodes_status_says_where_the_ledger_and_its_read_model_stand() {
    let (nemo, _key) = used().await;
    let told = in_json(of_node(&nemo, "status")).await;
    let position = told["position"].as_u64().unwrap();
    assert!(position > 24 && told["read_model"]["state"].is_string(), "{told}");
    let table = ran(of_node(&nemo, "status")).await;
    assert!(table.ok().contains(&position.to_string()), "{table:?}");
    assert!(nemo.terminate().await.success());
    let stopped = in_json(ledger(&nemo, "status --data-dir data")).await;
    assert_eq!((&stopped["is"], stopped["position"].as_u64() > Some(position)), (&json!("ledger"), true));
}

#[tokio::test]
async fn a_ledger_that_is_served_is_verified_by_whoever_asks() {
    let (nemo, _key) = used().await;
    let verified = in_json(of_node(&nemo, "verify --serving")).await;
    let position = verified["position"].as_u64().unwrap();
    let backup = in_json(of_node(&nemo, &format!("backup b --at {position}"))).await;
    for digest in ["log_digest", "heads_digest"] {
        assert_eq!(verified[digest], backup[digest]);
    }
    let both = ran(of_node(&nemo, "verify --serving --data-dir data")).await;
    assert_eq!(both.code, 2, "{both:?}");
}
