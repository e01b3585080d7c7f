//! Keys with long streams: read from kept folds, which may be lost, damaged or another ledger's at any time.

use std::path::Path;
use std::time::Instant;

use nemo_events::Timestamp;
use nemo_store::{EmbeddedStore, EventStore as _, embedded};
use reqwest::Method;
use serde_json::Value;

use crate::harness::{Nemo, until};
use crate::made::{self, Made};

const EVENTS: usize = 34_567;
const FILE: &str = "snapshots.sqlite";

/// A stopped gateway whose ledger has a key with that many events, and the key's path.
async fn with_a_long_stream() -> (Nemo, String) {
    let nemo = Nemo::start().await;
    nemo.terminate().await;
    let store = EmbeddedStore::open(&nemo.data(), embedded::Options::default()).unwrap();
    let now = "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let (mut made, key) = (Made::default().at(now), made::key(7));
    made.create_org("made");
    made.create(key, "long");
    for number in 0.. {
        let call = made.authorize_from(key, number, &format!("10.0.0.{}", number % 70));
        made.settle(key, call);
        if number % 1_000 == 999 {
            made.limit(key, 1_000_000);
            made.refuse(key, "203.0.113.9");
        }
        if made.waiting.len() >= 2_000 || number * 2 > EVENTS {
            store.append_in_order(made.take()).await.unwrap();
        }
        if number * 2 > EVENTS {
            break;
        }
    }
    store.close().await;
    drop(store);
    (nemo, format!("/api/keys/{key}"))
}

/// What is told of the key: now, and at some moments of its life.
async fn told(nemo: &Nemo, path: &str) -> Vec<Value> {
    // A long stream is read in the end, however impatient whoever asks first is.
    let read = || async { (nemo.manage(Method::GET, path, Value::Null).await.status == 200).then_some(()) };
    until("the key is read", read).await;
    let mut told = vec![nemo.ask(path).await["key"].take()];
    for revision in [0, 1, 9_998, 9_999, 10_000, 19_999, 25_000, 29_999, 34_567] {
        told.push(nemo.ask(&format!("{path}/state?revision={revision}")).await);
    }
    // Windows of an earlier day look the same whenever they are looked at, but not before and after midnight.
    told[0]["windows"].take();
    told[0]["attribution"]["day"].take();
    told[0]["attribution"]["month"].take();
    told
}

/// Folds that are kept: (latest, moments).
fn kept(data: &Path) -> (i64, i64) {
    let count = |table: &str| -> i64 {
        let Ok(file) = rusqlite::Connection::open(data.join(FILE)) else { return 0 };
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap_or(0)
    };
    (count("latest"), count("moments"))
}

async fn until_kept(nemo: &Nemo) {
    until("three moments are kept", || async { (kept(&nemo.data()) == (1, 3)).then_some(()) }).await;
}

#[tokio::test]
async fn a_key_is_the_same_with_snapshots_without_and_with_ones_that_are_no_good() {
    let (nemo, path) = with_a_long_stream().await;
    nemo.restart().await;
    let without = told(&nemo, &path).await;
    until_kept(&nemo).await;
    assert_eq!(told(&nemo, &path).await, without);
    // Again from what is kept alone.
    nemo.kill9().await;
    nemo.restart().await;
    let began = Instant::now();
    assert_eq!(told(&nemo, &path).await, without);
    println!("      told from snapshots in {:.0?}", began.elapsed());
    nemo.kill9().await;
    for damage in [
        // A state that nobody wrote: its digest tells.
        "UPDATE latest SET state = CAST(replace(CAST(state AS TEXT), 'long', 'fake') AS BLOB)",
        "UPDATE moments SET state = CAST(replace(CAST(state AS TEXT), 'long', 'fake') AS BLOB)",
        "UPDATE moments SET revision = revision + 100000 WHERE revision = 9999",
    ] {
        rusqlite::Connection::open(nemo.data().join(FILE)).unwrap().execute(damage, []).unwrap();
        nemo.restart().await;
        assert_eq!(told(&nemo, &path).await, without, "{damage}");
        nemo.kill9().await;
    }
    for bytes in [&b"no database at all, but of some length, so that it is looked at"[..], &[0; 10_000]] {
        std::fs::write(nemo.data().join(FILE), bytes).unwrap();
        nemo.restart().await;
        assert_eq!(told(&nemo, &path).await, without);
        until_kept(&nemo).await;
        nemo.kill9().await;
    }
}

#[tokio::test]
async fn a_kill_while_folds_are_kept_loses_nothing() {
    let (nemo, path) = with_a_long_stream().await;
    nemo.restart().await;
    let without = told(&nemo, &path).await;
    for _ in 0..4 {
        // Anywhere between nothing and everything.
        nemo.kill9().await;
        nemo.restart().await;
        assert_eq!(told(&nemo, &path).await, without);
    }
    until_kept(&nemo).await;
    nemo.kill9().await;
    nemo.restart().await;
    assert_eq!(told(&nemo, &path).await, without);
}
