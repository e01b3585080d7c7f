//! Keeps folds of long streams, behind everything else: which keys are due is seen while the log is followed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use nemo_events::{EventRecord, KeyId, Revision, StreamName};
use tokio::sync::Notify;
use tracing::warn;

use super::Shared;
use crate::ledger::{KEEP_EVERY, Ledger, last_kept};

/// Keys of which a fold is to be kept, and up to which revision.
#[derive(Default)]
pub(super) struct Due {
    keys: Mutex<BTreeMap<KeyId, Revision>>,
    more: Notify,
}

impl Due {
    /// Looks through events for those that make a key due.
    pub(super) fn note(&self, records: &[EventRecord]) {
        for EventRecord { event, .. } in records {
            if let StreamName::Key(key) = event.stream
                && last_kept(event.revision) == Some(event.revision)
            {
                self.add(key, event.revision);
            }
        }
    }

    fn add(&self, key: KeyId, revision: Revision) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let due = keys.entry(key).or_insert(revision);
        *due = revision.max(*due);
        self.more.notify_one();
    }

    async fn next(&self) -> (KeyId, Revision) {
        loop {
            let first = self.keys.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match first {
                Some(due) => return due,
                None => self.more.notified().await,
            }
        }
    }
}

/// Keeps a fold of each key that is due, one key after the other. What could not be kept is due again with the key's
/// next [`KEEP_EVERY`] events, and at the next start.
pub(super) async fn keep_snapshots(ledger: Arc<Ledger>, shared: Arc<Shared>) {
    // While the read model is built anew it has the processor to itself.
    shared.board.caught_up().await;
    let least = Revision(KEEP_EVERY.saturating_sub(1));
    match shared.read(move |reader| reader.keys_from_revision(least)).await {
        Ok(long) => {
            let reached = ledger.snapshots_reached().await;
            for (key, head) in long {
                if last_kept(head) > reached.get(&key).copied() {
                    shared.due.add(key, head);
                }
            }
        }
        Err(error) => warn!(%error, "keys with long streams cannot be looked for"),
    }
    loop {
        let (key, head) = shared.due.next().await;
        if let Err(error) = ledger.keep_snapshots(key, head).await {
            warn!(key.id = %key, %error, "no snapshot is kept of a key with a long stream");
        }
    }
}
