//! The master key is replaced while managers and callers are at work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    count, done, gateway_events, manage, master_key_on_disk, peppers, run, secrets, stderr, stdout, told,
};
use crate::fake_provider::Behaviour;
use crate::harness::{Nemo, until};
use crate::metrics::Page;

#[tokio::test]
async fn no_call_fails_while_both_keys_work_and_none_passes_with_the_old_one_afterwards() {
    let nemo = Nemo::start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let key = nemo.rich_key().await;
    let first = nemo.master_key().to_owned();
    let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let callers = async {
        while !over.load(Ordering::SeqCst) {
            key.chat(json!({})).await.ok();
            calls.fetch_add(1, Ordering::SeqCst);
        }
    };
    let overlapping = AtomicBool::new(true);
    let manager = async {
        while overlapping.load(Ordering::SeqCst) {
            manage(&nemo, &first, "/api/ledger").await.ok();
        }
    };
    let rotations = async {
        // 24 hours unless something else is asked for.
        done(secrets(&nemo, &["rotate-master-key"])).await;
        let second = master_key_on_disk(&nemo);
        assert_ne!(first, second);
        for master_key in [&first, &second] {
            manage(&nemo, master_key, "/api/ledger").await.ok();
        }
        overlapping.store(false, Ordering::SeqCst);
        tokio::task::yield_now().await;

        let output = run(secrets(&nemo, &["rotate-master-key", "--overlap", "0", "--yes"])).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let third = master_key_on_disk(&nemo);
        for refused in [&first, &second] {
            let answer = manage(&nemo, refused, "/api/ledger").await;
            answer.refused(401, "master_key_replaced");
        }
        manage(&nemo, &third, "/api/ledger").await.ok();
        // Whoever asks it to look at once does no harm.
        nemo.signal(Signal::HUP);
        let seen = calls.load(Ordering::SeqCst);
        let went_on = || async { (calls.load(Ordering::SeqCst) > seen + 2).then_some(()) };
        until("calls went on", went_on).await;
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(callers, manager, rotations);

    let told = told(&nemo).await;
    let standing: Vec<&Value> = told["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["kind"] == "master_key")
        .map(|row| &row["status"])
        .collect();
    assert_eq!(standing, ["retired", "retired", "current"]);
    assert_eq!(peppers(&nemo).await.len(), 1);

    nemo.terminate().await;
    let events = gateway_events(&nemo).await;
    assert_eq!((count(&events, "MasterKeyInstalled"), count(&events, "MasterKeyRetired")), (3, 3));
    let installed: Vec<_> = events.iter().filter(|(kind, _)| kind == "MasterKeyInstalled").collect();
    assert_eq!(installed[1].1["replaces"], installed[0].1["master_key"]);
    assert_eq!(installed[2].1["replaces"], installed[1].1["master_key"]);
    let misuse = events.iter().filter(|(kind, _)| kind == "PresentationsRefused");
    let misuse: Vec<_> = misuse.flat_map(|(_, data)| data["refusals"].as_array().unwrap().clone()).collect();
    let replaced = misuse.iter().find(|refusal| refusal["code"] == "master_key_replaced").unwrap();
    assert_eq!((&replaced["count"], &replaced["address"]), (&json!(2), &json!("127.0.0.1")));

    nemo.restart().await;
    manage(&nemo, &first, "/api/ledger").await.refused(401, "master_key_replaced");
    manage(&nemo, &master_key_on_disk(&nemo), "/api/ledger").await.ok();
}

/// All files below a folder that hold these bytes.
fn holding(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn the_new_master_key_is_in_its_file_and_nowhere_else() {
    let nemo = Nemo::start().await;
    nemo.rich_key().await;
    let mut said = String::new();
    for format in ["table", "json", "jsonl", "csv"] {
        let before = nemo.stdout().text();
        let output = run(secrets(&nemo, &["rotate-master-key", "--output", format])).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let key = master_key_on_disk(&nemo);
        manage(&nemo, &key, "/api/ledger").await.ok();
        assert!(stdout(&output).contains(&key[9..20]), "its public id is told: {}", stdout(&output));
        if format.starts_with("json") {
            let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
            assert_eq!(
                (&outcome["server"], &outcome["master_key"]),
                (&json!("taken_up"), &json!(key[9..20]))
            );
        }
        said = said + &stdout(&output) + &stderr(&output) + &before;
        assert_eq!(holding(nemo.home(), &key[20..]), [nemo.master_key_file().display().to_string()]);
        assert!(!said.contains(&key[20..]));
    }
    said = said + &nemo.stdout().text() + &nemo.stderr().text();
    let key = master_key_on_disk(&nemo);
    assert!(!said.contains(&key[20..]) && !said.contains(&nemo.master_key()[20..]));
    for file in fs::read_dir(nemo.data().join("secrets")).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600, "{:?}", file.path());
    }
    assert_eq!(fs::read_dir(nemo.data().join("secrets")).unwrap().count(), 3, "nothing is left lying about");
}

#[tokio::test]
async fn a_rotation_beside_a_stopped_server_is_taken_up_by_its_next_start() {
    let nemo = Nemo::start().await;
    let old = nemo.master_key().to_owned();
    let command = || secrets(&nemo, &["rotate-master-key", "--output", "json"]);
    let offline = command();
    nemo.terminate().await;
    let output = run(offline).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(outcome["server"], "not_running");
    assert!(stderr(&output).contains("when it starts"), "{}", stderr(&output));
    nemo.restart().await;
    for key in [old, master_key_on_disk(&nemo)] {
        manage(&nemo, &key, "/api/ledger").await.ok();
    }
}

#[tokio::test]
async fn a_rotation_without_an_overlap_must_be_meant() {
    let nemo = Nemo::start().await;
    let output = run(secrets(&nemo, &["rotate-master-key", "--overlap", "0"])).await;
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("--yes"), "{}", stderr(&output));
    assert_eq!(master_key_on_disk(&nemo), nemo.master_key());

    let mut nowhere = secrets(&nemo, &["rotate-master-key"]);
    nowhere.env("NEMO_SECRETS_DIR", nemo.home().join("nowhere"));
    let output = run(nowhere).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("--secrets-dir"), "{}", stderr(&output));
}

