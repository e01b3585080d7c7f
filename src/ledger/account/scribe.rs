//! Events on their way into a stream: at what time they are decided, and how they are sealed.

use bytes::Bytes;
use nemo_events::{Digest, EventId, Metadata, Sealed, StreamHead, StreamName, Timestamp};
use nemo_store::{MAX_APPEND, append_bytes};
use uuid::Uuid;

use crate::ledger::Core;
use crate::ledger::command::{Context, ExecuteError};
use crate::ledger::fold::Fold;

/// How far a stream's last event may lie ahead of this node's clock.
const CLOCK_LEAD_MICROS: i64 = 5_000_000;

/// Seals the events of one stream.
#[derive(Clone, Copy)]
pub(super) struct Scribe<'a> {
    pub(super) core: &'a Core,
    pub(super) stream: &'a StreamName,
}

impl Scribe<'_> {
    /// Never before the stream's last event. Where the clock lies far behind it nothing is granted; but
    /// what must happen is decided at the stream's own time.
    pub(super) fn decision_time(
        self,
        head: &StreamHead,
        must_happen: bool,
    ) -> Result<Timestamp, ExecuteError> {
        let now = self.core.clock.now();
        let lead = head.recorded_at.micros_since(now);
        if lead > CLOCK_LEAD_MICROS && !must_happen {
            return Err(ExecuteError::ClockBehind(lead / 1_000));
        }
        Ok(now.max(head.recorded_at))
    }

    pub(super) fn metadata(self, context: &Context) -> Result<Bytes, ExecuteError> {
        let metadata = Metadata {
            actor: context.actor.clone(),
            request: context.request,
            call: context.call,
            node: self.core.node.clone(),
            boot: self.core.boot,
        };
        serde_json::to_vec(&metadata).map(Into::into).map_err(|e| self.damaged(&e))
    }

    /// The event as it comes next behind `head`.
    pub(super) fn seal<F: Fold>(
        self,
        event: &F::Event,
        head: &StreamHead,
        now: Timestamp,
        metadata: Bytes,
    ) -> Result<Sealed, ExecuteError> {
        let (event_type, version, data) = F::encode(event).map_err(|e| self.damaged(&e))?;
        let sealed = Sealed {
            stream: self.stream.clone(),
            revision: head.next_revision(),
            id: EventId::from_uuid(Uuid::now_v7()),
            event_type: event_type.into(),
            version,
            recorded_at: now,
            data: data.into(),
            metadata,
            prev_hash: head.hash,
            hash: Digest::ZERO,
        };
        Ok(sealed.with_hash())
    }

    /// One decision is one append: it happens as a whole or not at all.
    pub(super) fn check_size(self, decision: &[Sealed]) -> Result<(), ExecuteError> {
        let bytes: usize = decision.iter().map(append_bytes).sum();
        if decision.len() > MAX_APPEND || bytes > self.core.store.max_append_bytes() {
            return Err(ExecuteError::Unavailable(format!(
                "a decision of {} events and {bytes} bytes is more than the store takes at once",
                decision.len()
            )));
        }
        Ok(())
    }

    pub(super) fn damaged(self, error: &dyn std::fmt::Display) -> ExecuteError {
        ExecuteError::Damaged(format!("{}: {error}", self.stream))
    }
}
