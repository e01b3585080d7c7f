//! Copies between real stores, with everything that can interrupt them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::contract::Script;
use crate::embedded::{EmbeddedStore, Options};
use crate::memory::{Fault, MemoryStore};
use crate::{Direction, Expected, MAX_PAGE, Subscription};

/// A ledger whose streams alternate, with long and short runs of one stream.
async fn write(store: &dyn EventStore, events: usize) {
    let mut scripts: Vec<Script> = (0..7).map(Script::of_key).collect();
    let mut written = 0;
    for round in 0.. {
        let count = [1, 2, 1, 40][round % 4].min(events - written);
        let script = &mut scripts[round * 5 % 7];
        script.write(store, count).await;
        written += count;
        if written == events {
            return;
        }
    }
}

async fn log(store: &dyn EventStore) -> Vec<Sealed> {
    let (mut after, mut log) = (None, Vec::new());
    loop {
        let page = store.read_all(after, MAX_PAGE).await.unwrap();
        let Some(last) = page.last() else { return log };
        after = Some(last.position);
        log.extend(page.into_iter().map(|record| record.event));
    }
}

fn job(source: &Arc<impl EventStore>, target: &Arc<impl EventStore>) -> CopyJob {
    CopyJob {
        source: Arc::clone(source) as Arc<dyn EventStore>,
        target: Arc::clone(target) as Arc<dyn EventStore>,
        patience: Duration::from_secs(20),
        on_progress: Arc::new(|_| {}),
    }
}

async fn memory(events: usize) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    if events > 0 {
        write(&*store, events).await;
    }
    store
}

fn embedded(dir: &tempfile::TempDir) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open(dir.path(), Options::default()).unwrap())
}

