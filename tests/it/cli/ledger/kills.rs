//! `kill -9` of backup, restore and rebuild at every place that they have: what was there stays, nothing looks
//! whole that is not, and the same command again completes it.
#![cfg(feature = "failpoints")]

use std::process::Command;

use super::{copy_dir, in_json, ledger, log, not_served, of_node, ran, used};

const BACKUP: [&str; 7] = [
    "backup-copying",
    "group-commit",
    "group-committed",
    "backup-comparing",
    "backup-copied",
    "backup-described",
    "backup-finished",
];
const RESTORE: [&str; 5] =
    ["restore-copying", "group-commit", "group-committed", "restore-comparing", "restore-copied"];
const REBUILD: [&str; 4] = ["rebuild-page", "rebuild-built", "rebuild-discarded", "rebuild-replaced"];

/// Runs it until it kills itself.
async fn killed(mut command: Command, place: &str) {
    command.env("NEMO_CRASH_AT", format!("{place}:1"));
    let ran = ran(command).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (-1, ""), "{place} was not reached: {ran:?}");
}

#[tokio::test]
async fn a_backup_that_was_killed_anywhere_looks_unfinished_and_is_completed_by_the_next() {
    let (nemo, _key) = used().await;
    let whole = in_json(of_node(&nemo, "backup whole")).await;
    let at = &whole["events"];
    for (n, place) in BACKUP.iter().enumerate() {
        let line = format!("backup b{n} --at {at}");
        killed(of_node(&nemo, &line), place).await;
        assert!(!nemo.home().join(format!("b{n}")).exists(), "{place}");
        let early = ran(ledger(&nemo, &format!("restore b{n} --data-dir r"))).await;
        assert!(early.failed(3).contains("no backup"), "{place} {early:?}");
        let made = in_json(of_node(&nemo, &line)).await;
        assert_eq!(
            (&made["log_digest"], &made["heads_digest"]),
            (&whole["log_digest"], &whole["heads_digest"]),
            "{place}"
        );
        assert!(!nemo.home().join(format!("b{n}.partial")).exists(), "{place}");
    }
}

#[tokio::test]
async fn a_backup_that_was_killed_while_it_went_on_is_still_the_earlier_one() {
    let (nemo, _key) = used().await;
    let early = in_json(of_node(&nemo, "backup early --at 20")).await;
    for (n, place) in
        ["backup-resuming", "group-committed", "backup-comparing", "backup-copied"].iter().enumerate()
    {
        let backup = format!("b{n}");
        copy_dir(&nemo.home().join("early"), &nemo.home().join(&backup));
        killed(of_node(&nemo, &format!("backup {backup}")), place).await;
        let restored = in_json(ledger(&nemo, &format!("restore {backup} --data-dir r{n}"))).await;
        assert_eq!(
            (&restored["events"], &restored["log_digest"]),
            (&early["events"], &early["log_digest"]),
            "{place}"
        );
        let made = in_json(of_node(&nemo, &format!("backup {backup}"))).await;
        assert!(made["events"].as_u64() > Some(20), "{place} {made}");
    }
}

#[tokio::test]
async fn a_restore_that_was_killed_anywhere_is_not_served_and_is_completed_by_the_next() {
    let (nemo, _key) = used().await;
    let backup = in_json(of_node(&nemo, "backup b")).await;
    assert!(nemo.terminate().await.success());
    let original = log(&nemo.data()).await;
    let original = &original[..usize::try_from(backup["events"].as_u64().unwrap()).unwrap()];
    for (n, place) in RESTORE.iter().enumerate() {
        let line = format!("restore b --data-dir r{n}");
        killed(ledger(&nemo, &line), place).await;
        assert!(not_served(&nemo, &format!("r{n}")).await.contains("unfinished restore"), "{place}");
        assert!(ran(ledger(&nemo, &format!("status --data-dir r{n}"))).await.failed(1).contains("again"));
        let restored = in_json(ledger(&nemo, &line)).await;
        assert_eq!(restored["log_digest"], backup["log_digest"], "{place}");
        assert!(log(&nemo.home().join(format!("r{n}"))).await == original, "{place}");
    }
}

#[tokio::test]
async fn a_rebuild_that_was_killed_anywhere_loses_nothing_and_is_completed_by_the_next() {
    let (nemo, key) = used().await;
    assert!(nemo.terminate().await.success());
    for place in REBUILD {
        killed(ledger(&nemo, "rebuild --data-dir data"), place).await;
        ran(ledger(&nemo, "verify --data-dir data")).await.ok();
        killed(ledger(&nemo, "rebuild --data-dir data"), place).await;
        in_json(ledger(&nemo, "rebuild --data-dir data")).await;
        ran(ledger(&nemo, "verify --data-dir data")).await.ok();
        assert!(!nemo.data().join("read-model.rebuild").exists(), "{place}");
    }
    nemo.restart().await;
    key.books_balance().await;
}

#[tokio::test]
async fn a_verification_that_was_killed_leaves_nothing_behind_for_long() {
    let (nemo, _key) = used().await;
    assert!(nemo.terminate().await.success());
    killed(ledger(&nemo, "verify --data-dir data"), "verify-page").await;
    ran(ledger(&nemo, "verify --data-dir data")).await.ok();
    for entry in std::fs::read_dir(nemo.data()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with("verify-"), "{name}");
    }
}
