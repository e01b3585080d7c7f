//! Reads of a running ledger: in pages, beside the writer, each one checked.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use nemo_events::{EventRecord, Position, Revision, StreamName};
use rusqlite::{Connection, Params};
use tokio::sync::watch;

use super::connect::read_failed;
use super::heads::Heads;
use super::page::{AllPage, StreamPage};
use super::pool::{Pool, closed};
use super::row::{columns, records, signed};
use crate::follow::Source;
use crate::{Direction, MAX_PAGE, ReadError};

const FORWARDS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events WHERE stream = ?1 AND revision BETWEEN ?2 AND ?3 ORDER BY revision"
);
const BACKWARDS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM events WHERE stream = ?1 AND revision BETWEEN ?2 AND ?3 ORDER BY revision DESC"
);
const ALL: &str =
    concat!("SELECT ", columns!(), " FROM events WHERE position > ?1 AND position <= ?2 ORDER BY position");

/// Events of one page of a subscription.
const FOLLOW_PAGE: usize = 1024;

#[derive(Debug)]
pub(super) struct Reads {
    pub(super) pool: Arc<Pool>,
    pub(super) heads: Arc<Heads>,
    /// The last durable position; the writer moves it.
    pub(super) durable: watch::Receiver<Option<Position>>,
}

impl Reads {
    pub(super) fn path(&self) -> &Path {
        self.pool.path()
    }

    pub(super) fn head(&self) -> Result<Option<Position>, ReadError> {
        if self.pool.is_closed() { Err(closed()) } else { Ok(*self.durable.borrow()) }
    }

    /// Sees every later move of the head.
    pub(super) fn watch_head(&self) -> watch::Receiver<Option<Position>> {
        self.durable.clone()
    }

    pub(super) async fn stream(
        &self,
        stream: StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        self.head()?;
        // The map knows every stream: strings that are no key of ours cost no disk.
        let head = self.heads.get(&stream);
        let Some(plan) = StreamPage::plan(&stream, from, direction, limit.min(MAX_PAGE), head) else {
            return Ok(Vec::new());
        };
        let read = move |db: &Connection| {
            let sql = match plan.direction {
                Direction::Forwards => FORWARDS,
                Direction::Backwards => BACKWARDS,
            };
            let parameters = (plan.stream.to_string(), signed(plan.first), signed(plan.last));
            let page = query(db, sql, parameters)?;
            plan.check(&page)?;
            Ok(page)
        };
        self.pool.run(read).await
    }

    pub(super) async fn all(
        &self,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        let Some(plan) = AllPage::plan(after, limit.min(MAX_PAGE), self.head()?) else {
            return Ok(Vec::new());
        };
        let read = move |db: &Connection| {
            let page = query(db, ALL, (signed(plan.after), signed(plan.last)))?;
            plan.check(&page)?;
            Ok(page)
        };
        self.pool.run(read).await
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

fn query(db: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<EventRecord>, ReadError> {
    let mut statement = db.prepare_cached(sql).map_err(read_failed)?;
    let mut page = Vec::new();
    records(&mut statement, parameters, |record| {
        page.push(record);
        Ok(())
    })?;
    Ok(page)
}

#[async_trait]
impl Source for Arc<Reads> {
    async fn page(&self, after: Option<Position>) -> Result<Vec<EventRecord>, ReadError> {
        self.all(after, FOLLOW_PAGE).await
    }
}

/// The queries, and how SQLite must answer them: by an index, in its order, a page at a time.
#[cfg(test)]
pub(super) const PLANS: &[(&str, &str)] = &[
    (
        FORWARDS,
        "SEARCH events USING INDEX sqlite_autoindex_events_1 (stream=? AND revision>? AND revision<?)",
    ),
    (
        BACKWARDS,
        "SEARCH events USING INDEX sqlite_autoindex_events_1 (stream=? AND revision>? AND revision<?)",
    ),
    (ALL, "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
];
