//! Reading the whole ledger once when it is opened: every position, hash, chain and index entry.
//!
//! The events are split into ranges of positions, one thread each. A range knows only its own part of a
//! stream, so it keeps what its first event of the stream needs to follow; the parts are joined at the
//! end. The stream index is walked beside them, see [`super::sum`].

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use nemo_events::{EventRecord, Position, StreamHead, StreamName};

use super::connect::{read_failed, reader};
use super::options::{OnProgress, Progress};
use super::page::{check_next, damaged_event, missing, verify_hash};
use super::row::{columns, records, signed};
use super::sum::{Mixer, Sum, check_index, index_sum};
use super::watermark::Mark;
use crate::ReadError;

const RANGE: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE position > ?1 AND position <= ?2 ORDER BY position");
/// Events below which a second thread is not worth it.
const RANGE_MIN: u64 = 4096;
const RANGES_MAX: u64 = 8;
const PROGRESS_EVERY: u64 = 16_384;

pub(super) type StreamHeads = HashMap<StreamName, StreamHead>;

/// Checks everything up to `head`; returns every stream's head and the last event.
pub(super) fn scan(
    database: &Path,
    head: Option<Position>,
    on_progress: &OnProgress,
) -> Result<(StreamHeads, Mark), ReadError> {
    let total = head.map_or(0, |head| head.0);
    let progress = Counter { done: AtomicU64::new(0), total, on_progress };
    let (ranges, index) = thread::scope(|scope| {
        let index = scope.spawn(|| index_sum(database));
        let reading: Vec<_> = split(total)
            .map(|(after, last)| {
                let progress = &progress;
                scope.spawn(move || Range::read(database, after, last, progress))
            })
            .collect();
        let ranges: Result<Vec<Range>, ReadError> = reading.into_iter().map(join).collect();
        (ranges, join(index))
    });
    let mut heads = StreamHeads::new();
    let (mut last, mut sum) = (Mark::NONE, Sum::default());
    for range in ranges? {
        range.continue_chains(&mut heads)?;
        last = range.last;
        sum = sum.plus(range.sum);
    }
    check_index(sum, index?)?;
    Ok((heads, last))
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, ReadError>>) -> Result<T, ReadError> {
    thread.join().unwrap_or_else(|_| Err(ReadError::Unavailable("checking the ledger panicked".to_owned())))
}

/// Ranges (exclusive, inclusive] of about the same length.
fn split(total: u64) -> impl Iterator<Item = (u64, u64)> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let parts = (total / RANGE_MIN).clamp(1, threads.min(RANGES_MAX));
    let border = move |part: u64| total / parts * part + (total % parts).min(part);
    (0..parts).map(move |part| (border(part), border(part + 1)))
}

struct Counter<'a> {
    done: AtomicU64,
    total: u64,
    on_progress: &'a OnProgress,
}

impl Counter<'_> {
    fn add(&self, events: u64) {
        let done = self.done.fetch_add(events, Ordering::Relaxed).saturating_add(events);
        (self.on_progress)(Progress { done, total: self.total });
    }
}

/// What one range of positions says of the streams in it.
struct Range {
    streams: HashMap<StreamName, Part, BuildHasherDefault<Mixer>>,
    last: Mark,
    sum: Sum,
}

/// The part of a stream that is in a range.
struct Part {
    /// Its first event, without payload.
    first: EventRecord,
    head: StreamHead,
}

impl Range {
    fn read(database: &Path, after: u64, last: u64, progress: &Counter<'_>) -> Result<Self, ReadError> {
        let mut range = Self { streams: HashMap::default(), last: Mark::NONE, sum: Sum::default() };
        range.last.position = Position(after);
        let db = reader(database).map_err(read_failed)?;
        let mut statement = db.prepare(RANGE).map_err(read_failed)?;
        let mut unreported = 0;
        records(&mut statement, (signed(after), signed(last)), |record| {
            range.take(record)?;
            unreported += 1;
            if unreported == PROGRESS_EVERY {
                progress.add(unreported);
                unreported = 0;
            }
            Ok(())
        })?;
        progress.add(unreported);
        if range.last.position == Position(last) {
            return Ok(range);
        }
        Err(missing(Position(range.last.position.0.saturating_add(1))))
    }

    fn take(&mut self, record: EventRecord) -> Result<(), ReadError> {
        check_next(&record, self.last.position)?;
        verify_hash(&record)?;
        self.last = Mark { position: record.position, hash: record.event.hash };
        self.sum.add(&record.event.stream, record.event.revision, record.position);
        let head = record.event.head();
        if let Some(part) = self.streams.get_mut(&record.event.stream) {
            record.event.follows(&part.head).map_err(|error| damaged_event(&record, error))?;
            part.head = head;
        } else {
            let mut first = record;
            (first.event.data, first.event.metadata) = (Bytes::new(), Bytes::new());
            self.streams.insert(first.event.stream.clone(), Part { first, head });
        }
        Ok(())
    }

    fn continue_chains(&self, heads: &mut StreamHeads) -> Result<(), ReadError> {
        for (stream, part) in &self.streams {
            let head = heads.get(stream).unwrap_or(&StreamHead::EMPTY);
            part.first.event.follows(head).map_err(|error| damaged_event(&part.first, error))?;
            heads.insert(stream.clone(), part.head);
        }
        Ok(())
    }
}
