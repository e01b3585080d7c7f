//! A disk that fills up, and one whose sync fails, under the real program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{INPUT, Nemo, OUTPUT, Setup, until};

/// The shim, built once for each run.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let built = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faulty_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disk/faulty_disk.c");
        let status =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(status.unwrap().success(), "the shim does not compile");
        (folder, library)
    });
    &built.1
}

/// The switches of one disk.
struct Disk(TempDir);

impl Disk {
    async fn under_nemo() -> (Disk, Nemo) {
        let disk = Disk(tempfile::tempdir().unwrap());
        let setup = Setup::default()
            .env("LD_PRELOAD", shim().to_str().unwrap())
            .env("FAULTY_DISK", disk.0.path().to_str().unwrap());
        let nemo = setup.start().await;
        (disk, nemo)
    }

    fn set(&self, fault: &str) {
        fs::write(self.0.path().join(fault), "").unwrap();
    }

    fn mend(&self, fault: &str) {
        fs::remove_file(self.0.path().join(fault)).unwrap();
    }
}

/// Stops the gateway and verifies its ledger and read model.
async fn stopped_and_verified(nemo: &Nemo) {
    let mut verify = nemo.cli();
    assert!(nemo.terminate().await.success());
    let output = verify.args(["ledger", "verify", "--data-dir"]).arg(nemo.data()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_calls_keeps_reads_and_recovers_by_itself() {
    let (disk, nemo) = Disk::under_nemo().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let (requests, history) = (nemo.provider().request_count(), key.history().await);

    disk.set("full");
    key.chat(json!({})).await.refused(503, "ledger_unavailable");
    assert_eq!(nemo.http().get(nemo.url("/readyz")).send().await.unwrap().status(), 503);
    assert_eq!(nemo.provider().request_count(), requests, "nothing was sent unrecorded");
    assert_eq!(key.history().await, history, "reads go on, and nothing is half-written");
    assert_eq!(key.get("/v1/key").await.ok()["open_calls"], 0);
    assert_eq!(nemo.http().get(nemo.url("/healthz")).send().await.unwrap().status(), 200);

    disk.mend("full");
    until("calls are taken again", || async {
        let answer = key.chat(json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
    until("it is ready again", || async {
        let ready = nemo.http().get(nemo.url("/readyz")).send().await.unwrap();
        (ready.status() == 200).then_some(())
    })
    .await;
    key.books_balance().await;
    stopped_and_verified(&nemo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_runs_while_the_disk_is_full_is_billed_when_there_is_room() {
    let (disk, nemo) = Disk::under_nemo().await;
    nemo.provider().script(Behaviour::success(9, 7));
    nemo.provider().hold_at(Phase::BeforeLast);
    let key = nemo.rich_key().await;
    let mut stream = key.stream(json!({})).await;
    nemo.provider().until_held(Phase::BeforeLast, 1).await.unwrap();
    stream.until("data:").await;
    disk.set("full");
    nemo.provider().release();
    let tail = stream.rest().await;
    assert_eq!(tail.error_code().as_deref(), Some("ledger_unavailable"), "{}", tail.text());
    assert!(!tail.is_done(), "an answer whose bill is not durable is not complete");
    disk.mend("full");
    let call = key.only_call().await;
    assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", 9 * INPUT + 7 * OUTPUT));
    key.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_the_process_and_the_next_start_checks_everything() {
    let (disk, nemo) = Disk::under_nemo().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    let told = key.chat(json!({})).await;
    let acknowledged = told.cost();

    disk.set("broken");
    let body = key.body(json!({})).to_string();
    let answered = key.request(body.into()).send().await;
    assert!(answered.is_err_and(|error| error.status().is_none()), "nobody may be told anything");
    let exited = nemo.until_exit().await;
    assert_eq!(exited.status.code(), Some(70), "{}", exited.stderr);
    assert_eq!(nemo.provider().request_count(), 1, "nothing was sent on what may not be durable");

    disk.mend("broken");
    nemo.restart().await;
    let calls = key.ended_calls().await;
    assert_eq!(calls[0].charged(), acknowledged, "what was acknowledged is there");
    key.books_balance().await;
    let shown = nemo.ask("/api/ledger").await;
    assert_ne!(shown["position"], Value::Null);
    stopped_and_verified(&nemo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_and_a_restore_without_room_say_so_and_are_completed_when_there_is_some() {
    let nemo = Nemo::start().await;
    let disk = Disk(tempfile::tempdir().unwrap());
    let key = nemo.rich_key().await;
    key.chat(json!({})).await.ok();
    let run = |line: &str, crash_at: &str| {
        let mut command = nemo.cli();
        command.env("LD_PRELOAD", shim()).env("FAULTY_DISK", disk.0.path());
        if !crash_at.is_empty() {
            command.env("NEMO_CRASH_AT", crash_at);
        }
        let output = command.arg("ledger").args(line.split_whitespace()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for line in ["backup b", "restore b --data-dir r"] {
        // With failpoints, once there is a target to fill up.
        let place = format!("{}-copying:1", line.split(' ').next().unwrap_or_default());
        if cfg!(feature = "failpoints") {
            tokio::task::block_in_place(|| run(line, &place));
        }
        disk.set("full");
        let (code, told) = tokio::task::block_in_place(|| run(line, ""));
        assert!(code == Some(1) && told.contains("full"), "{line} {told}");
        key.chat(json!({})).await.ok();
        disk.mend("full");
        let (code, told) = tokio::task::block_in_place(|| run(line, ""));
        assert_eq!(code, Some(0), "{line} {told}");
    }
}
