//! Events made by the thousand: real ones, sealed and chained, that nobody had to call a provider for. For
//! benchmarks, and for stories of streams that are long.
#![allow(dead_code, reason = "not everybody who makes events makes all of them")]
#![allow(unreachable_pub, reason = "a module of those who include it")]

use std::collections::HashMap;

use nemo_events::key::{CallsRefused, KeyCreated, KeyLimitsSet};
use nemo_events::org::OrgCreated;
use nemo_events::{
    BootId, CallId, Digest, EventId, KeyEvent, KeyId, Nanos, OrgEvent, OrgId, Sealed, StreamHead, StreamName,
    Timestamp,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

/// What the n-th call goes to.
pub const MODELS: [&str; 3] = ["gpt-5-mini", "gpt-5", "gpt-5-nano"];

/// Events that are made and not yet taken.
pub struct Made {
    pub waiting: Vec<Sealed>,
    heads: HashMap<StreamName, StreamHead>,
    number: u64,
    now: Timestamp,
    /// Between two events, in microseconds.
    pub step: i64,
}

impl Default for Made {
    fn default() -> Self {
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        Self { waiting: Vec::new(), heads: HashMap::new(), number: 0, now, step: 500 }
    }
}

/// The org of every key that is made.
pub fn org() -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(1))
}

/// The n-th key.
pub fn key(n: usize) -> KeyId {
    KeyId::from_digits(&format!("{n:011}")).unwrap()
}

fn of<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

impl Made {
    /// What waits, each event to be appended by itself.
    pub fn take(&mut self) -> Vec<Vec<Sealed>> {
        self.waiting.drain(..).map(|event| vec![event]).collect()
    }

    /// Goes on at this time.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// When the last event was recorded.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The org.
    pub fn create_org(&mut self, name: &str) {
        let event = OrgEvent::OrgCreated(of::<OrgCreated>(json!({"name": name, "limits": {}})));
        let bytes = event.encode().unwrap();
        self.push(StreamName::Org(org()), event.type_name(), event.version(), bytes, system());
    }

    /// A key of the org without any limit.
    pub fn create(&mut self, key: KeyId, name: &str) {
        let secret = json!({"version": 1, "digest": Digest::ZERO, "pepper": "p", "last_four": "a1b2"});
        let labels = json!({"name": name, "app": "a"});
        let created =
            json!({"org": org(), "labels": labels, "limits": {"unlimited": true}, "secret": secret});
        self.push_key(key, &of::<KeyCreated>(created).into(), system());
    }

    /// A budget for a key, so large that it never matters.
    pub fn limit(&mut self, key: KeyId, dollars: u32) {
        let budget = json!({"window": "total", "limit": dollars.to_string()});
        let limits = json!({"limits": {"budgets": [budget]}});
        self.push_key(key, &of::<KeyLimitsSet>(limits).into(), system());
    }

    /// Refusals from an address.
    pub fn refuse(&mut self, key: KeyId, address: &str) {
        let refusals = json!([{"code": "model_not_allowed", "address": address, "count": 3}]);
        let refused = json!({"since": self.now, "refusals": refusals});
        self.push_key(key, &of::<CallsRefused>(refused).into(), system());
    }

    /// A call's leave.
    pub fn authorize(&mut self, key: KeyId, number: usize) -> CallId {
        self.authorize_from(key, number, "10.20.30.40")
    }

    /// The same, from an address.
    pub fn authorize_from(&mut self, key: KeyId, number: usize, address: &str) -> CallId {
        let call = CallId::from_uuid(Uuid::from_u128(u128::from(self.number) << 64 | 0x7000_8000_dead_beef));
        let model = MODELS[number % MODELS.len()];
        let request = Uuid::from_u128(u128::MAX - number as u128);
        let authorized = json!({"call": call, "request": request, "attempt": 1, "secret_version": 1,
            "endpoint": "chat_completions", "model": model, "provider": "openai", "provider_model": model,
            "price_card": Digest::of(b"card"), "hold": {"amount": "0.0163875", "input_amount": "0.0000375",
            "input_tokens": 150, "output_tokens": 4096, "basis": "bytes"}, "output_limit": 4096,
            "deadline": self.now.plus_secs(600), "labels_revision": 0, "streams": true,
            "client": {"address": address, "user_agent": "OpenAI/Python 2.8.1"}});
        let metadata = json!({"actor": {"kind": "virtual_key", "id": key}, "request": request, "call": call});
        self.push_key(key, &KeyEvent::CallAuthorized(of(authorized)), metadata);
        call
    }

    /// A call's end.
    pub fn settle(&mut self, key: KeyId, call: CallId) {
        let cost = Nanos::from_nanos(1000 + self.number.cast_signed() % 9000);
        let settled = json!({"call": call,
            "usage": {"input": 120, "cache_read": 30, "output": 240, "reasoning": 60}, "cost": cost,
            "evidence": "reported", "ending": "completed", "provider_request": "req_0123456789abcdef",
            "status": 200, "first_byte_ms": 340, "duration_ms": 2100});
        let metadata = json!({"actor": {"kind": "virtual_key", "id": key}, "call": call});
        self.push_key(key, &KeyEvent::CallSettled(of(settled)), metadata);
    }

    /// Any other event of a key.
    pub fn push_key(&mut self, key: KeyId, event: &KeyEvent, metadata: Value) {
        let bytes = event.encode().unwrap();
        self.push(StreamName::Key(key), event.type_name(), event.version(), bytes, metadata);
    }

    fn push(
        &mut self,
        stream: StreamName,
        kind: &'static str,
        version: u16,
        data: Vec<u8>,
        mut metadata: Value,
    ) {
        metadata["node"] = json!("node-1");
        metadata["boot"] = json!(BootId::from_uuid(Uuid::from_u128(9)));
        self.number += 1;
        self.now = Timestamp::from_micros(self.now.as_micros() + self.step);
        let head = self.heads.entry(stream.clone()).or_insert(StreamHead::EMPTY);
        let sealed = Sealed {
            stream,
            revision: head.next_revision(),
            id: EventId::from_uuid(Uuid::from_u128(self.number.into())),
            event_type: kind.into(),
            version,
            recorded_at: self.now,
            data: data.into(),
            metadata: serde_json::to_vec(&metadata).unwrap().into(),
            prev_hash: head.hash,
            hash: Digest::ZERO,
        }
        .with_hash();
        *head = sealed.head();
        self.waiting.push(sealed);
    }
}

fn system() -> Value {
    json!({"actor": {"kind": "system"}})
}
