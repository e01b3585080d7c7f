//! Events to test with: sealed, chained, with ids that never repeat within a process.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nemo_events::{Digest, EventId, KeyId, Position, Revision, Sealed, StreamHead, StreamName, Timestamp};
use uuid::Uuid;

use crate::{AppendError, EventStore, Expected};

static IDS: AtomicU64 = AtomicU64::new(1);

/// What a test writes to one stream, from its first event on.
#[derive(Debug, Clone)]
pub struct Script {
    /// The stream.
    pub stream: StreamName,
    /// Its head, once everything handed out so far is written.
    pub head: StreamHead,
    data: Bytes,
}

/// Events with the revision that they expect.
#[derive(Debug, Clone)]
pub struct Append {
    /// What the stream must look like.
    pub expected: Expected,
    /// What to append.
    pub events: Vec<Sealed>,
}

impl Script {
    /// The script of any stream.
    #[must_use]
    pub fn of(stream: StreamName) -> Self {
        Self { stream, head: StreamHead::EMPTY, data: Bytes::from_static(r#"{"text":"Grüße"}"#.as_bytes()) }
    }

    /// The script of the `number`-th key.
    #[must_use]
    pub fn of_key(number: u64) -> Self {
        let id = KeyId::from_digits(&format!("{number:011}")).expect("eleven digits");
        Self::of(StreamName::Key(id))
    }

    /// The same with events that carry `data`.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self
    }

    /// The next `count` events of the stream.
    pub fn next(&mut self, count: usize) -> Append {
        let expected = self.head.revision.map_or(Expected::NoStream, Expected::Exact);
        let events = (0..count).map(|_| self.next_event()).collect();
        Append { expected, events }
    }

    fn next_event(&mut self) -> Sealed {
        let revision = self.head.next_revision();
        let event = Sealed {
            stream: self.stream.clone(),
            revision,
            id: EventId::from_uuid(Uuid::from_u128(u128::from(IDS.fetch_add(1, Ordering::Relaxed)))),
            event_type: "CallAuthorized".into(),
            version: 1,
            recorded_at: Timestamp::from_micros(1_793_344_800_000_000 + revision.0 as i64),
            data: self.data.clone(),
            metadata: Bytes::from_static(METADATA),
            prev_hash: self.head.hash,
            hash: Digest::ZERO,
        }
        .with_hash();
        self.head = event.head();
        event
    }

    /// Appends the next `count` events, which must succeed.
    pub async fn write(&mut self, store: &dyn EventStore, count: usize) -> Position {
        let append = self.next(count);
        append.send(store).await.expect("the append succeeds")
    }

    /// The revision of the last event handed out.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.head.revision.expect("something was handed out")
    }
}

/// What the gateway writes, in size and shape.
const METADATA: &[u8] = br#"{"actor":{"kind":"virtual_key","id":"key_0123456789A"},"request":"0192d3a5-7c1e-7000-8000-00000000a001","call":"0192d3a5-7c1e-7000-8000-00000000b001","node":"node-1","boot":"0192d3a5-7c1e-7000-8000-00000000c001"}"#;

impl Append {
    /// Sends it to a store.
    ///
    /// # Errors
    /// The store's own.
    pub async fn send(&self, store: &dyn EventStore) -> Result<Position, AppendError> {
        store.append(self.expected, self.events.clone()).await
    }
}
