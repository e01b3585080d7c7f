//! Reading the whole ledger once when it is opened: every position, hash, chain and index entry.
//!
//! The events are split into ranges of positions, one thread each. A range knows only its own part of a
//! stream, so it keeps what its first event of the stream needs to follow; the parts are joined at the
//! end. The stream index is walked beside them: it must hold the same (stream, revision, position)
//! triples as the table, in order, which a sum of their hashes shows.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use nemo_events::{EventRecord, Position, Revision, StreamHead, StreamName};

use super::connect::{read_failed, reader};
use super::options::{OnProgress, Progress};
use super::page::{check_next, damaged_event, missing, verify_hash};
use super::row::{columns, records, signed};
use super::watermark::Mark;
use crate::ReadError;

const RANGE: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE position > ?1 AND position <= ?2 ORDER BY position");
/// Answered from the index alone.
const INDEX: &str = "SELECT stream, revision, position FROM events INDEXED BY sqlite_autoindex_events_1 \
                     ORDER BY stream, revision";

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

/// A sum over (stream, revision, position), the same in whatever order they are added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn add(&mut self, stream: &StreamName, revision: Revision, position: Position) {
        let mut mixer = Mixer(0);
        (stream, revision, position).hash(&mut mixer);
        self.0 = self.0.wrapping_add(mixer.finish());
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// A quick hash: what it tells apart differs by accident, not on purpose.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let tail = rest.iter().fold(rest.len() as u64, |tail, byte| tail << 8 | u64::from(*byte));
        self.write_u64(tail);
    }

    fn write_u64(&mut self, word: u64) {
        // The multiplier and the final mix of splitmix64.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

pub(super) fn check_index(table: Sum, index: Sum) -> Result<(), ReadError> {
    if table == index {
        return Ok(());
    }
    Err(damaged_index("it does not hold the same events as the table".to_owned()))
}

fn damaged_index(what: String) -> ReadError {
    ReadError::Damaged { place: "the stream index".to_owned(), what }
}

/// The sum over the stream index, which must be in order.
fn index_sum(database: &Path) -> Result<Sum, ReadError> {
    let db = reader(database).map_err(read_failed)?;
    let mut statement = db.prepare(INDEX).map_err(read_failed)?;
    let mut rows = statement.query([]).map_err(read_failed)?;
    let (mut sum, mut previous) = (Sum::default(), (String::new(), -1_i64));
    while let Some(row) = rows.next().map_err(read_failed)? {
        let stream = row.get_ref(0).map_err(read_failed)?.as_str().unwrap_or_default();
        let revision: i64 = row.get(1).map_err(read_failed)?;
        let position: i64 = row.get(2).map_err(read_failed)?;
        if (stream, revision) <= (previous.0.as_str(), previous.1) {
            return Err(damaged_index(format!("{stream}@{revision} is out of order")));
        }
        let entry = (stream.parse(), u64::try_from(revision), u64::try_from(position));
        let (Ok(name), Ok(number), Ok(position)) = entry else {
            return Err(damaged_index(format!("{stream}@{revision} is no event")));
        };
        sum.add(&name, Revision(number), Position(position));
        if previous.0 != stream {
            stream.clone_into(&mut previous.0);
        }
        previous.1 = revision;
    }
    Ok(sum)
}
