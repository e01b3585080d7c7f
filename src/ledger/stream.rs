//! Reading a stream and folding it: from its start, or from a fold that was kept.

use nemo_events::{Digest, EventRecord, Position, Revision, StreamHead, StreamName};
use nemo_projections::At;
use nemo_store::{Direction, MAX_PAGE};

use super::Core;
use super::command::ExecuteError;
use super::fold::Fold;
use super::snapshots::Kept;

/// Events of the first page. A stream that ends in it is folded from its start without looking for anything kept.
const FIRST_PAGE: usize = 512;

/// A stream as far as it was read: all of it durable.
pub(super) struct Read<F: Fold> {
    pub(super) state: F::State,
    pub(super) head: StreamHead,
    pub(super) position: Option<Position>,
}

/// Reads a whole stream, checks its chain and folds it. Where a fold of the stream was kept that the stream itself
/// confirms, what comes behind it.
pub(super) async fn read<F: Fold>(core: &Core, stream: &StreamName) -> Result<Read<F>, ExecuteError> {
    let mut read = Read::<F>::empty();
    let first = read.page(core, stream, FIRST_PAGE).await?;
    if first == 0 {
        return Ok(read);
    }
    if first == FIRST_PAGE
        && let StreamName::Key(key) = stream
        && let Some(kept) = core.snapshots.latest(*key).await
        && let Some(resumed) = Read::resumed(core, stream, &kept).await?
    {
        read = resumed;
    }
    while read.page(core, stream, MAX_PAGE).await? > 0 {}
    Ok(read)
}

impl<F: Fold> Read<F> {
    pub(super) fn empty() -> Self {
        Self { state: F::State::default(), head: StreamHead::EMPTY, position: None }
    }

    /// Goes on from a fold that was kept, if the event that it ends in is the one that the stream has in that place.
    /// The hash covers everything before it, so it is a fold of this stream's beginning.
    pub(super) async fn resumed(
        core: &Core,
        stream: &StreamName,
        kept: &Kept,
    ) -> Result<Option<Self>, ExecuteError> {
        let found = core.store.read_stream(stream, kept.revision, Direction::Forwards, 1).await?;
        let Some(record) = found.first().filter(|record| kept.ends_in(&record.event)) else {
            return Ok(None);
        };
        let Some(state) = F::thaw(&kept.state) else { return Ok(None) };
        Ok(Some(Self { state, head: record.event.head(), position: Some(record.position) }))
    }

    /// Reads and folds at most so many events; how many there were.
    pub(super) async fn page(
        &mut self,
        core: &Core,
        stream: &StreamName,
        most: usize,
    ) -> Result<usize, ExecuteError> {
        let page =
            core.store.read_stream(stream, self.head.next_revision(), Direction::Forwards, most).await?;
        for record in &page {
            self.fold(record).map_err(|error| damaged(stream, record.event.revision, &error))?;
        }
        Ok(page.len())
    }

    /// Reads and folds up to this revision, inclusive, or to the stream's end if that comes first. Lets others run
    /// between pages.
    pub(super) async fn up_to(
        &mut self,
        core: &Core,
        stream: &StreamName,
        revision: Revision,
    ) -> Result<(), ExecuteError> {
        loop {
            let missing = revision.next().0.saturating_sub(self.head.next_revision().0);
            let most = usize::try_from(missing).unwrap_or(MAX_PAGE).min(MAX_PAGE);
            if most == 0 || self.page(core, stream, most).await? == 0 {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// The last event's hash.
    pub(super) const fn hash(&self) -> Digest {
        self.head.hash
    }

    fn fold(&mut self, record: &EventRecord) -> Result<(), String> {
        record.event.follows(&self.head).map_err(|e| e.to_string())?;
        evolve::<F>(&mut self.state, record)?;
        self.head = record.event.head();
        self.position = Some(record.position);
        Ok(())
    }
}

fn damaged(stream: &StreamName, revision: Revision, error: &str) -> ExecuteError {
    ExecuteError::Damaged(format!("{stream} {revision}: {error}"))
}

/// Folds one stored event. After an error the state may have taken a part of it.
pub(super) fn evolve<F: Fold>(state: &mut F::State, record: &EventRecord) -> Result<(), String> {
    let event = &record.event;
    let decoded = F::decode(&event.event_type, event.version, &event.data).map_err(|e| e.to_string())?;
    let at = At { revision: event.revision, time: event.recorded_at };
    F::evolve(state, &decoded, at).map_err(|e| e.to_string())
}