#[tokio::test]
async fn a_ledger_goes_to_another_kind_of_store_and_back_byte_by_byte() {
    let (dir, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let original = embedded(&dir);
    write(&*original, 9_000).await;
    let elsewhere = memory(0).await;
    let there = job(&original, &elsewhere).run().await.unwrap();
    let returned = embedded(&back);
    let here = job(&elsewhere, &returned).run().await.unwrap();
    assert_eq!((there.new, here.new), (9_000, 9_000));
    assert_eq!(there.same, here.same);
    assert_eq!((here.same.events, here.same.streams), (9_000, 7));
    assert!(!there.source_grew && !here.source_grew);
    assert_eq!(log(&*returned).await, log(&*original).await);
    returned.verify(|_| {}).await.unwrap();
}

#[tokio::test]
async fn an_empty_ledger_is_copied_into_an_empty_one_only() {
    let (empty, target, full) = (memory(0).await, memory(0).await, memory(3).await);
    assert_eq!(job(&empty, &target).run().await.unwrap().same.events, 0);
    let refused = job(&empty, &full).run().await;
    assert!(matches!(refused, Err(CopyError::Ahead { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_copy_that_was_made_is_compared_and_nothing_is_written() {
    let (source, target) = (memory(500).await, memory(0).await);
    job(&source, &target).run().await.unwrap();
    target.faults().fail_appends();
    let again = job(&source, &target).run().await.unwrap();
    assert_eq!((again.new, again.same.events), (0, 500));
}

#[tokio::test]
async fn what_the_source_gets_later_is_left_to_the_next_run() {
    let (source, target) = (memory(100).await, memory(0).await);
    job(&source, &target).run().await.unwrap();
    Script::of_key(99).write(&*source, 5).await;
    let next = job(&source, &target).run().await.unwrap();
    assert_eq!((next.new, next.same.events), (5, 105));
    assert_eq!(log(&*target).await, log(&*source).await);
}

#[tokio::test]
async fn a_target_with_something_else_is_refused_and_left_alone() {
    let (source, foreign) = (memory(100).await, memory(50).await);
    let before = log(&*foreign).await;
    let refused = job(&source, &foreign).run().await;
    assert!(matches!(refused, Err(CopyError::Differs { number: 1, .. })), "{refused:?}");
    assert_eq!(log(&*foreign).await, before);
}

#[tokio::test]
async fn a_target_that_has_more_is_refused() {
    let (source, target) = (memory(100).await, memory(0).await);
    job(&source, &target).run().await.unwrap();
    Script::of_key(99).write(&*target, 1).await;
    let refused = job(&source, &target).run().await;
    assert!(matches!(refused, Err(CopyError::Ahead { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_same_events_in_another_order_are_no_copy() {
    let (source, target) = (memory(0).await, memory(0).await);
    let (one, two) = (Script::of_key(1).next(1), Script::of_key(2).next(1));
    for (store, order) in [(&source, [&one, &two]), (&target, [&two, &one])] {
        for append in order {
            append.send(&**store).await.unwrap();
        }
    }
    let refused = job(&source, &target).run().await;
    assert!(matches!(refused, Err(CopyError::Differs { .. })), "{refused:?}");
}

#[tokio::test]
async fn lost_answers_and_absences_change_nothing() {
    for fault in [Fault::NotWritten, Fault::Written] {
        let (source, target) = (memory(300).await, memory(0).await);
        for _ in 0..3 {
            target.faults().next(fault);
        }
        job(&source, &target).run().await.unwrap();
        assert_eq!(log(&*target).await, log(&*source).await, "{fault:?}");
    }
    let (source, target) = (memory(300).await, memory(0).await);
    source.faults().go_away();
    target.faults().fail_appends();
    let running = tokio::spawn(job(&source, &target).run_owned());
    tokio::task::yield_now().await;
    source.faults().come_back();
    target.faults().appends_arrive(3).await;
    target.faults().come_back();
    running.await.unwrap().unwrap();
    assert_eq!(log(&*target).await, log(&*source).await);
}

#[tokio::test]
async fn patience_ends() {
    let (source, target) = (memory(10).await, memory(0).await);
    target.faults().fail_appends();
    let given_up = CopyJob { patience: Duration::ZERO, ..job(&source, &target) }.run().await;
    assert!(matches!(given_up, Err(CopyError::Append { .. })), "{given_up:?}");
    source.faults().go_away();
    let given_up = CopyJob { patience: Duration::ZERO, ..job(&source, &target) }.run().await;
    assert!(matches!(given_up, Err(CopyError::Read { side: Side::Source, .. })), "{given_up:?}");
}

impl CopyJob {
    async fn run_owned(self) -> Result<Copied, CopyError> {
        self.run().await
    }
}

/// A store that stops taking appends after so many: whatever it has then is what a killed copy leaves.
struct Until(Arc<MemoryStore>, AtomicUsize);

#[async_trait]
impl EventStore for Until {
    async fn append(&self, expected: Expected, events: Vec<Sealed>) -> Result<Position, AppendError> {
        let left = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| AppendError::Unavailable("cut here".to_owned()))?;
        self.0.append(expected, events).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        self.0.read_stream(stream, from, direction, limit).await
    }

    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        self.0.read_all(after, limit).await
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        self.0.head().await
    }

    async fn subscribe_all(&self, after: Option<Position>) -> Result<Subscription, ReadError> {
        self.0.subscribe_all(after).await
    }

    async fn close(&self) {}
}

#[tokio::test]
async fn a_copy_that_was_cut_anywhere_goes_on_where_it_ended() {
    let source = memory(200).await;
    let whole = log(&*source).await;
    let target = memory(0).await;
    let (mut cuts, mut sizes) = (0, Vec::new());
    loop {
        let until = Arc::new(Until(Arc::clone(&target), AtomicUsize::new(3)));
        let impatient = CopyJob { patience: Duration::ZERO, ..job(&source, &until) };
        let done = impatient.run().await;
        let there = log(&*target).await;
        assert_eq!(there, whole[..there.len()], "a beginning of the source, whatever happened");
        sizes.push(there.len());
        if done.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 5 && sizes.is_sorted() && sizes.last() == Some(&200), "{sizes:?}");
}

#[tokio::test]
async fn whoever_else_writes_to_the_target_is_noticed() {
    let (source, target) = (memory(100).await, memory(0).await);
    target.faults().next(Fault::Conflict);
    let refused = job(&source, &target).run().await;
    assert!(matches!(refused, Err(CopyError::Append { source: AppendError::Conflict, .. })), "{refused:?}");
}

#[tokio::test]
async fn progress_goes_from_nothing_to_all_in_each_phase() {
    let (source, target) = (memory(10_000).await, memory(0).await);
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    let on_progress = Arc::new(move |progress: Progress| notes.lock().unwrap().push(progress));
    CopyJob { on_progress, ..job(&source, &target) }.run().await.unwrap();
    let told = told.lock().unwrap();
    for phase in [Phase::Copying, Phase::Comparing] {
        let of_phase: Vec<_> = told.iter().filter(|progress| progress.phase == phase).collect();
        assert!(of_phase.is_sorted_by_key(|progress| (progress.events, progress.reached)));
        assert!(of_phase.len() > 2);
        assert_eq!(of_phase.last().unwrap().reached, Some(of_phase[0].end));
    }
}

#[test]
fn one_append_holds_neither_too_many_events_nor_too_many_bytes() {
    let mut script = Script::of_key(1).with_data(vec![b'1'; 10_000]);
    let events = script.next(100).events;
    let page = events.iter().enumerate();
    let page = page.map(|(n, event)| EventRecord { position: Position(n as u64), event: event.clone() });
    let appends = in_appends(page.collect());
    assert!(appends.len() > 3);
    assert!(appends.iter().all(|events| events.iter().map(chains::bytes).sum::<usize>() <= APPEND_BYTES));
    assert_eq!(appends.concat(), events);
}
