//! Folds of keys that the caller keeps here for quick starts.

use nemo_events::{Digest, KeyId, Revision, Timestamp};
use rusqlite::params;

use super::{Answer, Reader, first};
use crate::error::ReadModelError;

/// The fold of a key at some revision. It may lag behind, and whoever reads it checks revision and hash
/// against the ledger before relying on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The key.
    pub key: KeyId,
    /// The version of the fold that made it.
    pub fold_version: u32,
    /// The last event in it.
    pub revision: Revision,
    /// That event's hash.
    pub head_hash: Digest,
    /// When that event was recorded.
    pub recorded_at: Timestamp,
    /// The state, as the caller writes it.
    pub state: Vec<u8>,
}

impl Reader {
    /// The snapshot of a key, if there is one of this fold.
    ///
    /// # Errors
    /// A failing database.
    pub fn snapshot(
        &self,
        key: KeyId,
        fold_version: u32,
    ) -> Result<Answer<Option<Snapshot>>, ReadModelError> {
        const SQL: &str = "SELECT revision, head_hash, recorded_at, state FROM snapshots
             WHERE key_id = ? AND fold_version = ?";
        self.answer(|db| {
            first(db, SQL, params![key.digits(), fold_version], |row| {
                Ok(Snapshot {
                    key,
                    fold_version,
                    revision: row.revision()?,
                    head_hash: row.digest()?,
                    recorded_at: row.time()?,
                    state: row.get()?,
                })
            })
        })
    }
}
