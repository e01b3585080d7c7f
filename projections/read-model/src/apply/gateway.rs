//! Events of the `gateway` stream: the latest of each node, pepper and master key.

use nemo_events::GatewayEvent;
use nemo_events::gateway::{
    MasterKeyInstalled, MasterKeyRetired, NodeStarted, NodeStopped, PepperAdded, PepperRetired,
};
use rusqlite::params;

use super::{Batch, Place};
use crate::error::Fault;

/// Stands in refusals for strings that are no key of ours.
const NO_KEY: i64 = 0;

impl Batch<'_> {
    pub(super) fn gateway_event(&mut self, event: &GatewayEvent, place: Place) -> Result<(), Fault> {
        let at = place.at.time.as_micros();
        match event {
            GatewayEvent::NodeStarted(e) => self.node_started(e, at),
            GatewayEvent::NodeStopped(e) => self.node_stopped(e, at),
            GatewayEvent::MasterKeyInstalled(e) => self.master_key_installed(e, at),
            GatewayEvent::MasterKeyRetired(e) => self.master_key_retired(e),
            GatewayEvent::PepperAdded(e) => self.pepper_added(e, at),
            GatewayEvent::PepperRetired(e) => self.pepper_retired(e, at),
            GatewayEvent::PresentationsRefused(e) => Ok(self.refusals.add(NO_KEY, e.since, &e.refusals)?),
        }
    }

    fn node_started(&self, e: &NodeStarted, at: i64) -> Result<(), Fault> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO nodes (node, boot_id, program, started_at, stopped_at)
                 VALUES (?, ?, ?, ?, NULL)",
            )?
            .execute(params![e.node.as_str(), e.boot.as_uuid().as_bytes(), e.program, at])?;
        Ok(())
    }

    /// A stop of an earlier start says nothing about the latest one.
    fn node_stopped(&self, e: &NodeStopped, at: i64) -> Result<(), Fault> {
        self.db
            .prepare_cached("UPDATE nodes SET stopped_at = ?3 WHERE node = ?1 AND boot_id = ?2")?
            .execute(params![e.node.as_str(), e.boot.as_uuid().as_bytes(), at])?;
        Ok(())
    }

    fn master_key_installed(&self, e: &MasterKeyInstalled, at: i64) -> Result<(), Fault> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO master_keys (master_key, fingerprint, replaces, installed_at,
                 valid_until, leaked) VALUES (?, ?, ?, ?, NULL, 0)",
            )?
            .execute(params![
                e.master_key.as_str(),
                e.fingerprint.as_bytes(),
                e.replaces.as_ref().map(|key| key.as_str()),
                at,
            ])?;
        Ok(())
    }

    fn master_key_retired(&self, e: &MasterKeyRetired) -> Result<(), Fault> {
        self.db
            .prepare_cached("UPDATE master_keys SET valid_until = ?2, leaked = ?3 WHERE master_key = ?1")?
            .execute(params![e.master_key.as_str(), e.valid_until.as_micros(), e.leaked])?;
        Ok(())
    }

    fn pepper_added(&self, e: &PepperAdded, at: i64) -> Result<(), Fault> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO peppers (pepper, fingerprint, added_at, retired_at)
                 VALUES (?, ?, ?, NULL)",
            )?
            .execute(params![e.pepper.as_str(), e.fingerprint.as_bytes(), at])?;
        Ok(())
    }

    fn pepper_retired(&self, e: &PepperRetired, at: i64) -> Result<(), Fault> {
        self.db
            .prepare_cached("UPDATE peppers SET retired_at = ?2 WHERE pepper = ?1")?
            .execute(params![e.pepper.as_str(), at])?;
        Ok(())
    }
}
