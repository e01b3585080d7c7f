//! Checking a running ledger from end to end, in pages, so that nothing else has to wait for it.
//!
//! Twice over every event: by position, and from the stream index to the event, since an index (or an
//! inner page of the table) that is damaged hides events only from those who come that way.

use std::sync::Arc;

use nemo_events::{EventRecord, Position, Revision, StreamHead};
use rusqlite::Connection;

use super::connect::read_failed;
use super::options::Progress;
use super::page::damaged_event;
use super::reads::Reads;
use super::row::{columns, records, signed};
use super::scan::StreamHeads;
use super::sum::{Sum, check_index};
use crate::{MAX_PAGE, ReadError};

const BY_STREAM: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events INDEXED BY sqlite_autoindex_events_1 \
     WHERE (stream, revision) > (?1, ?2) ORDER BY stream, revision LIMIT ?3"
);

/// What was found to be as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Events, up to `head`.
    pub events: u64,
    /// Streams that they belong to.
    pub streams: u64,
    /// The last event when the check began.
    pub head: Option<Position>,
}

pub(super) async fn verify(
    reads: &Arc<Reads>,
    on_progress: impl Fn(Progress) + Send,
) -> Result<Verified, ReadError> {
    let head = reads.head()?;
    let target = head.unwrap_or(Position(0));
    // Each event is looked at twice.
    let report = |done: u64| on_progress(Progress { done, total: target.0.saturating_mul(2) });

    let (mut chains, mut table) = (StreamHeads::new(), Sum::default());
    let mut after = None;
    while after < head {
        for record in reads.all(after, MAX_PAGE).await? {
            if record.position <= target {
                follow(&mut chains, &record)?;
                table.add(&record.event.stream, record.event.revision, record.position);
                after = Some(record.position);
            }
        }
        report(after.map_or(0, |after| after.0));
    }

    let mut walk =
        IndexWalk { place: (String::new(), -1), target, seen: 0, sum: Sum::default(), ended: false };
    while !walk.ended {
        walk = reads.pool.run(move |db| walk.page(db)).await?;
        report(target.0.saturating_add(walk.seen));
    }
    check_index(table, walk.sum)?;
    check_heads(reads, &chains)?;
    Ok(Verified { events: target.0, streams: chains.len() as u64, head })
}

fn follow(chains: &mut StreamHeads, record: &EventRecord) -> Result<(), ReadError> {
    let head = chains.get(&record.event.stream).unwrap_or(&StreamHead::EMPTY);
    record.event.follows(head).map_err(|error| damaged_event(record, error))?;
    chains.insert(record.event.stream.clone(), record.event.head());
    Ok(())
}

/// What appends are checked against must be what is stored; a stream may have grown meanwhile.
fn check_heads(reads: &Reads, chains: &StreamHeads) -> Result<(), ReadError> {
    for (stream, stored) in chains {
        let known = reads.heads.get(stream);
        if known != *stored && known.revision <= stored.revision {
            let place = format!("{stream}{}", stored.revision.unwrap_or(Revision::FIRST));
            return Err(ReadError::Damaged { place, what: "it is not the head that was known".to_owned() });
        }
    }
    Ok(())
}

/// A walk along the stream index, to each event.
struct IndexWalk {
    /// The entry that was visited last.
    place: (String, i64),
    target: Position,
    seen: u64,
    sum: Sum,
    ended: bool,
}

impl IndexWalk {
    fn page(mut self, db: &Connection) -> Result<Self, ReadError> {
        let mut statement = db.prepare_cached(BY_STREAM).map_err(read_failed)?;
        let (stream, revision) = std::mem::take(&mut self.place);
        let mut count = 0;
        records(&mut statement, (&stream, revision, MAX_PAGE as i64), |record| {
            count += 1;
            self.place = (record.event.stream.to_string(), signed(record.event.revision.0));
            if record.position <= self.target {
                self.seen += 1;
                self.sum.add(&record.event.stream, record.event.revision, record.position);
            }
            Ok(())
        })?;
        self.ended = count < MAX_PAGE;
        Ok(self)
    }
}
