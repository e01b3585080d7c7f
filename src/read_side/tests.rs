//! The read side over a real ledger in memory and a real read model on disk.
#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;

use nemo_events::{OrgId, Position};
use nemo_projections::decide::CreateOrg;
use nemo_read_model::{OrgFilter, PageRequest};
use nemo_store::MemoryStore;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::clock::SystemClock;
use crate::ledger::{Context, LedgerOptions};

struct Place {
    dir: TempDir,
    ledger: Arc<Ledger>,
}

async fn ledger() -> Arc<Ledger> {
    let options = LedgerOptions {
        store: Arc::new(MemoryStore::new()),
        clock: Arc::new(SystemClock),
        node: "node-1".parse().unwrap(),
        accounts_max_bytes: 1 << 20,
    };
    Ledger::open(options).await.unwrap()
}

impl Place {
    async fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), ledger: ledger().await }
    }

    fn start(&self) -> ReadSide {
        ReadSide::start(self.dir.path(), &self.ledger)
    }

    async fn create_org(&self, name: &str) -> Position {
        let command = CreateOrg { name: name.to_owned(), limits: Default::default() };
        let done = self.ledger.manage_org(OrgId::from_uuid(Uuid::now_v7()), command, Context::system()).await;
        done.unwrap().position.unwrap()
    }
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
async fn a_file_of_something_else_is_left_alone_and_reads_are_refused() {
    let place = Place::new().await;
    let file = place.dir.path().join(FILE);
    std::fs::write(&file, "somebody's notes").unwrap();
    let read_side = place.start();
    let position = place.create_org("one").await;
    assert!(matches!(read_side.reach(position).await, Err(Unread::Unavailable)) || read_side.progress().position.is_some());
    read_side.stop().await;
}
