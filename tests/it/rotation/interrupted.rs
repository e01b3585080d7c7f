//! Rotations that are killed between every two of their steps: nobody is locked out, and the same command, or
//! the next start, does the rest.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::{count, done, gateway_events, manage, master_key_on_disk, run, secrets, stderr};
use crate::harness::{Nemo, Setup, until};

const STEPS: [&str; 3] = ["secrets-key-written", "secrets-key-installed", "secrets-key-handed-over"];

async fn killed(nemo: &Nemo, args: &[&str], place: &str) {
    let mut command = secrets(nemo, args);
    command.env("NEMO_CRASH_AT", format!("{place}:1"));
    let output = run(command).await;
    assert_eq!(output.status.signal(), Some(9), "{place}: {}", stderr(&output));
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
    }
    nemo.terminate().await;
    let events = gateway_events(&nemo).await;
    assert_eq!(count(&events, "MasterKeyInstalled"), 4, "one for each rotation, and the first");
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
    assert_eq!(count(&events, "MasterKeyInstalled"), 4, "no key was replaced twice");
    let leaked = events.iter().filter(|(_, data)| data["leaked"] == true).count();
    assert_eq!(leaked, 3);
    nemo.restart().await;
    key.chat(json!({})).await.refused(403, "key_blocked");
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
