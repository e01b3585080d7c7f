//! Kept folds: they spare the folding and change nothing else, whatever is wrong with them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use nemo_events::key::{
    CallAuthorized, CallCorrected, CallSettled, CallsRefused, KeyRelabelled, RefusalCount,
};
use nemo_events::key::{Ending, Evidence};
use nemo_events::{
    Digest, KeyEvent, KeyId, Nanos, Position, RequestId, Revision, StreamName, Timestamp, Usage,
};
use nemo_projections::decide::KeyCommand;
use nemo_projections::{KeyState, Refusal};
use uuid::Uuid;

use super::support::*;
use crate::ledger::{Context, KEEP_EVERY, Kept, KeyAccount, Moment, Snapshots, last_kept};
use crate::snapshots::Shelf;

/// Events that nobody decides about.
struct Say(Vec<KeyEvent>);

impl KeyCommand for Say {
    fn decide(&self, _state: Option<&KeyState>, _now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        Ok(self.0.clone())
    }
}

/// A place for snapshots in memory, which may be told to lie.
#[derive(Default)]
struct Shown {
    latest: Mutex<Option<Kept>>,
}

#[async_trait]
impl Snapshots for Shown {
    async fn latest(&self, _key: KeyId) -> Option<Kept> {
        self.latest.lock().unwrap().clone()
    }

    async fn at_or_before(&self, _key: KeyId, _revision: Revision) -> Option<Kept> {
        self.latest.lock().unwrap().clone()
    }

    async fn keep(&self, _key: KeyId, latest: Kept, _moments: Vec<Kept>) -> Result<(), String> {
        *self.latest.lock().unwrap() = Some(latest);
        Ok(())
    }

    async fn reached(&self) -> BTreeMap<KeyId, Revision> {
        BTreeMap::new()
    }
}

const LONG: u64 = 2 * KEEP_EVERY + 700;

/// A key with a stream of many kinds of events, some calls of which stay open across what is kept.
async fn long_stream() -> Node {
    let node = node().await;
    let account = node.key(unlimited()).await;
    let leave = node.ledger.authorize(&account, call(1)).await.unwrap();
    let (pattern, mut n) = (leave.event().clone(), 1_u128);
    let mut written = account.revision().unwrap().next().0;
    while written < LONG {
        let mut events: Vec<KeyEvent> = Vec::new();
        while events.len() < 990 {
            n += 1;
            events.push(authorized(&pattern, n).into());
            if n % 5 > 0 && n > 40 {
                events.push(settled(n - 40).into());
            }
            if n % 97 == 0 {
                let (code, address) = ("model_not_allowed".to_owned(), Some("203.0.113.9".to_owned()));
                let refusals = vec![RefusalCount { code, address, other_addresses: None, count: 2 }];
                events.push(CallsRefused { since: noon(), refusals, alerts: Vec::new() }.into());
                events.push(KeyRelabelled { labels: labels() }.into());
            }
            if n % 101 == 0 && n > 200 && (n - 100) % 5 > 0 {
                events.push(corrected(n - 100).into());
            }
        }
        written += events.len() as u64;
        node.ledger.manage_key(key_id(1), Say(events), Context::system()).await.unwrap();
    }
    node
}

fn authorized(pattern: &CallAuthorized, n: u128) -> CallAuthorized {
    let mut event = CallAuthorized { call: call_id(n), ..pattern.clone() };
    event.request = RequestId::from_uuid(Uuid::from_u128(n));
    event.provider_model = format!("model-{}", n % 70);
    event.client.address = Some(format!("10.0.{}.{}", n / 3_000, n % 3));
    event
}

fn settled(n: u128) -> CallSettled {
    CallSettled {
        call: call_id(n),
        usage: Usage { input: 9, output: 7, ..Usage::default() },
        cost: Nanos::from_nanos(COST),
        evidence: if n.is_multiple_of(3) { Evidence::Estimated } else { Evidence::Reported },
        ending: Ending::Completed,
        over_hold: false,
        provider_request: None,
        status: Some(200),
        first_byte_ms: None,
        duration_ms: 5,
    }
}

fn corrected(n: u128) -> CallCorrected {
    let charged_before = Nanos::from_nanos(COST);
    CallCorrected {
        call: call_id(n),
        charged_before,
        charged: Nanos::from_nanos(COST - 1),
        // Neither the fold of the call nor anybody here looks at it.
        ended_at: Revision(1),
        authorized_at: noon(),
        allotted: false,
        usage: None,
        reason: "invoice".to_owned(),
    }
}

async fn folded(node: &Node) -> KeyAccount {
    node.account(key_id(1)).await.glance(Clone::clone)
}

async fn keep_all(node: &Node) -> Revision {
    let head = node.account(key_id(1)).await.revision().unwrap();
    node.ledger.keep_snapshots(key_id(1), head).await.unwrap();
    head
}

#[tokio::test]
async fn a_key_read_from_its_snapshot_is_the_key_read_from_its_events() {
    let (writer, dir) = (long_stream().await, tempfile::tempdir().unwrap());
    let shelf = || Arc::new(Shelf::new(dir.path())) as Arc<dyn Snapshots>;
    let expected = folded(&writer).await;
    let keeper = open_with(&writer.store.memory, PACE, 64 << 20, shelf()).await;
    let head = keep_all(&keeper).await;
    assert_eq!(keeper.ledger.snapshots_reached().await, [(key_id(1), last_kept(head).unwrap())].into());
    let reader = open_with(&writer.store.memory, PACE, 64 << 20, shelf()).await;
    assert_eq!(folded(&reader).await, expected);
    // It decides as any other: the next event comes at the stream's very end.
    reader.ledger.revoke_key(key_id(1), revoke(), Context::system()).await.unwrap();
    assert_eq!(reader.account(key_id(1)).await.revision(), Some(head.next()));
}

