//! A walk over all events of a store, up to an end, that checks every chain on its way. The hash of each
//! event was checked by the store that returned it.

use std::collections::VecDeque;
use std::sync::Arc;

use nemo_events::{EventRecord, Position};

use super::chains::Chains;
use super::{CopyError, CopyJob, Phase, Progress, Side, patience};
use crate::{EventStore, MAX_PAGE, ReadError};

/// Where a walk is.
pub(super) struct Walk<'a> {
    copy: &'a CopyJob,
    side: Side,
    /// The last event to be looked at; `None` for the store's last one.
    end: Option<Position>,
    after: Option<Position>,
    ahead: VecDeque<EventRecord>,
    chains: Chains,
    ended: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(copy: &'a CopyJob, side: Side, end: Option<Position>) -> Self {
        Self { copy, side, end, after: None, ahead: VecDeque::new(), chains: Chains::new(), ended: false }
    }

    /// What was passed so far.
    pub(super) const fn chains(&self) -> &Chains {
        &self.chains
    }

    /// The next event; `None` at the end.
    pub(super) async fn next(
        &mut self,
        phase: Phase,
        end: Position,
    ) -> Result<Option<EventRecord>, CopyError> {
        if self.ahead.is_empty() {
            self.read().await?;
            self.report(phase, end);
        }
        let Some(record) = self.ahead.pop_front() else { return Ok(None) };
        self.follow(&record)?;
        Ok(Some(record))
    }

    /// All that is left of a page; empty at the end.
    pub(super) async fn page(&mut self, phase: Phase, end: Position) -> Result<Vec<EventRecord>, CopyError> {
        if self.ahead.is_empty() {
            self.read().await?;
        }
        let page = Vec::from(std::mem::take(&mut self.ahead));
        for record in &page {
            self.follow(record)?;
        }
        self.report(phase, end);
        Ok(page)
    }

    fn follow(&mut self, record: &EventRecord) -> Result<(), CopyError> {
        self.chains.follow(&record.event).map_err(|error| {
            let place = format!("{} {}", record.event.stream, record.event.revision);
            let source = ReadError::Damaged { place, what: error.to_string() };
            CopyError::Read { side: self.side, source }
        })
    }

    async fn read(&mut self) -> Result<(), CopyError> {
        if self.ended {
            return Ok(());
        }
        let store: &Arc<dyn EventStore> = self.copy.store(self.side);
        let after = self.after;
        let page = patience::read(self.copy.patience, || store.read_all(after, MAX_PAGE)).await;
        let mut page = page.map_err(|source| CopyError::Read { side: self.side, source })?;
        if let Some(end) = self.end {
            page.retain(|record| record.position <= end);
        }
        match page.last() {
            Some(last) => {
                self.after = Some(last.position);
                self.ended = self.end.is_some_and(|end| last.position >= end);
            }
            None => self.ended = true,
        }
        self.ahead = page.into();
        Ok(())
    }

    /// Only the source's positions say how far a copy is.
    fn report(&self, phase: Phase, end: Position) {
        if self.side == Side::Source {
            let (events, bytes) = (self.chains.events(), self.chains.bytes());
            (self.copy.on_progress)(Progress { phase, events, bytes, reached: self.after, end });
        }
    }
}
