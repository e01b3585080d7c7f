//! What a page of events must be, given what is known to be durable. Pure.
//!
//! The stream index and the inner pages of a table carry no hash. So a read says beforehand exactly
//! which revisions or positions it must bring, and is believed only if it brings them.

use nemo_events::{ChainError, EventRecord, Position, Revision, StreamHead, StreamName};

use crate::{Direction, ReadError};

/// Revisions of a stream, both inclusive, none beyond its head.
#[derive(Debug, Clone)]
pub(super) struct StreamPage {
    pub(super) stream: StreamName,
    pub(super) direction: Direction,
    pub(super) first: u64,
    pub(super) last: u64,
    head: StreamHead,
}

impl StreamPage {
    /// The page that starts at `from`; `None` where nothing is there.
    pub(super) fn plan(
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
        head: StreamHead,
    ) -> Option<Self> {
        let (end, more) = (head.revision?.0, (limit as u64).checked_sub(1)?);
        let (first, last) = match direction {
            Direction::Forwards => (from.0, from.0.saturating_add(more).min(end)),
            Direction::Backwards => (from.0.min(end).saturating_sub(more), from.0.min(end)),
        };
        (first <= last).then(|| Self { stream: stream.clone(), direction, first, last, head })
    }

    /// Checks that the page is the one planned, and that each event is what was written.
    pub(super) fn check(&self, page: &[EventRecord]) -> Result<(), ReadError> {
        match self.direction {
            Direction::Forwards => self.check_ascending(page.iter()),
            Direction::Backwards => self.check_ascending(page.iter().rev()),
        }
    }

    fn check_ascending<'a>(&self, mut page: impl Iterator<Item = &'a EventRecord>) -> Result<(), ReadError> {
        let mut previous: Option<&EventRecord> = None;
        for revision in self.first..=self.last {
            let record = page.next().filter(|record| record.event.revision.0 == revision);
            let record = record.ok_or_else(|| self.damaged(revision, "it is missing"))?;
            let event = &record.event;
            if event.stream != self.stream {
                return Err(self.damaged(revision, "the stream index leads to another stream"));
            }
            verify_hash(record)?;
            if let Some(previous) = previous {
                event.follows(&previous.event.head()).map_err(|error| damaged_event(record, error))?;
            }
            if self.head.revision == Some(event.revision) && self.head.hash != event.hash {
                return Err(self.damaged(revision, "it is not the event that was the stream's head"));
            }
            previous = Some(record);
        }
        page.next().map_or(Ok(()), |record| Err(self.damaged(record.event.revision.0, "it is there twice")))
    }

    fn damaged(&self, revision: u64, what: &str) -> ReadError {
        ReadError::Damaged { place: format!("{}@{revision}", self.stream), what: what.to_owned() }
    }
}

/// Positions of all events, the first exclusive, the last inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct AllPage {
    pub(super) after: u64,
    pub(super) last: u64,
}

impl AllPage {
    /// The page behind `after`; `None` where nothing is there.
    pub(super) fn plan(after: Option<Position>, limit: usize, head: Option<Position>) -> Option<Self> {
        let after = after.map_or(0, |after| after.0);
        let last = after.saturating_add(limit as u64).min(head?.0);
        (after < last).then_some(Self { after, last })
    }

    /// Checks that the page is the one planned, and that each event is what was written.
    pub(super) fn check(self, page: &[EventRecord]) -> Result<(), ReadError> {
        let mut last = Position(self.after);
        for record in page {
            check_next(record, last)?;
            verify_hash(record)?;
            last = record.position;
        }
        if last.0 == self.last { Ok(()) } else { Err(missing(next(last))) }
    }
}

/// Checks that the record has the position behind `last`.
pub(super) fn check_next(record: &EventRecord, last: Position) -> Result<(), ReadError> {
    if record.position == next(last) { Ok(()) } else { Err(missing(next(last))) }
}

pub(super) fn verify_hash(record: &EventRecord) -> Result<(), ReadError> {
    record.event.verify().map_err(|error| damaged_event(record, error))
}

pub(super) fn damaged_event(record: &EventRecord, error: ChainError) -> ReadError {
    let EventRecord { position, event } = record;
    ReadError::Damaged {
        place: format!("{}{}, position {position}", event.stream, event.revision),
        what: error.to_string(),
    }
}

pub(super) fn missing(position: Position) -> ReadError {
    ReadError::Damaged { place: format!("position {position}"), what: "the event is missing".to_owned() }
}

fn next(position: Position) -> Position {
    Position(position.0.saturating_add(1))
}
