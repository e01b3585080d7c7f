//! A ledger copied to a server and back, with everything that `nemo ledger copy` does: both ends read again
//! and compared, and the read model folded from each.
//!
//! `cargo bench --bench ledger_copy [-- EVENTS [KEYS]]`: 1,000,000 events of 1,000 keys unless told
//! otherwise. The server is the simulated one, over real gRPC on loopback, with its log in memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that fails is none")]

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nemo::ledger_copy::folds;
use nemo_events::key::KeyCreated;
use nemo_events::{
    BootId, CallId, Digest, EventId, KeyEvent, KeyId, Nanos, OrgId, Sealed, StreamHead, StreamName, Timestamp,
};
use nemo_eventstoredb_simulator as simulator;
use nemo_store::copy::{Copied, CopyJob};
use nemo_store::embedded::EmbeddedStore;
use nemo_store::eventstoredb::{self, EventStoreDb};
use nemo_store::{EventStore, embedded};
use serde_json::{Value, json};
use uuid::Uuid;

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
    let mut log = Log::default();
    let keys: Vec<KeyId> = (0..keys).map(|n| KeyId::from_digits(&format!("{n:011}")).unwrap()).collect();
    keys.iter().for_each(|key| log.create(*key));
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

#[derive(Default)]
struct Log {
    waiting: Vec<Sealed>,
    heads: HashMap<KeyId, StreamHead>,
    number: u64,
}

impl Log {
    fn take(&mut self) -> Vec<Vec<Sealed>> {
        self.waiting.drain(..).map(|event| vec![event]).collect()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_795_000_000_000_000 + self.number.cast_signed() * 500)
    }

    fn create(&mut self, key: KeyId) {
        let secret = json!({"version": 1, "digest": Digest::ZERO, "pepper": "p", "last_four": "a1b2"});
        let org = OrgId::from_uuid(Uuid::from_u128(1));
        let created = json!({"org": org, "labels": {"name": "bench", "app": "a"},
            "limits": {"unlimited": true}, "secret": secret});
        let created: KeyCreated = serde_json::from_value(created).unwrap();
        self.push(key, &created.into(), json!({"actor": {"kind": "system"}}));
    }

    fn authorize(&mut self, key: KeyId, number: usize) -> CallId {
        let call = CallId::from_uuid(Uuid::from_u128(u128::from(self.number) << 64 | 0x7000_8000_dead_beef));
        let model = ["gpt-5-mini", "gpt-5", "gpt-5-nano"][number % 3];
        let request = Uuid::from_u128(u128::MAX - number as u128);
        let authorized = json!({"call": call, "request": request, "attempt": 1, "secret_version": 1,
            "endpoint": "chat_completions", "model": model, "provider": "openai", "provider_model": model,
            "price_card": Digest::of(b"card"), "hold": {"amount": "0.0163875", "input_amount": "0.0000375",
            "input_tokens": 150, "output_tokens": 4096, "basis": "bytes"}, "output_limit": 4096,
            "deadline": self.now().plus_secs(600), "labels_revision": 0, "streams": true,
            "client": {"address": "10.20.30.40", "user_agent": "OpenAI/Python 2.8.1"}});
        let metadata = json!({"actor": {"kind": "virtual_key", "id": key}, "request": request, "call": call});
        self.push(key, &KeyEvent::CallAuthorized(serde_json::from_value(authorized).unwrap()), metadata);
        call
    }

    fn settle(&mut self, key: KeyId, call: CallId) {
        let cost = Nanos::from_nanos(1000 + self.number.cast_signed() % 9000);
        let settled = json!({"call": call,
            "usage": {"input": 120, "cache_read": 30, "output": 240, "reasoning": 60}, "cost": cost,
            "evidence": "reported", "ending": "completed", "provider_request": "req_0123456789abcdef",
            "status": 200, "first_byte_ms": 340, "duration_ms": 2100});
        let metadata = json!({"actor": {"kind": "virtual_key", "id": key}, "call": call});
        self.push(key, &KeyEvent::CallSettled(serde_json::from_value(settled).unwrap()), metadata);
    }

    fn push(&mut self, key: KeyId, event: &KeyEvent, mut metadata: Value) {
        metadata["node"] = json!("node-1");
        metadata["boot"] = json!(BootId::from_uuid(Uuid::from_u128(9)));
        self.number += 1;
        let now = self.now();
        let head = self.heads.entry(key).or_insert(StreamHead::EMPTY);
        let sealed = Sealed {
            stream: StreamName::Key(key),
            revision: head.next_revision(),
            id: EventId::from_uuid(Uuid::from_u128(self.number.into())),
            event_type: event.type_name().into(),
            version: event.version(),
            recorded_at: now,
            data: event.encode().unwrap().into(),
            metadata: serde_json::to_vec(&metadata).unwrap().into(),
            prev_hash: head.hash,
            hash: Digest::ZERO,
        }
        .with_hash();
        *head = sealed.head();
        self.waiting.push(sealed);
    }
}
