//! Backups at full load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::{copy_dir, in_json, ledger, log, of_node, ran, same_folds, take_over, used};
use crate::harness::{Key, Nemo, until};

/// Callers that go on until they are told to stop; each counts its answers.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn begin(nemo: &Nemo) -> Load {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut callers = Vec::new();
        for _ in 0..16 {
            let key = nemo.key(json!({"unlimited": true})).await;
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            callers.push(tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    key.chat(json!({"max_tokens": 50})).await.ok();
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        Load { stop, answered, callers }
    }

    /// Waits until that many more calls were answered.
    async fn more(&self, calls: usize) {
        let wanted = self.answered.load(Ordering::SeqCst) + calls;
        until("more calls are answered", || async {
            (self.answered.load(Ordering::SeqCst) >= wanted).then_some(())
        })
        .await;
    }

    /// Every call was answered with success, or this fails.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.expect("every call succeeds");
        }
        self.answered.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_at_full_load_is_the_ledger_at_its_position_and_can_be_served() {
    let (nemo, key): (Nemo, Key) = used().await;
    let load = Load::begin(&nemo).await;
    load.more(60).await;
    let before = load.answered.load(Ordering::SeqCst);
    let first = in_json(of_node(&nemo, "backup backups/b")).await;
    let meanwhile = load.answered.load(Ordering::SeqCst) - before;
    load.more(30).await;
    let second = in_json(of_node(&nemo, "backup backups/b")).await;
    let calls = load.end().await;
    println!("      {calls} calls, {meanwhile} of them during the first backup: {first}");
    let (at, later) = (first["events"].as_u64().unwrap(), second["events"].as_u64().unwrap());
    assert!(meanwhile > 0 && at > 120 && later > at, "{first} {second}");
    assert_eq!(second["new_events"].as_u64().unwrap(), later - at, "the second one went on");
    assert_eq!(second["source_position"].as_u64(), Some(later), "an embedded ledger counts from 1");

    assert!(nemo.terminate().await.success());
    ran(ledger(&nemo, "verify --data-dir backups/b")).await.ok();
    let restored = in_json(ledger(&nemo, "restore backups/b --data-dir restored")).await;
    assert_eq!(restored["log_digest"], second["log_digest"]);
    ran(ledger(&nemo, "verify --data-dir restored")).await.ok();
    let (original, copy) = (log(&nemo.data()).await, log(&nemo.home().join("restored")).await);
    let same = &original[..usize::try_from(later).unwrap()];
    assert!(copy == same, "every byte of every event, and its position");
    same_folds(&copy, same);
    for file in ["unfinished.json", "backup.json"] {
        assert!(!nemo.home().join("restored").join(file).exists());
    }

    let shown = key.id().to_owned();
    take_over(&nemo, &nemo.home().join("restored"));
    nemo.restart().await;
    assert_eq!(key.books_balance().await.len(), 12, "{shown} has the calls that it had");
    key.chat(json!({})).await.ok();
    assert!(nemo.terminate().await.success());
    ran(ledger(&nemo, "verify --data-dir data")).await.ok();
}

#[tokio::test]
async fn a_backup_of_a_stopped_directory_is_that_of_the_node_and_an_earlier_position_can_be_chosen() {
    let (nemo, _key) = used().await;
    let early = in_json(of_node(&nemo, "backup early --at 20")).await;
    assert_eq!(early["events"], 20);
    let served = in_json(of_node(&nemo, "backup served")).await;
    let at = served["events"].as_u64().unwrap();
    assert!(nemo.terminate().await.success());
    let stopped = in_json(ledger(&nemo, &format!("backup stopped --data-dir data --at {at}"))).await;
    for field in ["events", "bytes", "streams", "log_digest", "heads_digest"] {
        assert_eq!(served[field], stopped[field], "{field}");
    }
    in_json(ledger(&nemo, "restore early --data-dir past")).await;
    let (whole, past) = (log(&nemo.data()).await, log(&nemo.home().join("past")).await);
    assert!(past == whole[..20]);
    // What was secret in the data directory is nowhere in a backup.
    let secrets = nemo.data().join("secrets");
    for entry in std::fs::read_dir(nemo.home().join("served")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for secret in std::fs::read_dir(&secrets).unwrap() {
            let secret = std::fs::read_to_string(secret.unwrap().path()).unwrap();
            for line in secret.split(['"', '\n']).filter(|part| part.len() > 40) {
                assert!(!bytes.windows(line.len()).any(|window| window == line.as_bytes()));
            }
        }
    }
    copy_dir(&nemo.home().join("served"), &nemo.home().join("moved"));
    in_json(ledger(&nemo, "restore moved --data-dir elsewhere")).await;
}
