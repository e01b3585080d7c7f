//! Keys whose limits are wider than what bounds them: those that were there before the bound was.

use nemo_events::limits::KeyLimits;
use nemo_events::{KeyId, OrgId};
use nemo_projections::bounds::wider_than;
use serde::Serialize;

use super::{Answer, Reader, all};
use crate::error::ReadModelError;

/// Keys of an org that are not within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct KeysOutside {
    /// How many there are; revoked ones do not count.
    pub count: u64,
    /// The newest of them.
    pub newest: Vec<KeyOutside>,
}

/// A key that is not within the bounds of its org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyOutside {
    /// The key.
    pub key: KeyId,
    /// What people call it.
    pub name: String,
    /// The last four characters of its current secret's text.
    pub last_four: String,
    /// The fields of its limits that are wider than the bounds.
    pub fields: Vec<&'static str>,
}

impl Reader {
    /// Keys of an org whose limits are wider than these bounds, at most so many of them one by one. Goes through
    /// the org's keys, and no others.
    ///
    /// # Errors
    /// A failing database.
    pub fn keys_outside(
        &self,
        org: OrgId,
        bounds: &KeyLimits,
        most: usize,
    ) -> Result<Answer<KeysOutside>, ReadModelError> {
        const SQL: &str = "SELECT k.key_id, k.name, k.last_four, k.limits FROM keys k INDEXED BY keys_by_org
             WHERE k.org_id = ? AND k.status <> 'revoked' ORDER BY k.key_no DESC";
        self.answer(|db| {
            let mut outside = KeysOutside::default();
            all(db, SQL, [org.as_uuid().as_bytes()], |row| {
                let (key, name, last_four) = (row.key_id()?, row.text()?, row.text()?);
                let mut fields: Vec<_> =
                    wider_than(&row.json()?, bounds).into_iter().map(|wider| wider.field).collect();
                fields.dedup();
                if fields.is_empty() {
                    return Ok(());
                }
                outside.count = outside.count.saturating_add(1);
                if outside.newest.len() < most {
                    outside.newest.push(KeyOutside { key, name, last_four, fields });
                }
                Ok(())
            })?;
            Ok(outside)
        })
    }
}
