//! Folds of keys that are kept beside the log, so that a long stream need not be folded from its start.
//!
//! Never the authority: a kept fold is believed only if the stream has, at the fold's revision, the event with the
//! fold's hash, which covers all events before it. Whatever is decided on it is appended at an exact revision, as
//! on any other fold. Nothing here is on the way of a call, and nothing waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use nemo_events::{Digest, KeyId, Revision, Sealed, StreamName, Timestamp};
use tokio::time::Instant;

use super::command::ExecuteError;
use super::fold::{Fold, KeyAccount, KeyFold};
use super::stream::Read;
use super::{Core, Ledger};

/// A fold is kept of every so many events: the most that has to be folded for the state at any revision, and, but
/// for what came last, when a key is read.
pub const KEEP_EVERY: u64 = 10_000;
/// Moments that are handed over together.
const MOMENTS_AT_ONCE: usize = 16;

/// A fold of a key's stream up to some event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The last event in it.
    pub revision: Revision,
    /// That event's hash.
    pub hash: Digest,
    /// When that event was recorded.
    pub recorded_at: Timestamp,
    /// The state, written out by [`freeze`].
    pub state: Vec<u8>,
}

impl Kept {
    /// Whether it ends in this event.
    pub(super) fn ends_in(&self, event: &Sealed) -> bool {
        let Self { revision, hash, recorded_at, state: _ } = self;
        event.revision == *revision && event.hash == *hash && event.recorded_at == *recorded_at
    }
}

/// Where folds are kept. Answers soon or with nothing; whatever is wrong with it is nobody else's trouble.
#[async_trait]
pub trait Snapshots: Send + Sync + 'static {
    /// The latest fold of a key.
    async fn latest(&self, key: KeyId) -> Option<Kept>;

    /// The last of a key's moments at this revision or before it: folds that have forgotten which calls ended.
    async fn at_or_before(&self, key: KeyId, revision: Revision) -> Option<Kept>;

    /// Keeps a latest fold, in place of the one before, and moments.
    ///
    /// # Errors
    /// Text for the log. Nothing was kept.
    async fn keep(&self, key: KeyId, latest: Kept, moments: Vec<Kept>) -> Result<(), String>;

    /// How far the latest folds have got.
    async fn reached(&self) -> BTreeMap<KeyId, Revision>;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoSnapshots;

#[async_trait]
impl Snapshots for NoSnapshots {
    async fn latest(&self, _key: KeyId) -> Option<Kept> {
        None
    }

    async fn at_or_before(&self, _key: KeyId, _revision: Revision) -> Option<Kept> {
        None
    }

    async fn keep(&self, _key: KeyId, _latest: Kept, _moments: Vec<Kept>) -> Result<(), String> {
        Ok(())
    }

    async fn reached(&self) -> BTreeMap<KeyId, Revision> {
        BTreeMap::new()
    }
}

/// A state as it is kept.
fn freeze(account: &KeyAccount) -> Result<Vec<u8>, ExecuteError> {
    serde_json::to_vec(account).map_err(|error| ExecuteError::Damaged(error.to_string()))
}

/// The last revision of which a fold is kept, of a stream that ends at `head`.
#[must_use]
pub const fn last_kept(head: Revision) -> Option<Revision> {
    let full = head.next().0 / KEEP_EVERY * KEEP_EVERY;
    match full.checked_sub(1) {
        None => None,
        Some(last) => Some(Revision(last)),
    }
}

impl Ledger {
    /// How far folds of keys are kept.
    pub async fn snapshots_reached(&self) -> BTreeMap<KeyId, Revision> {
        self.core.snapshots.reached().await
    }

    /// Folds a key's stream, from what is kept of it, and keeps what is missing: one fold for every
    /// [`KEEP_EVERY`] events up to `head`. Rests as long as it works, so that calls go before it.
    ///
    /// # Errors
    /// Where the stream cannot be read or folded, or nothing can be kept; what was kept before that stays.
    pub async fn keep_snapshots(&self, key: KeyId, head: Revision) -> Result<(), ExecuteError> {
        let (core, stream) = (&*self.core, StreamName::Key(key));
        let mut read = resume_latest(core, key, &stream).await?;
        let mut moments = Vec::new();
        while let Some(next) = next_kept(&read).filter(|next| *next <= head) {
            let began = Instant::now();
            read.up_to(core, &stream, next).await?;
            if read.head.revision != Some(next) {
                return Ok(());
            }
            moments.push(moment(&read)?);
            let last = next_kept(&read).is_none_or(|next| next > head);
            if last || moments.len() >= MOMENTS_AT_ONCE {
                let latest = kept(&read, freeze(&read.state)?)?;
                let kept = core.snapshots.keep(key, latest, std::mem::take(&mut moments)).await;
                kept.map_err(ExecuteError::Unavailable)?;
            }
            tokio::time::sleep(began.elapsed().min(Duration::from_secs(1))).await;
        }
        Ok(())
    }
}

async fn resume_latest(core: &Core, key: KeyId, stream: &StreamName) -> Result<Read<KeyFold>, ExecuteError> {
    if let Some(kept) = core.snapshots.latest(key).await
        && let Some(read) = Read::resumed(core, stream, &kept).await?
    {
        return Ok(read);
    }
    Ok(Read::empty())
}

/// The next revision of which a fold is to be kept.
fn next_kept<F: Fold>(read: &Read<F>) -> Option<Revision> {
    let next = read.head.next_revision().0;
    let full = next.checked_div(KEEP_EVERY)?.checked_add(1)?.checked_mul(KEEP_EVERY)?;
    full.checked_sub(1).map(Revision)
}

/// What replay needs of a state: everything but which calls ended. Those are many, and whether they are remembered
/// changes nothing else of the fold.
fn moment(read: &Read<KeyFold>) -> Result<Kept, ExecuteError> {
    kept(read, freeze(&read.state.without_ended_calls())?)
}

fn kept(read: &Read<KeyFold>, state: Vec<u8>) -> Result<Kept, ExecuteError> {
    let revision =
        read.head.revision.ok_or_else(|| ExecuteError::Damaged("an empty fold was kept".to_owned()))?;
    Ok(Kept { revision, hash: read.hash(), recorded_at: read.head.recorded_at, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_is_kept_of_every_ten_thousand_events() {
        assert_eq!(last_kept(Revision(0)), None);
        assert_eq!(last_kept(Revision(9_998)), None);
        assert_eq!(last_kept(Revision(9_999)), Some(Revision(9_999)));
        assert_eq!(last_kept(Revision(25_000)), Some(Revision(19_999)));
    }
}