/// Whether the metrics say that the secrets on disk are in force.
async fn current(nemo: &Nemo) -> f64 {
    Page::of(nemo).await.real("nemo_secrets_current")
}

#[tokio::test]
async fn secrets_that_are_not_the_ledgers_never_come_into_force() {
    let (nemo, other) = (Nemo::start().await, Nemo::start().await);
    let key = nemo.rich_key().await;
    for file in ["peppers.toml", "master.toml"] {
        let (ours, theirs) =
            (nemo.data().join("secrets").join(file), other.data().join("secrets").join(file));
        let before = fs::read(&ours).unwrap();
        fs::copy(theirs, &ours).unwrap();
        let trouble = || async { nemo.ask("/api/secrets").await["trouble"].as_str().map(str::to_owned) };
        let told = until("the server says what is wrong", trouble).await;
        assert_eq!(current(&nemo).await, 0.0);
        assert!(told.contains("which this ledger was written with, is missing"), "{told}");
        key.chat(json!({})).await.ok();
        let output = run(secrets(&nemo, &["status"])).await;
        assert!(
            stderr(&output).contains("warning: the files on disk are not in force"),
            "{}",
            stderr(&output)
        );
        fs::write(&ours, before).unwrap();
        let fine = || async { nemo.ask("/api/secrets").await["trouble"].is_null().then_some(()) };
        until("the server is content again", fine).await;
        assert_eq!(current(&nemo).await, 1.0);
    }
    nemo.stderr().until("the secrets on disk are not in force").await;
}

#[tokio::test]
async fn the_secrets_can_be_listed_in_every_format() {
    let nemo = Nemo::start().await;
    nemo.rich_key().await;
    done(secrets(&nemo, &["rotate-master-key"])).await;
    told(&nemo).await;
    let table = done(secrets(&nemo, &["status"])).await;
    assert!(table.starts_with("Kind") && table.contains("overlapping"), "{table}");
    let csv = done(secrets(&nemo, &["status", "--output", "csv"])).await;
    assert!(csv.starts_with("kind,id,status,since,valid_until,leaked,keys\nmaster_key,"), "{csv}");
    assert_eq!(csv.lines().count(), 4);
    for format in ["json", "jsonl"] {
        let json = done(secrets(&nemo, &["status", "--output", format])).await;
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["secrets"].as_array().unwrap().len(), 3, "{json}");
    }
}
