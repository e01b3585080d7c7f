//! Rotations that are killed between every two of their steps: nobody is locked out, and the same command, or
//! the next start, does the rest.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::{
    add_pepper, count, done, gateway_events, manage, master_key_on_disk, peppers, run, secrets, stderr,
};
use crate::harness::{Nemo, Setup, until};

/// In their order: each of the three files before it is in its place, and after it.
const STEPS: [&str; 6] = [
    "secrets-file-written:1",
    "secrets-key-written:1",
    "secrets-file-written:2",
    "secrets-key-installed:1",
    "secrets-file-written:3",
    "secrets-key-handed-over:1",
];

async fn killed(nemo: &Nemo, args: &[&str], place: &str) {
    let mut command = secrets(nemo, args);
    command.env("NEMO_CRASH_AT", place);
    let output = run(command).await;
    assert_eq!(output.status.signal(), Some(9), "{place}: {}", stderr(&output));
}

/// The files of secrets: nothing else is left lying about.
fn files(nemo: &Nemo) -> BTreeSet<String> {
    let entries = fs::read_dir(nemo.data().join("secrets")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_rotation_that_was_killed_is_finished_by_the_same_command() {
    let nemo = Nemo::start().await;
    let mut before = nemo.master_key().to_owned();
    for place in STEPS {
        killed(&nemo, &["rotate-master-key"], place).await;
        manage(&nemo, &before, "/api/ledger").await.ok();
        done(secrets(&nemo, &["rotate-master-key"])).await;
        let after = master_key_on_disk(&nemo);
        assert_ne!(after, before);
        for key in [&before, &after] {
            manage(&nemo, key, "/api/ledger").await.ok();
        }
        before = after;
        assert_eq!(files(&nemo), ["master-key", "master.toml", "peppers.toml"].map(str::to_owned).into());
    }
    nemo.terminate().await;
    let events = gateway_events(&nemo).await;
    assert_eq!(count(&events, "MasterKeyInstalled"), 1 + STEPS.len(), "one for each rotation, and the first");
    nemo.restart().await;
    manage(&nemo, &before, "/api/ledger").await.ok();
}

#[tokio::test]
async fn a_leak_whose_answer_was_killed_is_answered_by_the_same_command() {
    let nemo = Nemo::start().await;
    let first = nemo.master_key().to_owned();
    let key = nemo.rich_key().await;
    let args = ["master-key-leaked", "--since", "1h", "--block", "--yes", "--output", "jsonl"];
    for place in STEPS {
        let leaked = master_key_on_disk(&nemo);
        killed(&nemo, &args, place).await;
        let deeds = done(secrets(&nemo, &args)).await;
        manage(&nemo, &leaked, "/api/ledger").await.refused(401, "master_key_replaced");
        manage(&nemo, &master_key_on_disk(&nemo), "/api/ledger").await.ok();
        let by_first = deeds.lines().filter(|line| line.contains("\"KeyCreated\"")).count();
        assert_eq!(by_first, usize::from(leaked == first), "{deeds}");
    }
    nemo.terminate().await;
    let events = gateway_events(&nemo).await;
    assert_eq!(count(&events, "MasterKeyInstalled"), 1 + STEPS.len(), "no key was replaced twice");
    let leaked = events.iter().filter(|(_, data)| data["leaked"] == true).count();
    assert_eq!(leaked, STEPS.len());
    nemo.restart().await;
    key.chat(json!({})).await.refused(403, "key_blocked");
}

#[tokio::test]
async fn a_pepper_whose_adding_or_retiring_was_killed_is_added_or_retired_by_the_same_command() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let old = peppers(&nemo).await[0].0.clone();
    killed(&nemo, &["add-pepper"], "secrets-file-written:1").await;
    key.chat(json!({})).await.ok();
    add_pepper(&nemo).await;
    key.chat(json!({})).await.ok();
    killed(&nemo, &["retire-pepper", &old, "--yes"], "secrets-file-written:1").await;
    key.chat(json!({})).await.ok();
    done(secrets(&nemo, &["retire-pepper", &old, "--yes"])).await;
    key.chat(json!({})).await.ok();
    assert_eq!(peppers(&nemo).await.len(), 2);
    assert_eq!(files(&nemo), ["master-key", "master.toml", "peppers.toml"].map(str::to_owned).into());
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_takes_secrets_up_does_so_at_its_next_start() {
    for place in ["secrets-read", "secrets-recorded"] {
        let plan = tempfile::NamedTempFile::new().unwrap();
        let nemo =
            Setup::default().env("NEMO_CRASH_AT", &format!("@{}", plan.path().display())).start().await;
        let old = nemo.master_key().to_owned();
        // The first look is over when the ledger answers to what was asked behind it.
        nemo.rich_key().await;
        fs::write(plan.path(), format!("{place}:1")).unwrap();
        let output = run(secrets(&nemo, &["rotate-master-key", "--output", "json"])).await;
        assert!(output.status.success(), "{}", stderr(&output));
        nemo.until_exit().await;
        fs::write(plan.path(), "").unwrap();
        nemo.restart().await;
        for key in [&old, &master_key_on_disk(&nemo)] {
            manage(&nemo, key, "/api/ledger").await.ok();
        }

        fs::write(plan.path(), format!("{place}:1 ")).unwrap();
        let output = run(secrets(&nemo, &["add-pepper"])).await;
        assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
        nemo.until_exit().await;
        fs::write(plan.path(), " ").unwrap();
        nemo.restart().await;
        let current = || async {
            let told: Value = manage(&nemo, &master_key_on_disk(&nemo), "/api/secrets").await.ok();
            let peppers = told["secrets"].as_array().unwrap().iter().filter(|row| row["kind"] == "pepper");
            (peppers.map(|row| row["keys"].as_u64()).collect::<Option<Vec<_>>>()? == [1, 0]).then_some(())
        };
        until("both peppers are known", current).await;
        nemo.terminate().await;
        let events = gateway_events(&nemo).await;
        assert_eq!((count(&events, "MasterKeyInstalled"), count(&events, "PepperAdded")), (2, 2), "{place}");
    }
}
