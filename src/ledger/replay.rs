//! Replay: the state of a key as it was at any revision, folded from its stream. Reads only durable events, and
//! asks no account in memory, so that it never delays a call; a few at a time, as each takes a processor.

use std::time::Duration;

use nemo_events::{Digest, EventRecord, KeyId, Position, Revision, StreamName, Timestamp};
use nemo_store::Direction;
use tokio::sync::SemaphorePermit;

use super::Ledger;
use super::command::ExecuteError;
use super::fold::{KeyAccount, KeyFold};
use super::stream::Read;

/// Replays at the same time.
pub(super) const REPLAYS_AT_ONCE: usize = 2;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A moment in a key's life, as it may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Behind this event of the key's own stream.
    Revision(Revision),
    /// As of this position of the ledger: behind the key's last event there or before.
    Position(Position),
    /// As of this time: behind the key's last event that was recorded then or before.
    Time(Timestamp),
}

/// A key as it was behind one of its events.
#[derive(Debug, Clone)]
pub struct KeyThen {
    /// The state.
    pub account: KeyAccount,
    /// The state before that event; `None` of the first one.
    pub before: Option<KeyAccount>,
    /// The event.
    pub revision: Revision,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Where it is in the ledger.
    pub position: Position,
    /// Its hash.
    pub hash: Digest,
}

impl Ledger {
    /// The last of a key's events up to `head` that is not behind a moment; `None` where all of them are. Looks at
    /// one event for each time that the stream's length can be halved.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn revision_at(
        &self,
        key: KeyId,
        moment: Moment,
        head: Revision,
    ) -> Result<Option<Revision>, ExecuteError> {
        let is_behind = |record: &EventRecord| match moment {
            Moment::Revision(revision) => record.event.revision > revision,
            Moment::Position(position) => record.position > position,
            Moment::Time(time) => record.event.recorded_at > time,
        };
        // Positions and times only grow along a stream. Below `low` nothing is behind the moment.
        let (mut low, mut high) = (0_u64, head.next().0);
        while low < high {
            let middle = low.midpoint(high);
            let record = self.event(key, Revision(middle)).await?;
            let record =
                record.ok_or_else(|| ExecuteError::Unavailable("the stream has a gap".to_owned()))?;
            if is_behind(&record) {
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        Ok(low.checked_sub(1).map(Revision))
    }

    /// A key as it was behind an event, but for which calls have ended; `None` where the stream ends before it.
    ///
    /// # Errors
    /// Where the stream cannot be read or folded, or too many ask at once.
    pub async fn key_at(&self, key: KeyId, revision: Revision) -> Result<Option<KeyThen>, ExecuteError> {
        let _turn = self.replay_turn().await?;
        let (core, stream) = (&*self.core, StreamName::Key(key));
        let before = revision.0.checked_sub(1).map(Revision);
        let mut read = Read::<KeyFold>::empty();
        if let Some(before) = before
            && let Some(kept) = core.snapshots.at_or_before(key, before).await
            && let Some(resumed) = Read::resumed(core, &stream, &kept).await?
        {
            read = resumed;
        }
        if let Some(before) = before {
            read.up_to(core, &stream, before).await?;
        }
        let before = before.map(|_| read.state.without_ended_calls());
        read.up_to(core, &stream, revision).await?;
        let Some(position) = read.position.filter(|_| read.head.revision == Some(revision)) else {
            return Ok(None);
        };
        let (recorded_at, hash) = (read.head.recorded_at, read.hash());
        let account = read.state.without_ended_calls();
        Ok(Some(KeyThen { account, before, revision, recorded_at, position, hash }))
    }

    /// One event of a key as it is stored.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn event(&self, key: KeyId, revision: Revision) -> Result<Option<EventRecord>, ExecuteError> {
        let found = self.store().read_stream(&StreamName::Key(key), revision, Direction::Forwards, 1).await?;
        Ok(found.into_iter().next())
    }

    async fn replay_turn(&self) -> Result<SemaphorePermit<'_>, ExecuteError> {
        let busy = || ExecuteError::Unavailable("too many replays are under way".to_owned());
        let turn = tokio::time::timeout(PATIENCE, self.replays.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(busy)
    }
}