#[tokio::test]
async fn the_state_at_every_revision_is_the_fold_up_to_it_with_snapshots_or_without() {
    let (writer, dir) = (long_stream().await, tempfile::tempdir().unwrap());
    let with = open_with(&writer.store.memory, PACE, 64 << 20, Arc::new(Shelf::new(dir.path()))).await;
    let head = keep_all(&with).await;
    let records = writer.records(StreamName::Key(key_id(1))).await;
    let looks: Vec<u64> = [0, 1, 777, KEEP_EVERY - 2, KEEP_EVERY - 1, KEEP_EVERY, KEEP_EVERY + 1, 13_331]
        .into_iter()
        .chain([2 * KEEP_EVERY - 1, 2 * KEEP_EVERY, head.0 - 1, head.0])
        .collect();
    let (mut naive, mut before) = (KeyAccount::default(), None);
    for record in &records {
        let event = &record.event;
        let decoded = KeyEvent::decode(&event.event_type, event.version, &event.data).unwrap();
        let at = nemo_projections::At { revision: event.revision, time: event.recorded_at };
        KeyState::evolve(&mut naive.key, &decoded, at).unwrap();
        naive.attribution.evolve(&decoded, at).unwrap();
        if looks.contains(&event.revision.0) {
            let expected = naive.without_ended_calls();
            for node in [&with, &writer] {
                let then = node.ledger.key_at(key_id(1), event.revision).await.unwrap().unwrap();
                assert_eq!(then.account.without_ended_calls(), expected, "{}", event.revision);
                assert_eq!(
                    then.before.map(|before| before.without_ended_calls()),
                    before,
                    "{}",
                    event.revision
                );
                assert_eq!((then.hash, then.position), (event.hash, record.position));
            }
        }
        if looks.contains(&(event.revision.0 + 1)) {
            before = Some(naive.without_ended_calls());
        }
    }
    assert!(with.ledger.key_at(key_id(1), head.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_moment_is_behind_the_last_event_that_had_happened() {
    let node = node().await;
    node.has_key(key_id(1), unlimited()).await;
    for minute in 1..=40 {
        node.clock.set(later(noon(), minute * 60_000_000));
        let relabelled = KeyRelabelled { labels: labels() };
        node.ledger.manage_key(key_id(1), Say(vec![relabelled.into()]), Context::system()).await.unwrap();
    }
    let records = node.records(StreamName::Key(key_id(1))).await;
    let head = records.last().unwrap().event.revision;
    let at = |moment| node.ledger.revision_at(key_id(1), moment, head);
    for record in &records {
        let (event, before) = (&record.event, record.event.revision.0.checked_sub(1).map(Revision));
        assert_eq!(at(Moment::Position(record.position)).await.unwrap(), Some(event.revision));
        assert_eq!(at(Moment::Position(Position(record.position.0 - 1))).await.unwrap(), before);
        assert_eq!(at(Moment::Time(event.recorded_at)).await.unwrap(), Some(event.revision));
        assert_eq!(at(Moment::Time(later(event.recorded_at, -1))).await.unwrap(), before);
    }
    assert_eq!(at(Moment::Time(later(noon(), 1 << 50))).await.unwrap(), Some(head));
}

/// A fold of the key that says what no event said, as of its last kept revision.
async fn tampered(node: &Node) -> (Arc<Shown>, KeyAccount) {
    let shown = Arc::new(Shown::default());
    let keeper =
        open_with(&node.store.memory, PACE, 64 << 20, Arc::clone(&shown) as Arc<dyn Snapshots>).await;
    keep_all(&keeper).await;
    let mut kept = shown.latest.lock().unwrap().clone().unwrap();
    let text = String::from_utf8(kept.state).unwrap();
    kept.state = text
        .replace("\"limits\":{\"unlimited\":true}", "\"limits\":{\"unlimited\":true,\"concurrent_calls\":9}")
        .into();
    *shown.latest.lock().unwrap() = Some(kept);
    let reader =
        open_with(&node.store.memory, PACE, 64 << 20, Arc::clone(&shown) as Arc<dyn Snapshots>).await;
    let read = folded(&reader).await;
    (shown, read)
}

#[tokio::test]
async fn what_does_not_end_in_an_event_of_the_stream_is_not_believed() {
    let node = long_stream().await;
    let expected = folded(&node).await;
    // First: it is used at all where nothing speaks against it. The digest of the file is what tells such a one.
    let (shown, believed) = tampered(&node).await;
    assert_eq!(believed.key.unwrap().limits.concurrent_calls, Some(9));
    let good = shown.latest.lock().unwrap().clone().unwrap();
    let wrong = [
        Kept { hash: Digest::of(b"another ledger"), ..good.clone() },
        Kept { revision: Revision(good.revision.0 - 1), ..good.clone() },
        Kept { revision: Revision(LONG * 2), ..good.clone() },
        Kept { recorded_at: later(good.recorded_at, 1), ..good.clone() },
        Kept { state: b"{".to_vec(), ..good.clone() },
        Kept { state: b"null".to_vec(), ..good },
    ];
    for kept in wrong {
        *shown.latest.lock().unwrap() = Some(kept.clone());
        let reader =
            open_with(&node.store.memory, PACE, 64 << 20, Arc::clone(&shown) as Arc<dyn Snapshots>).await;
        assert_eq!(folded(&reader).await, expected, "{}", kept.revision);
        let then = reader.ledger.key_at(key_id(1), Revision(12_345)).await.unwrap().unwrap();
        assert_eq!(then.account.key.unwrap().limits, unlimited());
    }
}
