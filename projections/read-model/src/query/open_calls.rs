//! Calls that have not ended: what the reaper looks at.

use nemo_events::{BootId, CallId, KeyId, Nanos, NodeId, Position, Revision, Timestamp};
use rusqlite::params_from_iter;
use serde::Serialize;

use super::filter::Where;
use super::{Answer, Reader, all};
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::page::{List, Page, PageRequest};

/// A call that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenCallRow {
    /// The call.
    pub call: CallId,
    /// Its key.
    pub key: KeyId,
    /// Its event in the key's stream.
    pub authorized_revision: Revision,
    /// Where that is in the log.
    pub authorized_position: Position,
    /// When it was recorded.
    pub authorized_at: Timestamp,
    /// The node that authorised it.
    pub node: NodeId,
    /// Which start of that node.
    pub boot: BootId,
    /// When its owner cuts it.
    pub deadline: Timestamp,
    /// What it may cost at most.
    pub hold: Nanos,
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
    /// The answer streams.
    pub streams: bool,
}

const SELECT: &str = "SELECT c.authorized_position, c.call_id, k.key_id, c.authorized_revision, \
     c.authorized_at, b.node, b.boot_id, c.deadline, c.hold, r.provider, r.model, c.streams \
     FROM open_calls c JOIN keys k USING (key_no) JOIN routes r USING (route_no) JOIN boots b USING (boot_no)";

impl Reader {
    /// A page of all open calls, oldest first.
    ///
    /// # Errors
    /// A cursor of another list; a failing database.
    pub fn open_calls(&self, page: &PageRequest) -> Result<Answer<Page<OpenCallRow>>, ReadModelError> {
        self.open_calls_where(Where::default(), page)
    }

    /// A page of open calls that a node authorised before its current start, oldest first: nobody serves
    /// them any more. The answer may lag behind the ledger; deciding their end is up to the key's fold.
    ///
    /// # Errors
    /// A cursor of another list; a failing database.
    pub fn open_calls_of_earlier_boots(
        &self,
        node: &NodeId,
        boot: BootId,
        page: &PageRequest,
    ) -> Result<Answer<Page<OpenCallRow>>, ReadModelError> {
        let mut conditions = Where::default();
        conditions.and("b.node = ?", node.as_str().to_owned());
        conditions.and("b.boot_id <> ?", boot.as_uuid().as_bytes().to_vec());
        self.open_calls_where(conditions, page)
    }

    /// A page of open calls whose deadline is at or before a moment, oldest first. Anybody may forfeit a
    /// call 30 s after its deadline: ask for the moment 30 s ago.
    ///
    /// # Errors
    /// A cursor of another list; a failing database.
    pub fn overdue(
        &self,
        moment: Timestamp,
        page: &PageRequest,
    ) -> Result<Answer<Page<OpenCallRow>>, ReadModelError> {
        let mut conditions = Where::default();
        conditions.and("c.deadline <= ?", moment.as_micros());
        self.open_calls_where(conditions, page)
    }

    fn open_calls_where(
        &self,
        mut conditions: Where,
        page: &PageRequest,
    ) -> Result<Answer<Page<OpenCallRow>>, ReadModelError> {
        conditions.and_some("c.authorized_position > ?", page.place(List::OpenCalls)?);
        let sql = format!("{SELECT} {} ORDER BY c.authorized_position LIMIT ?", conditions.sql());
        let values = conditions.values_and(page.limit.and_one());
        self.answer(|db| {
            let rows = all(db, &sql, params_from_iter(values), read)?;
            Ok(Page::of(rows, List::OpenCalls, page.limit))
        })
    }
}

fn read(row: &mut Columns<'_>) -> Result<(i64, OpenCallRow), ReadModelError> {
    let place = row.int()?;
    let call = OpenCallRow {
        authorized_position: Position(u64::try_from(place).unwrap_or_default()),
        call: CallId::from_uuid(row.uuid()?),
        key: row.key_id()?,
        authorized_revision: row.revision()?,
        authorized_at: row.time()?,
        node: row.parsed()?,
        boot: BootId::from_uuid(row.uuid()?),
        deadline: row.time()?,
        hold: row.nanos()?,
        provider: row.text()?,
        provider_model: row.text()?,
        streams: row.flag()?,
    };
    Ok((place, call))
}
