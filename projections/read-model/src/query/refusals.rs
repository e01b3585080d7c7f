//! How often calls were refused, and why.

use nemo_events::{KeyId, Timestamp};
use rusqlite::params_from_iter;
use serde::{Deserialize, Serialize};

use super::filter::Where;
use super::{Answer, MAX_ROWS, Reader, all};
use crate::bucket::{Size, from_secs, to_secs};
use crate::error::ReadModelError;

/// How finely refusals are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalSize {
    /// By minute.
    Minute,
    /// By UTC day.
    Day,
}

/// Whose refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefusalsOf {
    /// Everybody's.
    #[default]
    Everybody,
    /// One key's.
    Key(KeyId),
    /// Strings that are no key of ours.
    NoKey,
}

/// What has a row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalsPer {
    /// Each code.
    Code,
    /// Each key and code.
    KeyAndCode,
}

/// Which refusals are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusalQuery {
    /// Whose.
    pub of: RefusalsOf,
    /// What has a row of its own.
    pub per: RefusalsPer,
    /// How finely.
    pub size: RefusalSize,
    /// First moment that counts; a minute or day counts as a whole.
    pub from: Option<Timestamp>,
    /// First moment that counts no more.
    pub to: Option<Timestamp>,
}

/// Refusals of one minute or day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalRow {
    /// Its first moment.
    pub start: Timestamp,
    /// The key, where each has a row of its own; `None` for strings that are no key of ours.
    pub key: Option<KeyId>,
    /// The refusal's code.
    pub code: String,
    /// How often.
    pub count: u64,
}

impl Reader {
    /// Counts refusals, by time.
    ///
    /// # Errors
    /// More than 200,000 rows; a failing database.
    pub fn refusals(&self, query: &RefusalQuery) -> Result<Answer<Vec<RefusalRow>>, ReadModelError> {
        let conditions = query.conditions();
        let key = match query.per {
            RefusalsPer::Code => "NULL",
            RefusalsPer::KeyAndCode => "k.key_id",
        };
        // SQLite would rather read everybody's rows of the time.
        let index = match query.of {
            RefusalsOf::Everybody => "",
            RefusalsOf::Key(_) | RefusalsOf::NoKey => "INDEXED BY refusals_by_key",
        };
        let sql = format!(
            "SELECT r.start, {key}, r.code, sum(r.count) FROM refusals r {index}
             LEFT JOIN keys k USING (key_no) {} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ?",
            conditions.sql(),
        );
        let values = conditions.values_and(MAX_ROWS + 1);
        let answer = self.answer(|db| {
            all(db, &sql, params_from_iter(values), |row| {
                let (start, key) = (from_secs(row.int()?), row.opt_parsed()?);
                Ok(RefusalRow { start, key, code: row.text()?, count: row.count()? })
            })
        })?;
        if i64::try_from(answer.value.len()).is_ok_and(|rows| rows <= MAX_ROWS) {
            Ok(answer)
        } else {
            Err(ReadModelError::InvalidQuery("more than 200000 rows: ask for less time"))
        }
    }
}

impl RefusalQuery {
    fn conditions(&self) -> Where {
        let size = match self.size {
            RefusalSize::Minute => Size::Minute,
            RefusalSize::Day => Size::Day,
        };
        let mut conditions = Where::default();
        conditions.and("r.size = ?", size.code());
        match &self.of {
            RefusalsOf::Everybody => {}
            RefusalsOf::Key(key) => {
                let number = "r.key_no = (SELECT key_no FROM keys WHERE key_id = ?)";
                conditions.and(number, key.digits().to_owned());
            }
            RefusalsOf::NoKey => conditions.and("r.key_no = ?", 0),
        }
        conditions.and_some("r.start >= ?", self.from.map(|from| size.start_of(from)));
        conditions.and_some("r.start < ?", self.to.map(to_secs));
        conditions
    }
}
