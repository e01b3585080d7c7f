//! How fast calls are applied: two events each, some in flight at any time; and how long an overview takes then.
//!
//! `nice cargo run --release -p nemo-read-model --example apply_bench [calls]`. CPU is the thread's own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement that fails is none")]

use std::time::Instant;

use nemo_events::key::KeyCreated;
use nemo_events::{
    BootId, CallId, Digest, EventId, EventRecord, KeyEvent, KeyId, Nanos, OrgId, Position, Revision, Sealed,
    StreamName, Timestamp,
};
use nemo_read_model::{OverviewQuery, ReadModel};
use serde_json::{Value, json};
use uuid::Uuid;

struct Scenario {
    keys: usize,
    in_flight: usize,
    batch: usize,
}

fn main() {
    let calls = std::env::args().nth(1).map_or(100_000, |calls| calls.parse().unwrap());
    println!("keys in_flight batch | events/s  cpu µs/event  file bytes/call  overview ms");
    for (keys, in_flight, batch) in [
        (10, 200, 4096),
        (10, 200, 256),
        (10, 200, 16),
        (1000, 1000, 4096),
        (1000, 1000, 256),
        (20_000, 1000, 1024),
        (100_000, 1000, 1024),
    ] {
        run(&Scenario { keys, in_flight, batch }, calls);
    }
}

fn run(scenario: &Scenario, calls: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("read-model.db");
    let mut model = ReadModel::open(&path).unwrap().model;
    let mut log = Log::default();
    let keys: Vec<KeyId> =
        (0..scenario.keys).map(|n| KeyId::from_digits(&format!("{n:011}")).unwrap()).collect();
    keys.iter().for_each(|key| log.create(*key));
    model.apply(&log.take()).unwrap();
    let before = std::fs::metadata(&path).unwrap().len();

    let (mut wall, mut cpu, mut events) = (0.0, 0.0, 0.0);
    let mut open = std::collections::VecDeque::new();
    for call in 0..calls {
        let key = keys[call.wrapping_mul(7919) % keys.len()];
        open.push_back((key, log.authorize(key, call)));
        if open.len() > scenario.in_flight {
            let (key, call) = open.pop_front().unwrap();
            log.settle(key, call);
        }
        if log.records.len() >= scenario.batch || call + 1 == calls {
            let records = log.take();
            let (start, cpu_start) = (Instant::now(), thread_cpu_secs());
            model.apply(&records).unwrap();
            wall += start.elapsed().as_secs_f64();
            cpu += thread_cpu_secs() - cpu_start;
            events += records.len() as f64;
        }
    }
    let overview_ms = overview_ms(&model, log.now());
    drop(model);
    let grown = std::fs::metadata(&path).unwrap().len() - before;
    println!(
        "{:>6} {:>8} {:>5} | {:>8.0}  {:>11.2}  {:>10.0}  {:>10.1}",
        scenario.keys,
        scenario.in_flight,
        scenario.batch,
        events / wall,
        cpu * 1e6 / events,
        grown as f64 / calls as f64,
        overview_ms,
    );
}

/// The median of several.
fn overview_ms(model: &ReadModel, now: Timestamp) -> f64 {
    let reader = model.reader().unwrap();
    let query = OverviewQuery { now, days: 30, keys: 5, deeds: 8 };
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(reader.overview(&query).unwrap());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds that this thread has run, from Linux's scheduler.
fn thread_cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Writes events as the ledger holds them, but for hashes, which nobody here checks.
#[derive(Default)]
struct Log {
    records: Vec<EventRecord>,
    position: u64,
    revisions: std::collections::HashMap<KeyId, u64>,
}

impl Log {
    fn take(&mut self) -> Vec<EventRecord> {
        std::mem::take(&mut self.records)
    }

    fn now(&self) -> Timestamp {
        // 2,000 events a second.
        Timestamp::from_micros(1_795_000_000_000_000 + self.position.cast_signed() * 500)
    }

    fn create(&mut self, key: KeyId) {
        let secret = json!({"version": 1, "digest": Digest::ZERO, "pepper": "p", "last_four": "a1b2"});
        let org = OrgId::from_uuid(Uuid::from_u128(1));
        let job = format!("job {}", self.position % 500);
        let budgets = json!([{"window": "month", "limit": "0.0001"}, {"window": "total", "limit": "1"}]);
        let created = json!({"org": org, "labels": {"name": "bench", "app": "a", "job": job},
            "limits": {"budgets": budgets}, "secret": secret});
        let created: KeyCreated = serde_json::from_value(created).unwrap();
        self.push(key, &created.into(), json!({"actor": {"kind": "system"}}));
    }

    fn authorize(&mut self, key: KeyId, number: usize) -> CallId {
        let call = CallId::from_uuid(Uuid::from_u128((self.position as u128) << 64 | 0x7000_8000_dead_beef));
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
        let cost = Nanos::from_nanos(1000 + self.position.cast_signed() % 9000);
        let settled = json!({"call": call, "usage": {"input": 120, "cache_read": 30, "output": 240, "reasoning": 60},
            "cost": cost, "evidence": "reported", "ending": "completed", "provider_request": "req_0123456789abcdef",
            "status": 200, "first_byte_ms": 340, "duration_ms": 2100});
        let metadata = json!({"actor": {"kind": "virtual_key", "id": key}, "call": call});
        self.push(key, &KeyEvent::CallSettled(serde_json::from_value(settled).unwrap()), metadata);
    }

    fn push(&mut self, key: KeyId, event: &KeyEvent, mut metadata: Value) {
        metadata["node"] = json!("node-1");
        metadata["boot"] = json!(BootId::from_uuid(Uuid::from_u128(9)));
        let revision = self.revisions.entry(key).or_default();
        self.position += 1;
        let sealed = Sealed {
            stream: StreamName::Key(key),
            revision: Revision(*revision),
            id: EventId::from_uuid(Uuid::from_u128(self.position.into())),
            event_type: event.type_name().into(),
            version: event.version(),
            recorded_at: Timestamp::EPOCH,
            data: event.encode().unwrap().into(),
            metadata: serde_json::to_vec(&metadata).unwrap().into(),
            prev_hash: Digest::ZERO,
            hash: Digest::ZERO,
        };
        *revision += 1;
        let event = Sealed { recorded_at: self.now(), ..sealed };
        self.records.push(EventRecord { position: Position(self.position), event });
    }
}
