//! Copies a ledger from one store to another: every event verified on the way, its bytes verbatim, the order
//! over all streams kept.
//!
//! - What the target has must be a beginning of the source; the copy goes on behind it. So a copy that was
//!   interrupted at any place is finished by starting it again.
//! - The target never holds anything but a beginning of the source: an append is sent once the one before it
//!   is durable, or in one list whose order the store guarantees.
//! - Nothing is called copied before the target was read back as a whole and compared.
//! - The copy ends with the event that was the source's last one when it began; what comes later is left to
//!   the next run, and told.

mod chains;
mod compare;
mod patience;
#[cfg(test)]
mod tests;
mod walk;

pub use chains::Chains;
pub use compare::compare;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nemo_events::{Digest, EventRecord, Position, Revision, Sealed, StreamName};

use crate::{AppendError, EventStore, MAX_APPEND, ReadError};
use patience::Patience;
use walk::Walk;

/// Bytes of data and metadata in one append: far below what any store takes at once.
const APPEND_BYTES: usize = 256 * 1024;

/// A copy that is to be made.
#[derive(Clone)]
pub struct CopyJob {
    /// Where events come from.
    pub source: Arc<dyn EventStore>,
    /// Where they go.
    pub target: Arc<dyn EventStore>,
    /// How long a store may be away before the copy gives up.
    pub patience: Duration,
    /// Told after each page.
    pub on_progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

/// What a copy is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It compares what the target has with the source.
    Resuming,
    /// It copies.
    Copying,
    /// It reads both and compares.
    Comparing,
}

/// How far a copy has come within its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Events of the source that are behind it.
    pub events: u64,
    /// Their bytes of data and metadata.
    pub bytes: u64,
    /// The last one's position in the source.
    pub reached: Option<Position>,
    /// Where the copy ends, in the source.
    pub end: Position,
}

/// A copy that was made, read back and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Events that this run brought over.
    pub new: u64,
    /// What both stores hold, up to the copy's end.
    pub same: Same,
    /// The source has grown since the copy began: run it again for the rest.
    pub source_grew: bool,
}

/// What two stores have in common: everything up to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Same {
    /// Events.
    pub events: u64,
    /// Their bytes of data and metadata.
    pub bytes: u64,
    /// Streams that they belong to.
    pub streams: u64,
    /// Hash over the events' hashes in the order of the log.
    pub log: Digest,
    /// Hash over the streams' heads in the order of their names.
    pub heads: Digest,
}

/// Which of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where events come from.
    Source,
    /// Where they go.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// An event's place in its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The stream.
    pub stream: StreamName,
    /// The event's number in it.
    pub revision: Revision,
}

impl Place {
    fn of(event: &Sealed) -> Self {
        Self { stream: event.stream.clone(), revision: event.revision }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stream, self.revision)
    }
}

/// Why a copy was not made, or not whole. What the target holds is a beginning of the source in any case
/// but `Differs` and `Ahead`, in which nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store cannot be read.
    #[error("the {side} cannot be read")]
    Read {
        /// Which.
        side: Side,
        /// Why.
        source: ReadError,
    },
    /// The target does not take an event.
    #[error("the target does not take {place}")]
    Append {
        /// The first event that is not known to be there.
        place: Place,
        /// Why.
        source: AppendError,
    },
    /// The target is no copy of the source.
    #[error(
        "the target is not a beginning of the source: event {number} is {target} there and {source_has} here"
    )]
    Differs {
        /// The number of the first event that differs, from 1.
        number: u64,
        /// What the target has.
        target: Place,
        /// What the source has.
        source_has: Place,
    },
    /// The target has everything that the source has, and more.
    #[error("the target has more than the source: {target} is not in the source")]
    Ahead {
        /// The first event that only the target has.
        target: Place,
    },
    /// The target has lost an event that was there, or shows another.
    #[error("the target does not lead to the last event of {stream}")]
    Head {
        /// The stream.
        stream: StreamName,
    },
}

impl CopyJob {
    /// Copies whatever the target lacks, then reads both and compares them. May be dropped at any await and
    /// run again.
    ///
    /// # Errors
    /// [`CopyError`]
    pub async fn run(&self) -> Result<Copied, CopyError> {
        let Some(end) = self.head(Side::Source).await? else {
            return self.nothing().await;
        };
        let (mut source, mut target) = (self.walk(Side::Source, Some(end)), self.walk(Side::Target, None));
        while let Some(theirs) = target.next(Phase::Resuming, end).await? {
            compare::one(&mut source, &theirs, Phase::Resuming, end).await?;
        }
        let there = source.chains().events();
        self.bring_over(&mut source, end).await?;
        let new = source.chains().events().saturating_sub(there);
        let same = compare(self, end).await?;
        let source_grew = self.head(Side::Source).await? != Some(end);
        Ok(Copied { new, same, source_grew })
    }

    /// An empty source: the target must be empty too.
    async fn nothing(&self) -> Result<Copied, CopyError> {
        let mut target = self.walk(Side::Target, None);
        match target.next(Phase::Resuming, Position(0)).await? {
            Some(record) => Err(CopyError::Ahead { target: Place::of(&record.event) }),
            None => Ok(Copied { new: 0, same: target.chains().same(), source_grew: false }),
        }
    }

    /// Appends everything that the walk has not passed yet. The next page is read while one is appended.
    async fn bring_over(&self, source: &mut Walk<'_>, end: Position) -> Result<(), CopyError> {
        let mut page = source.page(Phase::Copying, end).await?;
        while !page.is_empty() {
            let (appended, next) = tokio::join!(self.append(page), source.page(Phase::Copying, end));
            appended?;
            page = next?;
        }
        Ok(())
    }

    async fn append(&self, page: Vec<EventRecord>) -> Result<(), CopyError> {
        let Some(first) = page.first() else { return Ok(()) };
        let place = Place::of(&first.event);
        let list = in_appends(page);
        let mut patience = Patience::new(self.patience);
        loop {
            match self.target.append_in_order(list.clone()).await {
                Ok(_) => return Ok(()),
                // The same bytes again: what is there already succeeds.
                Err(AppendError::Unavailable(_) | AppendError::Unknown(_)) if patience.lasts().await => {}
                Err(source) => return Err(CopyError::Append { place, source }),
            }
        }
    }

    async fn head(&self, side: Side) -> Result<Option<Position>, CopyError> {
        let store = self.store(side);
        patience::read(self.patience, || store.head())
            .await
            .map_err(|source| CopyError::Read { side, source })
    }

    fn walk(&self, side: Side, end: Option<Position>) -> Walk<'_> {
        Walk::new(self, side, end)
    }

    fn store(&self, side: Side) -> &Arc<dyn EventStore> {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }
}

/// Events of one stream that follow one another go in one append, within its limits.
fn in_appends(page: Vec<EventRecord>) -> Vec<Vec<Sealed>> {
    let mut appends: Vec<Vec<Sealed>> = Vec::new();
    let mut bytes = 0_usize;
    for EventRecord { event, .. } in page {
        bytes = bytes.saturating_add(chains::bytes(&event));
        match appends.last_mut() {
            Some(last)
                if last.len() < MAX_APPEND
                    && bytes <= APPEND_BYTES
                    && last.last().is_some_and(|before| before.stream == event.stream) =>
            {
                last.push(event);
            }
            _ => {
                bytes = chains::bytes(&event);
                appends.push(vec![event]);
            }
        }
    }
    appends
}
