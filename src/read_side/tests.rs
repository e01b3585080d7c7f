//! The read side over a real ledger in memory and a real read model on disk.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;

use nemo_events::key::{CallAuthorized, KeyCreated};
use nemo_events::{CallId, Digest, KeyEvent, KeyId, OrgId, Position, Timestamp};
use nemo_projections::decide::{CreateOrg, KeyCommand};
use nemo_projections::{KeyState, Refusal};
use nemo_read_model::{OrgFilter, PageRequest};
use nemo_store::{EventStore, MemoryStore};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::clock::SystemClock;
use crate::ledger::{Context, KeyAccount, LedgerOptions, NoSnapshots};

struct Place {
    dir: TempDir,
    ledger: Arc<Ledger>,
}

/// Events that nobody decides about.
struct Say(Vec<KeyEvent>);

impl KeyCommand for Say {
    fn decide(&self, _state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        Ok(self.0.clone())
    }
}

async fn ledger() -> Arc<Ledger> {
    start_of(Arc::new(MemoryStore::new())).await
}

/// A start of the node over a store.
async fn start_of(store: Arc<dyn EventStore>) -> Arc<Ledger> {
    let options = LedgerOptions {
        store,
        clock: Arc::new(SystemClock),
        node: "node-1".parse().unwrap(),
        accounts_max_bytes: 1 << 20,
        snapshots: Arc::new(NoSnapshots),
    };
    Ledger::open(options).await.unwrap()
}

impl Place {
    async fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), ledger: ledger().await }
    }

    fn start(&self) -> ReadSide {
        let side = ReadSide::new(self.dir.path());
        side.start(&self.ledger);
        side
    }

    async fn create_org(&self, name: &str) -> Position {
        let command = CreateOrg { name: name.to_owned(), limits: Default::default() };
        let done = self.ledger.manage_org(OrgId::from_uuid(Uuid::now_v7()), command, Context::system()).await;
        done.unwrap().position.unwrap()
    }
}

fn created() -> KeyEvent {
    let digest = Digest::of(b"secret").to_string();
    let created = json!({ "org": Uuid::nil(), "labels": { "name": "a" }, "limits": { "unlimited": true },
        "secret": { "version": 1, "digest": digest, "pepper": "p", "last_four": "a1b2" } });
    serde_json::from_value::<KeyCreated>(created).unwrap().into()
}

fn authorized(call: u128, deadline: Timestamp) -> KeyEvent {
    let call = Uuid::from_u128(call);
    let hold = json!({ "amount": "1", "input_amount": "0", "input_tokens": 1, "output_tokens": 1, "basis": "bytes" });
    let authorized = json!({ "call": call, "request": Uuid::nil(), "attempt": 1, "secret_version": 1,
        "endpoint": "embeddings", "model": "m", "provider": "p", "provider_model": "m", "price_card": Digest::ZERO,
        "hold": hold, "output_limit": 1, "deadline": deadline, "labels_revision": 0, "client": {} });
    serde_json::from_value::<CallAuthorized>(authorized).unwrap().into()
}

/// Starts the read side and waits for the next event; then tells a key's open calls.
async fn open_calls_after_next_event(place: &Place, key: KeyId) -> Vec<u128> {
    let store = place.ledger.store();
    let head = store.head().await.unwrap();
    let mut events = store.subscribe_all(head).await.unwrap();
    let read_side = place.start();
    events.next().await.unwrap().unwrap();
    read_side.stop().await;
    let open = |account: &KeyAccount, _| {
        let calls = account.key.as_ref().map(|key| key.open_calls.keys().copied().collect::<Vec<CallId>>());
        calls.unwrap_or_default().iter().map(|call| call.as_uuid().as_u128()).collect()
    };
    place.ledger.look(key, open).await.unwrap().answer
}

async fn names(read_side: &ReadSide) -> Vec<String> {
    let page = PageRequest::default();
    let found = read_side.read(move |reader| reader.orgs(&OrgFilter::default(), &page)).await.unwrap();
    found.value.rows.into_iter().map(|org| org.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_can_be_read_at_its_position() {
    let place = Place::new().await;
    let read_side = place.start();
    let position = place.create_org("one").await;
    read_side.reach(position).await.unwrap();
    assert_eq!(names(&read_side).await, ["one"]);
    read_side.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_model_is_taken_up_again_and_that_of_another_ledger_is_not() {
    let mut place = Place::new().await;
    let read_side = place.start();
    read_side.reach(place.create_org("one").await).await.unwrap();
    read_side.stop().await;

    let read_side = place.start();
    read_side.reach(place.create_org("two").await).await.unwrap();
    assert_eq!(names(&read_side).await, ["two", "one"]);
    read_side.stop().await;

    place.ledger = ledger().await;
    let read_side = place.start();
    read_side.reach(place.create_org("other").await).await.unwrap();
    assert_eq!(names(&read_side).await, ["other"]);
    read_side.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_moved_aside_and_the_read_model_built_anew() {
    let place = Place::new().await;
    let file = place.dir.path().join(FILE);
    std::fs::write(&file, "no database at all, and longer than the header of one would be".repeat(10))
        .unwrap();
    let read_side = place.start();
    read_side.reach(place.create_org("one").await).await.unwrap();
    assert_eq!(names(&read_side).await, ["one"]);
    assert!(file.with_extension("sqlite.damaged").exists());
    read_side.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_list_is_refused() {
    let place = Place::new().await;
    let read_side = place.start();
    let page = PageRequest { after: "k1".parse().ok(), ..PageRequest::default() };
    let found = read_side.read(move |reader| reader.orgs(&OrgFilter::default(), &page)).await;
    assert!(matches!(found, Err(Unread::InvalidCursor)));
    read_side.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_an_earlier_start_are_ended_and_those_of_this_one_are_not() {
    let mut place = Place::new().await;
    let key: KeyId = "key_0123456789A".parse().unwrap();
    let later = place.ledger.now().plus_secs(600);
    let before = Say(vec![created(), authorized(1, later)]);
    place.ledger.manage_key(key, before, Context::system()).await.unwrap();
    place.ledger = start_of(Arc::clone(place.ledger.store())).await;
    place.ledger.manage_key(key, Say(vec![authorized(2, later)]), Context::system()).await.unwrap();
    assert_eq!(open_calls_after_next_event(&place, key).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overdue_call_is_ended_whoever_made_it() {
    let place = Place::new().await;
    let key: KeyId = "key_0123456789A".parse().unwrap();
    let long_ago = place.ledger.now().plus_secs(-31);
    let calls = Say(vec![created(), authorized(1, long_ago), authorized(2, place.ledger.now())]);
    place.ledger.manage_key(key, calls, Context::system()).await.unwrap();
    assert_eq!(open_calls_after_next_event(&place, key).await, [2]);
}
