//! Nodes, peppers and master keys: the latest of each.

use nemo_events::{BootId, Digest, MasterKeyId, NodeId, PepperId, Timestamp};
use serde::Serialize;

use super::keys::NEEDS_PEPPER;
use super::{Answer, Reader, all};
use crate::error::ReadModelError;

/// A node and its latest start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeRow {
    /// The node.
    pub node: NodeId,
    /// Its latest start.
    pub boot: BootId,
    /// The program's version.
    pub program: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it stopped in good order; `None` while it runs, and after a crash.
    pub stopped_at: Option<Timestamp>,
}

/// A pepper that came into use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PepperRow {
    /// Its id.
    pub pepper: PepperId,
    /// A hash that tells it from another, and opens nothing.
    pub fingerprint: Digest,
    /// When it came into use.
    pub added_at: Timestamp,
    /// When it went out of use.
    pub retired_at: Option<Timestamp>,
    /// Keys that are not revoked with a secret that works, or is to work, under this pepper.
    pub keys: u64,
}

/// A master key that came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MasterKeyRow {
    /// Its public id.
    pub master_key: MasterKeyId,
    /// A hash that tells its digest from another's, and opens nothing.
    pub fingerprint: Digest,
    /// The master key that it replaced.
    pub replaces: Option<MasterKeyId>,
    /// When it came into force.
    pub installed_at: Timestamp,
    /// From then on it is refused; `None` where it has no end.
    pub valid_until: Option<Timestamp>,
    /// It was given away.
    pub leaked: bool,
}

impl Reader {
    /// Every node by name.
    ///
    /// # Errors
    /// A failing database.
    pub fn nodes(&self) -> Result<Answer<Vec<NodeRow>>, ReadModelError> {
        const SQL: &str = "SELECT node, boot_id, program, started_at, stopped_at FROM nodes ORDER BY node";
        self.answer(|db| {
            all(db, SQL, [], |row| {
                Ok(NodeRow {
                    node: row.parsed()?,
                    boot: BootId::from_uuid(row.uuid()?),
                    program: row.text()?,
                    started_at: row.time()?,
                    stopped_at: row.opt_time()?,
                })
            })
        })
    }

    /// Every pepper, the latest last, with the number of keys that need it at this moment. Goes through
    /// every secret, so it is for people who ask now and then.
    ///
    /// # Errors
    /// A failing database.
    pub fn peppers(&self, now: Timestamp) -> Result<Answer<Vec<PepperRow>>, ReadModelError> {
        let sql = format!(
            "SELECT p.pepper, p.fingerprint, p.added_at, p.retired_at, count(DISTINCT s.key_no)
             FROM peppers p LEFT JOIN (SELECT s.pepper, s.key_no FROM key_secrets s
                 JOIN keys k USING (key_no) WHERE {NEEDS_PEPPER}) s USING (pepper)
             GROUP BY p.pepper ORDER BY p.added_at, p.pepper"
        );
        self.answer(|db| {
            all(db, &sql, [now.as_micros()], |row| {
                Ok(PepperRow {
                    pepper: row.parsed()?,
                    fingerprint: row.digest()?,
                    added_at: row.time()?,
                    retired_at: row.opt_time()?,
                    keys: row.count()?,
                })
            })
        })
    }

    /// Every master key, the latest last.
    ///
    /// # Errors
    /// A failing database.
    pub fn master_keys(&self) -> Result<Answer<Vec<MasterKeyRow>>, ReadModelError> {
        const SQL: &str = "SELECT master_key, fingerprint, replaces, installed_at, valid_until, leaked
             FROM master_keys ORDER BY installed_at, master_key";
        self.answer(|db| {
            all(db, SQL, [], |row| {
                Ok(MasterKeyRow {
                    master_key: row.parsed()?,
                    fingerprint: row.digest()?,
                    replaces: row.opt_parsed()?,
                    installed_at: row.time()?,
                    valid_until: row.opt_time()?,
                    leaked: row.flag()?,
                })
            })
        })
    }
}
