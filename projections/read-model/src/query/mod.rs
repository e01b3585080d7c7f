//! Questions. Each is answered from one state of the tables, with the position that it reflects.

mod calls;
mod filter;
mod gateway;
mod key_counts;
mod keys;
mod open_calls;
mod org_spend;
mod orgs;
mod outbox;
mod outside;
mod overview;
mod prices;
mod refusals;
mod spend;
mod spend_sql;
mod times;

use std::path::Path;
use std::time::Duration;

use nemo_events::Position;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

pub use calls::{CallRow, ClaimRow, EndedCall};
pub use gateway::{MasterKeyRow, NodeRow, PepperRow};
pub use key_counts::Counted;
pub use keys::{KeyFilter, KeyRow, LabelRevision, SecretRow};
pub use open_calls::OpenCallRow;
pub use org_spend::OrgSpend;
pub use orgs::{OrgFilter, OrgRow, OrgUse};
pub use outbox::{Backlog, OutboxRow};
pub use outside::{KeyOutside, KeysOutside};
pub use overview::{
    CapAlert, CapAlerts, ClosestCap, DaysCompared, Deed, JobDay, JobSums, KeyCounts, OverCause, Overview,
    OverviewQuery,
};
pub use prices::PriceCardRow;
pub use refusals::{RefusalQuery, RefusalRow, RefusalSize, RefusalsOf, RefusalsPer};
pub use spend::{Every, Group, GroupBy, Spend, SpendFilter, SpendQuery, SpendRow};
pub use times::TimeWindow;

use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::file::Marks;
use crate::model::{Head, read_head};
use crate::schema::{APPLICATION_ID, VERSION};

/// The most rows of an answer that has no pages.
pub(crate) const MAX_ROWS: i64 = 200_000;
/// Readers and the writer do not wait for each other, but while a file is being opened.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// What was asked for, as of a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer<T> {
    /// The last event that the answer reflects; `None` before the first.
    pub position: Option<Position>,
    /// The answer.
    pub value: T,
}

/// A connection for questions. It sees every batch that was applied before the question.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens a read model that some [`crate::ReadModel`] has made. A reader goes on showing a file that was
    /// replaced since: open another after a rebuild.
    ///
    /// # Errors
    /// [`ReadModelError::NotAReadModel`], also for one of another version; a file that cannot be opened.
    pub fn open(path: &Path) -> Result<Self, ReadModelError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        let marks = Marks::read(&connection)?;
        if marks.application_id != APPLICATION_ID || marks.version != VERSION {
            return Err(ReadModelError::NotAReadModel(path.to_owned()));
        }
        Ok(Self { connection })
    }

    /// Position of the last event that answers reflect.
    ///
    /// # Errors
    /// A failing database.
    pub fn position(&self) -> Result<Option<Position>, ReadModelError> {
        Ok(self.head()?.map(|head| head.position))
    }

    /// The last event that answers reflect.
    ///
    /// # Errors
    /// A failing database.
    pub fn head(&self) -> Result<Option<Head>, ReadModelError> {
        read_head(&self.connection)
    }

    /// Answers from one state of the tables.
    pub(crate) fn answer<T>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, ReadModelError>,
    ) -> Result<Answer<T>, ReadModelError> {
        let state = self.connection.unchecked_transaction()?;
        let position = read_head(&state)?.map(|head| head.position);
        let value = ask(&state)?;
        Ok(Answer { position, value })
    }
}

/// Every row of a query.
fn all<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    mut read: impl FnMut(&mut Columns<'_>) -> Result<T, ReadModelError>,
) -> Result<Vec<T>, ReadModelError> {
    let mut query = db.prepare_cached(sql)?;
    let mut rows = query.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&mut Columns::of(row))?);
    }
    Ok(found)
}

/// The first row of a query, if any.
fn first<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnOnce(&mut Columns<'_>) -> Result<T, ReadModelError>,
) -> Result<Option<T>, ReadModelError> {
    let mut query = db.prepare_cached(sql)?;
    let mut rows = query.query(params)?;
    rows.next()?.map(|row| read(&mut Columns::of(row))).transpose()
}
