//! The events of a memory store: one log, and for each stream where its events are.

use std::collections::HashMap;

use nemo_events::{EventRecord, Position, Revision, Sealed, StreamHead, StreamName};

use crate::append::NOT_CHAINED;
use crate::{AppendError, Direction, Expected, MAX_PAGE};

/// The distance between two positions.
const STRIDE: u64 = 3;

#[derive(Debug, Default)]
pub(super) struct State {
    log: Vec<EventRecord>,
    streams: HashMap<StreamName, Vec<EventRecord>>,
}

impl State {
    /// Appends events that [`crate::append::check`] has passed.
    pub(super) fn append(&mut self, expected: Expected, events: &[Sealed]) -> Result<Position, AppendError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Err(AppendError::Invalid("no events"));
        };
        let stream = self.streams.entry(first.stream.clone()).or_default();
        let head = stream.last().map_or(StreamHead::EMPTY, |record| record.event.head());
        let expected = match expected {
            Expected::NoStream => None,
            Expected::Exact(revision) => Some(revision),
        };
        if head.revision != expected {
            let stored = stream.iter().skip_while(|record| record.event.revision < first.revision);
            let same = stored.take(events.len()).map(|r| r.event.hash).eq(events.iter().map(|e| e.hash));
            let resent = stream.iter().find(|record| record.event.revision == last.revision).filter(|_| same);
            return resent.map(|record| record.position).ok_or(AppendError::Conflict);
        }
        if first.follows(&head).is_err() {
            return Err(NOT_CHAINED);
        }
        let mut position = self.log.last().map_or(Position(0), |record| record.position);
        for event in events {
            position = Position(position.0.saturating_add(STRIDE));
            let record = EventRecord { position, event: event.clone() };
            stream.push(record.clone());
            self.log.push(record);
        }
        Ok(position)
    }

    pub(super) fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Vec<EventRecord> {
        let events = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let limit = limit.min(MAX_PAGE);
        match direction {
            Direction::Forwards => {
                events.iter().filter(|r| r.event.revision >= from).take(limit).cloned().collect()
            }
            Direction::Backwards => {
                events.iter().rev().filter(|r| r.event.revision <= from).take(limit).cloned().collect()
            }
        }
    }

    pub(super) fn read_all(&self, after: Option<Position>, limit: usize) -> Vec<EventRecord> {
        let start = self.log.partition_point(|record| Some(record.position) <= after);
        self.log.iter().skip(start).take(limit.min(MAX_PAGE)).cloned().collect()
    }

    pub(super) fn head(&self) -> Option<Position> {
        self.log.last().map(|record| record.position)
    }
}
