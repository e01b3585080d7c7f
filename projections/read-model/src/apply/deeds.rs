//! What people and the master key did: one row for each event that they caused. Calls are none of them, and
//! most of what happens, so their metadata is not looked at; neither is that of who came, went and looked.

use nemo_events::{Actor, Metadata, Sealed};
use rusqlite::params;

use super::{Batch, Place};
use crate::columns::to_json;
use crate::error::{EventError, Fault};

/// Events that change nothing, or that no manager causes.
const NEVER: [&str; 10] = [
    "CallAuthorized",
    "CallSettled",
    "CallVoided",
    "CallForfeited",
    "CallsRefused",
    "BudgetAlertRaised",
    // With a revoke, which is a deed itself.
    "AllotmentReturned",
    "SessionStarted",
    "SessionsEnded",
    "LedgerRead",
];

impl Batch<'_> {
    /// Notes an event that somebody caused who manages.
    pub(super) fn deed(&self, event: &Sealed, place: Place) -> Result<(), Fault> {
        if NEVER.contains(&event.event_type.as_ref()) {
            return Ok(());
        }
        let metadata: Metadata =
            serde_json::from_slice(&event.metadata).map_err(|why| Fault::Event(EventError::Metadata(why)))?;
        match &metadata.actor {
            Actor::VirtualKey { .. } | Actor::System => return Ok(()),
            Actor::Operator { .. } | Actor::MasterKey { .. } => {}
        }
        self.db
            .prepare_cached(
                "INSERT INTO deeds (position, recorded_at, stream, revision, event_type, actor)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                place.position,
                place.at.time.as_micros(),
                event.stream.to_string(),
                place.revision,
                event.event_type,
                to_json(&metadata.actor)?,
            ])?;
        Ok(())
    }
}
