//! Pages of one stream and of all streams.

use std::sync::Arc;

use super::append::index;
use super::{Recorded, State, Stream};

/// A page of one stream.
#[derive(Debug)]
pub(crate) struct StreamPage {
    pub(crate) events: Vec<Arc<Recorded>>,
    /// The stream's last revision; `None` while it has only metadata.
    pub(crate) last: u64,
    /// Where the next page starts; `None` at the end in this direction.
    pub(crate) next: Option<u64>,
}

/// A page of all streams.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) events: Vec<Arc<Recorded>>,
    /// Where the next page starts.
    pub(crate) next: u64,
    /// How many events were looked at, wanted or not.
    pub(crate) considered: usize,
    /// Position of the last event that was looked at.
    pub(crate) last_considered: Option<u64>,
    pub(crate) is_end: bool,
}

/// A position at which no record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidPosition {
    /// Inside a record, or a prepare position behind its commit position.
    NoRecord,
    /// Behind the end of the log, read downwards.
    BehindEnd,
}

impl Stream {
    /// The first revision that reads show.
    fn first(&self) -> u64 {
        let length = self.events.len() as u64;
        let kept = self.max_count.map_or(0, |max| length.saturating_sub(max));
        self.truncate_before.max(kept)
    }
}

impl State {
    pub(super) fn read_stream(
        &self,
        name: &str,
        from: u64,
        forwards: bool,
        limit: usize,
    ) -> Option<StreamPage> {
        let stream = self.streams.get(name)?;
        let last = stream.events.last()?.revision;
        let first = stream.first();
        if first > last {
            return None;
        }
        let (events, next) = if forwards {
            let start = from.max(first).min(last + 1);
            let until = start.saturating_add(limit as u64).min(last + 1);
            let events = stream.events[index(start)..index(until)].to_vec();
            (events, (until <= last).then_some(until))
        } else {
            let start = from.min(last);
            if start < first {
                return Some(StreamPage { events: Vec::new(), last, next: None });
            }
            let until = (start + 1).saturating_sub(limit as u64).max(first);
            let events = stream.events[index(until)..=index(start)].iter().rev().cloned().collect();
            (events, until.checked_sub(1).filter(|next| *next >= first))
        };
        Some(StreamPage { events, last, next })
    }

    pub(super) fn read_forwards(
        &self,
        (commit, prepare): (u64, u64),
        limit: usize,
        window: usize,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Result<Page, InvalidPosition> {
        let mut page =
            Page { events: Vec::new(), next: commit, considered: 0, last_considered: None, is_end: true };
        if prepare > commit {
            return Err(InvalidPosition::NoRecord);
        }
        if self.events.last().is_none_or(|last| commit > last.position) {
            return Ok(page);
        }
        self.check_boundary(commit)?;
        let start = self.events.partition_point(|event| (event.position, event.position) < (commit, prepare));
        for event in &self.events[start..] {
            if page.events.len() >= limit || page.considered >= window {
                page.is_end = false;
                page.next = event.position;
                return Ok(page);
            }
            page.considered += 1;
            page.last_considered = Some(event.position);
            if wanted(event) {
                page.events.push(Arc::clone(event));
            }
        }
        page.next = self.end;
        Ok(page)
    }

    pub(super) fn read_backwards(
        &self,
        (commit, prepare): (u64, u64),
        limit: usize,
        window: usize,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Result<Page, InvalidPosition> {
        if prepare > commit {
            return Err(InvalidPosition::NoRecord);
        }
        if commit > self.end {
            return Err(InvalidPosition::BehindEnd);
        }
        self.check_boundary(commit)?;
        let mut page =
            Page { events: Vec::new(), next: commit, considered: 0, last_considered: None, is_end: true };
        let start = self.events.partition_point(|event| (event.position, event.position) < (commit, prepare));
        for event in self.events[..start].iter().rev() {
            if page.events.len() >= limit || page.considered >= window {
                page.is_end = false;
                return Ok(page);
            }
            page.considered += 1;
            page.last_considered = Some(event.position);
            page.next = event.position;
            if wanted(event) {
                page.events.push(Arc::clone(event));
            }
        }
        Ok(page)
    }

    /// A record starts there, or the log ends there.
    fn check_boundary(&self, position: u64) -> Result<(), InvalidPosition> {
        let is_boundary = position == self.end
            || self.events.binary_search_by_key(&position, |event| event.position).is_ok()
            || self.fillers.binary_search(&position).is_ok();
        if is_boundary { Ok(()) } else { Err(InvalidPosition::NoRecord) }
    }
}
