//! The directory of orgs.

use nemo_events::org::OrgLimits;
use nemo_events::{OrgId, Position, Revision, Timestamp};
use nemo_projections::org::Standing;
use rusqlite::params_from_iter;
use serde::Serialize;

use super::filter::{Where, containing};
use super::{Answer, Reader, all, first};
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
