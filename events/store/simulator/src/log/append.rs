//! Whether an append happens, and how it lies in the log.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::watch;

use super::disk::Batch;
use super::{Proposed, Recorded, State};

/// Events for the end of one stream.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) stream: String,
    pub(crate) expected: Expected,
    pub(crate) events: Vec<Proposed>,
}

/// What a stream must look like for an append to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Any,
    NoStream,
    StreamExists,
    Revision(u64),
}

/// An append that happened, now or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    /// Revision of its last event; `None` for no events in no stream.
    pub(crate) revision: Option<u64>,
    /// Position of its last event; `None` where it had no events.
    pub(crate) position: Option<u64>,
    /// Whether it was there already.
    pub(crate) again: bool,
}

/// Why an append did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The stream's last revision is another one.
    WrongExpectedVersion { current: Option<u64> },
    /// Its connection was cut, or its node lost the lead, before its turn.
    NotWritten,
}

/// The fixed part of a record, in bytes.
const RECORD_OVERHEAD: u64 = 96;
/// Length of a record that holds no event.
const FILLER: u64 = 139;
/// How many of a stream's last ids are known to an append that expects no revision; the server's memory is bounded
/// too.
const REMEMBERED: usize = 4096;
/// After so many appends comes a record without an event, as epochs and transactions leave them.
const FILLER_EVERY: u64 = 11;

impl State {
    /// Appends if it `may`, and tells who waits for the log to grow.
    pub(super) fn append_if(
        &mut self,
        write: Write,
        may: impl FnOnce() -> bool,
        end: &watch::Sender<u64>,
    ) -> Result<Appended, Refused> {
        if !may() {
            return Err(Refused::NotWritten);
        }
        let appended = self.append(write)?;
        if !appended.again && self.appends.checked_rem(self.system_event_every) == Some(0) {
            self.write_statistics(1);
        }
        end.send_replace(self.end);
        Ok(appended)
    }

    fn append(&mut self, write: Write) -> Result<Appended, Refused> {
        let Write { stream, expected, events } = write;
        let stream = stream.as_str();
        if let Some(before) = self.check(stream, expected, &events)? {
            return Ok(before);
        }
        if events.is_empty() {
            return Ok(Appended { revision: self.last_revision(stream), position: None, again: false });
        }
        self.write(stream, events);
        self.appends += 1;
        if self.appends.is_multiple_of(FILLER_EVERY) {
            self.write_filler();
        }
        let last = &self.streams[stream].events.last().expect("just written");
        Ok(Appended { revision: Some(last.revision), position: Some(last.position), again: false })
    }

    /// The server's `CheckCommit`: `Some` if these events are there already, where they were expected.
    fn check(
        &self,
        stream: &str,
        expected: Expected,
        events: &[Proposed],
    ) -> Result<Option<Appended>, Refused> {
        let current = self.last_revision(stream);
        let wrong = Err(Refused::WrongExpectedVersion { current });
        let first = match expected {
            Expected::StreamExists if current.is_none() => return wrong,
            Expected::Any | Expected::StreamExists => {
                let Some(first) = events.first().and_then(|event| self.find(stream, event)) else {
                    return Ok(None);
                };
                first
            }
            Expected::NoStream => 0,
            Expected::Revision(revision) => revision + 1,
        };
        let next = current.map_or(0, |current| current + 1);
        if matches!(expected, Expected::NoStream | Expected::Revision(_)) && first == next {
            return Ok(None);
        }
        if events.is_empty() || first > next {
            return wrong;
        }
        let held = &self.streams[stream].events;
        for (event, revision) in events.iter().zip(first..) {
            if held.get(index(revision)).is_none_or(|held| held.event.id != event.id) {
                return wrong;
            }
        }
        let last = &held[index(first) + events.len() - 1];
        Ok(Some(Appended { revision: Some(last.revision), position: Some(last.position), again: true }))
    }

    pub(super) fn last_revision(&self, stream: &str) -> Option<u64> {
        self.streams.get(stream).and_then(|stream| stream.events.last()).map(|last| last.revision)
    }

    /// Where an event with this id lies, if it came not too long ago.
    fn find(&self, stream: &str, event: &Proposed) -> Option<u64> {
        let stream = self.streams.get(stream)?;
        let recent = stream.events.iter().rev().take(REMEMBERED);
        recent.into_iter().find(|held| held.event.id == event.id).map(|held| held.revision)
    }

    /// Writes events behind the last of their stream, in one piece.
    pub(super) fn write(&mut self, stream: &str, events: Vec<Proposed>) {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() / 100);
        self.commit(Batch { stream: stream.into(), created: created as u64, events });
    }

    pub(super) fn write_filler(&mut self) {
        self.commit(Batch::filler());
    }

    fn commit(&mut self, batch: Batch) {
        if let Some(disk) = &mut self.disk {
            disk.write(&batch);
        }
        self.replay(batch);
    }

    /// Comes back when what was written is durable.
    pub(super) fn sync(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.sync();
        }
    }

    /// Takes what was written into memory; positions follow from what was written alone.
    pub(super) fn replay(&mut self, batch: Batch) {
        if batch.events.is_empty() {
            self.fillers.push(self.end);
            self.end += FILLER;
            return;
        }
        let name: Arc<str> = batch.stream.into();
        for event in batch.events {
            let stream = self.streams.entry(Arc::clone(&name)).or_default();
            let size = RECORD_OVERHEAD
                + (name.len() + event.event_type.len() + event.data.len() + event.metadata.len()) as u64;
            let recorded = Arc::new(Recorded {
                position: self.end,
                stream: Arc::clone(&name),
                revision: stream.events.len() as u64,
                created: batch.created,
                event,
            });
            stream.events.push(Arc::clone(&recorded));
            self.end += size;
            if let Some(described) = name.strip_prefix("$$") {
                self.apply_metadata(described, &recorded);
            }
            self.events.push(recorded);
        }
    }

    /// `$maxCount` and `$tb` of a stream's metadata; the other settings do not matter here.
    fn apply_metadata(&mut self, stream: &str, recorded: &Recorded) {
        let Ok(settings) = serde_json::from_slice::<Value>(&recorded.event.data) else { return };
        let number = |name: &str| settings.get(name).and_then(Value::as_u64);
        let stream = self.streams.entry(stream.into()).or_default();
        stream.max_count = number("$maxCount");
        stream.truncate_before = number("$tb").unwrap_or(0);
    }
}

pub(super) fn index(revision: u64) -> usize {
    usize::try_from(revision).unwrap_or(usize::MAX)
}
