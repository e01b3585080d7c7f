//! A ledger copied to a server and back, with everything that `nemo ledger copy` does: both ends read again
//! and compared, and the read model folded from each.
//!
//! `cargo bench --bench ledger_copy [-- EVENTS [KEYS]]`: 1,000,000 events of 1,000 keys unless told
//! otherwise. The server is the simulated one, over real gRPC on loopback, with its log in memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that fails is none")]

mod made;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use made::Made;
use nemo::ledger_copy::folds;
use nemo_events::KeyId;
use nemo_eventstoredb_simulator as simulator;
use nemo_store::copy::{Copied, CopyJob};
use nemo_store::embedded::EmbeddedStore;
use nemo_store::eventstoredb::{self, EventStoreDb};
use nemo_store::{EventStore, embedded};

/// Calls of a key that are open at the same time, so that streams alternate as they do in service.
const IN_FLIGHT: usize = 200;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (events, keys) =
        (numbers.first().copied().unwrap_or(1_000_000), numbers.get(1).copied().unwrap_or(1_000));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = simulator::Simulator::start(simulator::Options::default());
    runtime.block_on(run(events, keys, &server.connection_string()));
}

async fn run(events: usize, keys: usize, url: &str) {
    let (original, returned) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = open(original.path());
    let began = Instant::now();
    write(&*source, events, keys).await;
    told("written", began.elapsed(), events);
    let connected = EventStoreDb::connect(&eventstoredb::Options::new(url).unwrap()).unwrap();
    let server: Arc<dyn EventStore> = Arc::new(connected);
    let there = copied("to the server", &source, &server).await;
    let back = open(returned.path());
    let here = copied("back", &server, &back).await;
    assert_eq!((there.same.clone(), there.new), (here.same, here.new), "bytes, order and heads are the same");
    let began = Instant::now();
    folds::compare(&job(&source, &back), there.same.events).await.unwrap();
    told("folded from both and compared", began.elapsed(), events);
    println!("log digest {}, {} bytes", there.same.log, there.same.bytes);
    for store in [source, server, back] {
        store.close().await;
    }
}

fn open(dir: &Path) -> Arc<dyn EventStore> {
    Arc::new(EmbeddedStore::open(dir, embedded::Options::default()).unwrap())
}

fn job(source: &Arc<dyn EventStore>, target: &Arc<dyn EventStore>) -> CopyJob {
    CopyJob {
        source: Arc::clone(source),
        target: Arc::clone(target),
        patience: Duration::from_secs(60),
        on_progress: Arc::new(|_| {}),
    }
}

async fn copied(what: &str, source: &Arc<dyn EventStore>, target: &Arc<dyn EventStore>) -> Copied {
    let began = Instant::now();
    let copied = job(source, target).run().await.unwrap();
    told(what, began.elapsed(), usize::try_from(copied.new).unwrap());
    copied
}

fn told(what: &str, took: Duration, events: usize) {
    println!("{what}: {events} events in {took:.1?}, {:.0} events/s", events as f64 / took.as_secs_f64());
}

/// Real events: keys, and calls that are authorised and settled while others are.
async fn write(store: &dyn EventStore, events: usize, keys: usize) {
    let mut log = Made::default();
    let keys: Vec<KeyId> = (0..keys).map(|n| KeyId::from_digits(&format!("{n:011}")).unwrap()).collect();
    keys.iter().for_each(|key| log.create(*key, "bench"));
    let mut open = VecDeque::new();
    let mut written = 0;
    for number in 0.. {
        if written + log.waiting.len() >= events {
            break;
        }
        let key = keys[number * 7919 % keys.len()];
        open.push_back((key, log.authorize(key, number)));
        if open.len() > IN_FLIGHT {
            let (key, call) = open.pop_front().unwrap();
            log.settle(key, call);
        }
        if log.waiting.len() >= 2_000 {
            written += log.waiting.len();
            store.append_in_order(log.take()).await.unwrap();
        }
    }
    log.waiting.truncate(events - written);
    if !log.waiting.is_empty() {
        store.append_in_order(log.take()).await.unwrap();
    }
}
