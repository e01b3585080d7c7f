//! What the writer keeps in memory between batches, so that the path of a call reads nothing from disk.
//!
//! Everything here is in the tables too; after a failure it is dropped and read again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use nemo_events::limits::Endpoint;
use nemo_events::{BootId, CallId, KeyId, NodeId, StreamName};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::open_call::{InsertOpen, OpenCall};
use crate::columns::Columns;
use crate::error::{Fault, ReadModelError};

/// Keys that are remembered at most. They are forgotten all at once and read again one by one.
const KEYS_KEPT: usize = 65_536;

/// What an event of a key needs to know about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct CachedKey {
    pub(super) key_no: i64,
    pub(super) revision: i64,
    /// Its call that ended last.
    pub(super) last_call: Option<i64>,
}

/// The writer's memory.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(super) keys: HashMap<KeyId, CachedKey>,
    pub(super) keys_created: i64,
    calls_ended: i64,
    /// First second of the quarter-hour that is not yet in days and months.
    pub(super) open_quarter: i64,
    pub(super) open: HashMap<CallId, OpenCall>,
    /// Calls opened in this batch, in order; some may have ended again.
    pub(super) opened: Vec<CallId>,
    pub(super) heads: HashMap<StreamName, i64>,
    /// By endpoint, provider and model.
    routes: HashMap<Endpoint, HashMap<String, HashMap<String, i64>>>,
    routes_created: i64,
    boots: HashMap<BootId, i64>,
}

impl Caches {
    /// Reads what is needed from the tables. Keys are read when they are met.
    pub(crate) fn load(db: &Connection) -> Result<Self, ReadModelError> {
        let mut caches = Self {
            keys_created: db.query_row("SELECT count(*) FROM keys", [], |row| row.get(0))?,
            calls_ended: db.query_row("SELECT coalesce(max(call_no), 0) FROM calls", [], |row| row.get(0))?,
            open: OpenCall::load_all(db)?,
            ..Self::default()
        };
        each(db, "SELECT open_quarter FROM meta", |row| {
            caches.open_quarter = row.int()?;
            Ok(())
        })?;
        each(db, "SELECT stream, revision FROM heads", |row| {
            caches.heads.insert(row.parsed()?, row.int()?);
            Ok(())
        })?;
        each(db, "SELECT boot_id, boot_no FROM boots", |row| {
            caches.boots.insert(BootId::from_uuid(row.uuid()?), row.int()?);
            Ok(())
        })?;
        each(db, "SELECT endpoint, provider, model, route_no FROM routes", |row| {
            let (endpoint, provider, model) = (row.name()?, row.text()?, row.text()?);
            caches.remember_route(endpoint, provider, model, row.int()?);
            Ok(())
        })?;
        Ok(caches)
    }

    /// Gives up keys where there are too many.
    pub(super) fn shrink(&mut self) {
        if self.keys.len() > KEYS_KEPT {
            self.keys.clear();
        }
    }

    /// A key that exists.
    pub(super) fn key(&mut self, db: &Connection, key: KeyId) -> Result<Option<&mut CachedKey>, Fault> {
        match self.keys.entry(key) {
            Entry::Occupied(known) => Ok(Some(known.into_mut())),
            Entry::Vacant(room) => Ok(load_key(db, key)?.map(|found| room.insert(found))),
        }
    }

    /// The number of a call that ends, and that of the key's call that ended before it.
    pub(super) fn number_call(&mut self, key: KeyId) -> (i64, Option<i64>) {
        self.calls_ended = self.calls_ended.saturating_add(1);
        // The key's event is under way, so the key is known.
        let last = self.keys.get_mut(&key).and_then(|key| key.last_call.replace(self.calls_ended));
        (self.calls_ended, last)
    }

    /// The number of a route, given at its first call.
    pub(super) fn route(
        &mut self,
        db: &Connection,
        endpoint: Endpoint,
        provider: &str,
        model: &str,
    ) -> Result<i64, Fault> {
        let providers = self.routes.get(&endpoint);
        if let Some(route_no) = providers.and_then(|p| p.get(provider)).and_then(|models| models.get(model)) {
            return Ok(*route_no);
        }
        let route_no = self.routes_created.saturating_add(1);
        db.prepare_cached("INSERT INTO routes (route_no, endpoint, provider, model) VALUES (?, ?, ?, ?)")?
            .execute(params![route_no, endpoint.as_str(), provider, model])?;
        self.remember_route(endpoint, provider.to_owned(), model.to_owned(), route_no);
        Ok(route_no)
    }

    fn remember_route(&mut self, endpoint: Endpoint, provider: String, model: String, route_no: i64) {
        self.routes.entry(endpoint).or_default().entry(provider).or_default().insert(model, route_no);
        self.routes_created = self.routes_created.max(route_no);
    }

    /// The number of a node's start, given at its first call.
    pub(super) fn boot(&mut self, db: &Connection, node: &NodeId, boot: BootId) -> Result<i64, Fault> {
        if let Some(boot_no) = self.boots.get(&boot) {
            return Ok(*boot_no);
        }
        let boot_no = i64::try_from(self.boots.len()).unwrap_or(i64::MAX).saturating_add(1);
        db.prepare_cached("INSERT INTO boots (boot_no, boot_id, node) VALUES (?, ?, ?)")?
            .execute(params![boot_no, boot.as_uuid().as_bytes(), node.as_str()])?;
        self.boots.insert(boot, boot_no);
        Ok(boot_no)
    }

    /// Writes the calls that were opened in this batch and are open still.
    pub(super) fn flush_opened(&mut self, db: &Connection) -> Result<(), ReadModelError> {
        let mut insert = InsertOpen::into(db)?;
        for call in self.opened.drain(..) {
            if let Some(open) = self.open.get_mut(&call) {
                insert.put(call, open)?;
                open.stored = true;
            }
        }
        Ok(())
    }
}

fn load_key(db: &Connection, key: KeyId) -> Result<Option<CachedKey>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT key_no, revision, last_call FROM keys JOIN key_totals USING (key_no) WHERE key_id = ?",
    )?;
    let read =
        |row: &Row<'_>| Ok(CachedKey { key_no: row.get(0)?, revision: row.get(1)?, last_call: row.get(2)? });
    Ok(query.query_row([key.digits()], read).optional()?)
}

fn each(
    db: &Connection,
    sql: &str,
    mut take: impl FnMut(&mut Columns<'_>) -> Result<(), ReadModelError>,
) -> Result<(), ReadModelError> {
    let mut query = db.prepare(sql)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        take(&mut Columns::of(row))?;
    }
    Ok(())
}
