//! What is refused: nothing is restored over a ledger, nothing that is not whole is taken for it.

use std::fs;

use serde_json::json;

use super::{copy_dir, in_json, ledger, not_served, of_node, ran, used};
use crate::harness::Nemo;

#[tokio::test]
async fn nothing_is_restored_over_anything_and_nothing_but_a_whole_backup_is_restored() {
    let (nemo, _key) = used().await;
    let in_use = ran(ledger(&nemo, "backup b --data-dir data")).await;
    assert!(in_use.failed(1).contains("without --data-dir"), "{in_use:?}");
    in_json(of_node(&nemo, "backup b")).await;
    assert!(nemo.terminate().await.success());
    let over = ran(ledger(&nemo, "restore b --data-dir data")).await;
    assert!(over.failed(2).contains("nothing is restored over it"), "{over:?}");
    fs::create_dir(nemo.home().join("full")).unwrap();
    fs::write(nemo.home().join("full/thesis.txt"), "x").unwrap();
    assert!(ran(ledger(&nemo, "restore b --data-dir full")).await.failed(2).contains("thesis.txt"));
    assert!(ran(ledger(&nemo, "backup full --data-dir data")).await.failed(2).contains("no backup"));
    let nothing = ran(ledger(&nemo, "restore nowhere --data-dir n")).await;
    assert!(nothing.failed(3).contains("no backup"), "{nothing:?}");
    assert!(ran(ledger(&nemo, "restore data --data-dir n")).await.failed(3).contains("data directory"));
    assert!(ran(ledger(&nemo, "backup c --data-dir nowhere")).await.failed(3).contains("no ledger"));
    assert!(ran(ledger(&nemo, "backup c --data-dir data --at 100000")).await.failed(2).contains("ends at"));
    assert!(ran(ledger(&nemo, "backup b --data-dir data --at 2")).await.failed(2).contains("beyond"));
    assert!(not_served(&nemo, "b").await.contains("is a backup"));
    assert!(ran(ledger(&nemo, "rebuild --data-dir b")).await.failed(1).contains("is a backup"));
    assert!(!nemo.home().join("n").exists() && !nemo.home().join("c").exists());
}

#[tokio::test]
async fn a_backup_that_was_changed_is_not_restored_and_not_served() {
    let (nemo, _key) = used().await;
    in_json(of_node(&nemo, "backup b")).await;
    let home = nemo.home();
    for name in ["bent", "lying"] {
        copy_dir(&home.join("b"), &home.join(name));
    }
    let mut bytes = fs::read(home.join("bent/ledger.sqlite3")).unwrap();
    // All of them: a page that was split leaves copies behind that nobody reads.
    let places = (0..bytes.len() - 13).filter(|at| bytes[*at..].starts_with(b"CallAuthorize"));
    for at in places.collect::<Vec<_>>() {
        bytes[at] ^= 1;
    }
    fs::write(home.join("bent/ledger.sqlite3"), bytes).unwrap();
    assert!(!ran(ledger(&nemo, "restore bent --data-dir r1")).await.failed(5).is_empty());

    let text = fs::read_to_string(home.join("lying/backup.json")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["log_digest"] = json!("0".repeat(64));
    fs::write(home.join("lying/backup.json"), manifest.to_string()).unwrap();
    let lying = ran(ledger(&nemo, "restore lying --data-dir r2")).await;
    assert!(lying.failed(5).contains("backup.json"), "{lying:?}");
    assert!(not_served(&nemo, "r2").await.contains("unfinished restore"));
}

#[tokio::test]
async fn the_backup_of_another_ledger_is_left_alone() {
    let (nemo, _key) = used().await;
    let other = Nemo::start().await;
    in_json(of_node(&nemo, "backup b")).await;
    let theirs = format!("backup {}", nemo.home().join("b").display());
    let refused = ran(of_node(&other, &theirs)).await;
    assert!(refused.failed(1).contains("another ledger"), "{refused:?}");
    in_json(of_node(&nemo, "backup b")).await;
}

#[tokio::test]
async fn a_ledger_that_has_lost_events_is_noticed_when_its_backup_goes_on() {
    let (nemo, key) = used().await;
    in_json(of_node(&nemo, "backup early --at 20")).await;
    in_json(of_node(&nemo, "backup b")).await;
    drop(key);
    assert!(nemo.terminate().await.success());
    in_json(ledger(&nemo, "restore early --data-dir shorter")).await;
    let lost = ran(ledger(&nemo, "backup b --data-dir shorter")).await;
    assert!(lost.failed(5).contains("does not have"), "{lost:?}");
}

#[tokio::test]
async fn a_lost_watermark_is_accepted_only_if_it_is_meant() {
    let (nemo, _key) = used().await;
    assert!(nemo.terminate().await.success());
    fs::remove_file(nemo.data().join("watermark")).unwrap();
    let status = ran(ledger(&nemo, "status --data-dir data")).await;
    assert!(status.failed(5).contains("accept-end"), "{status:?}");
    assert!(ran(ledger(&nemo, "accept-end --data-dir data")).await.failed(2).contains("--yes"));
    let accepted = ran(ledger(&nemo, "accept-end --data-dir data --yes")).await;
    assert!(accepted.ok().is_empty() && accepted.stderr.contains("ends at position"), "{accepted:?}");
    nemo.restart().await;
}
