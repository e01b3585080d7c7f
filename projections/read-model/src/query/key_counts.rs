//! What stands around the list of keys: how many there are in all, and which environments to choose from. Both stop
//! at a bound, so that neither takes longer the more keys there are.

use rusqlite::params_from_iter;

use super::keys::KeyFilter;
use super::{Answer, Reader, all, first};
use crate::error::ReadModelError;

/// Keys that are counted at most.
const COUNTED: u64 = 10_000;
/// The newest keys whose environments are told.
const LOOKED_AT: u32 = 10_000;
/// Environments that are told at most.
const ENVIRONMENTS: u32 = 50;

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// So many.
    Exactly(u64),
    /// More than so many: counting stopped there.
    MoreThan(u64),
}

impl Reader {
    /// How many keys a filter finds.
    ///
    /// # Errors
    /// A failing database.
    pub fn count_keys(&self, filter: &KeyFilter) -> Result<Answer<Counted>, ReadModelError> {
        let conditions = filter.conditions();
        let keys = format!("SELECT 1 FROM keys k JOIN key_totals t USING (key_no) {}", conditions.sql());
        let sql = format!("SELECT count(*) FROM ({keys} LIMIT ?)");
        let values = conditions.values_and(i64::try_from(COUNTED.saturating_add(1)).unwrap_or(i64::MAX));
        self.answer(|db| {
            let found = first(db, &sql, params_from_iter(values), |row| row.count())?.unwrap_or_default();
            Ok(if found > COUNTED { Counted::MoreThan(COUNTED) } else { Counted::Exactly(found) })
        })
    }

    /// Environments of the newest keys, by name.
    ///
    /// # Errors
    /// A failing database.
    pub fn environments(&self) -> Result<Answer<Vec<String>>, ReadModelError> {
        const SQL: &str = "SELECT DISTINCT env FROM (SELECT env FROM keys ORDER BY key_no DESC LIMIT ?)
             WHERE env IS NOT NULL ORDER BY env LIMIT ?";
        self.answer(|db| all(db, SQL, [LOOKED_AT, ENVIRONMENTS], |row| row.text()))
    }
}
