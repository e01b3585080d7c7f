//! The directory of orgs.

use nemo_events::org::OrgLimits;
use nemo_events::{Nanos, OrgId, Position, Revision, Timestamp};
use nemo_projections::org::Standing;
use rusqlite::{params, params_from_iter};
use serde::Serialize;

use super::filter::{Where, containing};
use super::{Answer, Reader, all, first};
use crate::bucket::Size;
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::names::standing_name;
use crate::page::{List, Order, Page, PageRequest};

/// An org as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrgRow {
    /// The org.
    pub org: OrgId,
    /// What people call it.
    pub name: String,
    /// Whether its keys may be used.
    pub standing: Standing,
    /// Limits for its keys.
    pub limits: OrgLimits,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where in the log.
    pub created_position: Position,
    /// Its last event.
    pub revision: Revision,
    /// When that was recorded.
    pub changed_at: Timestamp,
    /// How many keys it has, revoked ones included.
    pub keys: u64,
}

/// What the keys of an org come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct OrgUse {
    /// Keys that are neither blocked nor revoked; expired ones are among them.
    pub active: u64,
    /// Keys that are refused until they are unblocked.
    pub blocked: u64,
    /// Keys that are refused for good.
    pub revoked: u64,
    /// What all their calls are charged.
    pub total: Nanos,
    /// What those of this month are charged.
    pub month: Nanos,
    /// Calls that have not ended.
    pub open_calls: u64,
    /// When a call was last authorised.
    pub last_used_at: Option<Timestamp>,
}

/// Which orgs are listed. All that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrgFilter {
    /// Orgs of this standing.
    pub standing: Option<Standing>,
    /// Part of the name (case of ASCII letters ignored).
    pub search: Option<String>,
    /// Which orgs come first, by creation.
    pub order: Order,
}

const SELECT: &str = "SELECT o.org_no, o.org_id, o.name, o.standing, o.limits, o.created_at, \
     o.created_position, o.revision, o.changed_at, \
     (SELECT count(*) FROM keys k WHERE k.org_id = o.org_id) FROM orgs o";

impl Reader {
    /// A page of orgs by creation.
    ///
    /// # Errors
    /// A cursor of another list; a failing database.
    pub fn orgs(
        &self,
        filter: &OrgFilter,
        page: &PageRequest,
    ) -> Result<Answer<Page<OrgRow>>, ReadModelError> {
        let mut conditions = Where::default();
        conditions.and_some("o.standing = ?", filter.standing.map(|s| standing_name(s).to_owned()));
        conditions.and_some("o.name LIKE ? ESCAPE '\\'", filter.search.as_deref().map(containing));
        conditions.and_some(&format!("o.org_no {} ?", filter.order.beyond()), page.place(List::Orgs)?);
        let sql = format!("{SELECT} {} ORDER BY o.org_no {} LIMIT ?", conditions.sql(), filter.order.sql());
        let values = conditions.values_and(page.limit.and_one());
        self.answer(|db| {
            let rows = all(db, &sql, params_from_iter(values), read)?;
            Ok(Page::of(rows, List::Orgs, page.limit))
        })
    }

    /// What the keys of an org come to at a moment. Goes through the org's keys, and no others.
    ///
    /// # Errors
    /// A sum beyond 64 bits; a failing database.
    pub fn org_use(&self, org: OrgId, now: Timestamp) -> Result<Answer<OrgUse>, ReadModelError> {
        const SQL: &str = "SELECT count(*) FILTER (WHERE k.status = 'active'),
             count(*) FILTER (WHERE k.status = 'blocked'), count(*) FILTER (WHERE k.status = 'revoked'),
             coalesce(sum(t.spend), 0), coalesce(sum(t.month_spend) FILTER (WHERE t.month_start = ?2), 0),
             coalesce(sum(t.open_calls), 0), max(t.last_used_at)
             FROM keys k INDEXED BY keys_by_org CROSS JOIN key_totals t USING (key_no) WHERE k.org_id = ?1";
        let month = Size::Month.start_of(now);
        self.answer(|db| {
            let found = first(db, SQL, params![org.as_uuid().as_bytes(), month], |row| {
                Ok(OrgUse {
                    active: row.count()?,
                    blocked: row.count()?,
                    revoked: row.count()?,
                    total: row.nanos()?,
                    month: row.nanos()?,
                    open_calls: row.count()?,
                    last_used_at: row.opt_time()?,
                })
            })?;
            Ok(found.unwrap_or_default())
        })
    }

    /// An org's present name.
    ///
    /// # Errors
    /// A failing database.
    pub fn org_name(&self, org: OrgId) -> Result<Answer<Option<String>>, ReadModelError> {
        const SQL: &str = "SELECT name FROM orgs WHERE org_id = ?";
        self.answer(|db| first(db, SQL, [org.as_uuid().as_bytes()], |row| row.text()))
    }

    /// One org.
    ///
    /// # Errors
    /// A failing database.
    pub fn org(&self, org: OrgId) -> Result<Answer<Option<OrgRow>>, ReadModelError> {
        let sql = format!("{SELECT} WHERE o.org_id = ?");
        self.answer(|db| Ok(first(db, &sql, [org.as_uuid().as_bytes()], read)?.map(|(_, row)| row)))
    }
}

fn read(row: &mut Columns<'_>) -> Result<(i64, OrgRow), ReadModelError> {
    let place = row.int()?;
    let org = OrgRow {
        org: OrgId::from_uuid(row.uuid()?),
        name: row.text()?,
        standing: row.name()?,
        limits: row.json()?,
        created_at: row.time()?,
        created_position: row.position()?,
        revision: row.revision()?,
        changed_at: row.time()?,
        keys: row.count()?,
    };
    Ok((place, org))
}
