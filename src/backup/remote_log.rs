//! A serving node's ledger as a store that can be read in the order of the log, over HTTP. Every event is checked
//! against its hash here: what the node and the way from it did to the bytes shows.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use nemo_events::{Digest, EventId, EventRecord, Position, Revision, Sealed, StreamName, Timestamp};
use nemo_store::{AppendError, Direction, EventStore, Expected, ReadError, Subscription};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::client::Client;
use crate::cli::{CommandError, Exit};

/// The most events that a node puts on a page.
const PAGE: usize = 1000;

/// What a node serves.
pub struct RemoteLog {
    client: Client,
    /// What it refused for good, in its own words.
    refusal: Mutex<Option<CommandError>>,
}

#[derive(Deserialize)]
struct Status {
    position: Option<Position>,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    stream: StreamName,
    revision: Revision,
    #[serde(rename = "type")]
    event_type: String,
    version: u16,
    recorded_at: Timestamp,
    id: EventId,
    position: Position,
    data: Box<RawValue>,
    metadata: Box<RawValue>,
    prev_hash: Digest,
    hash: Digest,
}

impl RemoteLog {
    /// The ledger of the node that the client speaks to.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self { client, refusal: Mutex::new(None) }
    }

    /// Where the ledger ends now; `None` where it is empty.
    ///
    /// # Errors
    /// The node's refusal, or why there is no answer.
    pub async fn end(&self) -> Result<Option<Position>, CommandError> {
        let Status { position } = self.client.get(&["api", "ledger"], &[]).await?;
        Ok(position)
    }

    /// What the node refused for good since it was asked last, such as a master key that was replaced
    /// meanwhile. A store's errors have no words for it.
    pub fn refusal(&self) -> Option<CommandError> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn unavailable(&self, error: CommandError) -> ReadError {
        let why = error.to_string();
        if error.exit() != Exit::Unreachable {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        ReadError::Unavailable(why.trim_end_matches('.').to_owned())
    }
}

#[async_trait]
impl EventStore for RemoteLog {
    async fn append(&self, _expected: Expected, _events: Vec<Sealed>) -> Result<Position, AppendError> {
        Err(AppendError::Invalid("a node's ledger is only read from here"))
    }

    async fn read_stream(
        &self,
        _stream: &StreamName,
        _from: Revision,
        _direction: Direction,
        _limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        Err(ReadError::Unavailable("a node's ledger is read in its own order only".to_owned()))
    }

    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        let mut query = vec![("limit", limit.min(PAGE).to_string())];
        query.extend(after.map(|after| ("after", after.to_string())));
        let page: Result<Page, _> = self.client.get(&["api", "ledger", "events"], &query).await;
        let page = page.map_err(|error| self.unavailable(error))?;
        let records = page.events.into_iter().map(Entry::checked).collect::<Result<Vec<_>, _>>()?;
        let ascends = records.is_sorted_by(|one, next| one.position < next.position);
        if !ascends || records.first().is_some_and(|first| Some(first.position) <= after) {
            let place = after.map_or_else(|| "the beginning".to_owned(), |after| format!("position {after}"));
            return Err(ReadError::Damaged { place, what: "the events are not in order".to_owned() });
        }
        Ok(records)
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        self.end().await.map_err(|error| self.unavailable(error))
    }

    async fn subscribe_all(&self, _after: Option<Position>) -> Result<Subscription, ReadError> {
        Err(ReadError::Unavailable("a node's ledger is not followed from here".to_owned()))
    }

    async fn close(&self) {}
}

impl Entry {
    fn checked(self) -> Result<EventRecord, ReadError> {
        let (position, event) = (self.position, self.sealed());
        event.verify().map_err(|error| ReadError::Damaged {
            place: format!("{} {}", event.stream, event.revision),
            what: error.to_string(),
        })?;
        Ok(EventRecord { position, event })
    }

    fn sealed(self) -> Sealed {
        let bytes = |json: Box<RawValue>| Bytes::from(String::from(Box::<str>::from(json)));
        Sealed {
            stream: self.stream,
            revision: self.revision,
            id: self.id,
            event_type: self.event_type.into(),
            version: self.version,
            recorded_at: self.recorded_at,
            data: bytes(self.data),
            metadata: bytes(self.metadata),
            prev_hash: self.prev_hash,
            hash: self.hash,
        }
    }
}
