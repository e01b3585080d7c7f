//! Events of an org.

use nemo_events::org::{OrgCreated, OrgLimits};
use nemo_events::{OrgEvent, OrgId};
use nemo_projections::CorruptLog;
use nemo_projections::org::Standing;
use rusqlite::{OptionalExtension, params};

use super::{Batch, Place, follows};
use crate::columns::to_json;
use crate::error::Fault;
use crate::names::standing_name;

impl Batch<'_> {
    pub(super) fn org_event(&mut self, org: OrgId, event: &OrgEvent, place: Place) -> Result<(), Fault> {
        let id = org.as_uuid().as_bytes();
        let mut query = self.db.prepare_cached("SELECT org_no, revision FROM orgs WHERE org_id = ?")?;
        let known: Option<(i64, i64)> =
            query.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        follows(known.map(|(_, revision)| revision), place.revision)?;
        let Some((org_no, _)) = known else { return self.org_first_event(org, event, place) };
        // What the saga of allotments writes is no change that anybody made.
        let changed_at = (!is_of_saga(event)).then(|| place.at.time.as_micros());
        self.db
            .prepare_cached(
                "UPDATE orgs SET revision = ?2, changed_at = coalesce(?3, changed_at) WHERE org_no = ?1",
            )?
            .execute(params![org_no, place.revision, changed_at])?;
        match event {
            OrgEvent::OrgCreated(_) => Err(CorruptLog("an org was created twice").into()),
            OrgEvent::OrgRenamed(e) => self.org_renamed(org_no, &e.name),
            OrgEvent::OrgLimitsSet(e) => self.org_limits_set(org_no, &e.limits),
            OrgEvent::OrgSuspended(_) => self.standing_set(org_no, Standing::Suspended),
            OrgEvent::OrgResumed(_) => self.standing_set(org_no, Standing::Active),
            OrgEvent::OrgArchived(_) => self.standing_set(org_no, Standing::Archived),
            // Budgets, and what is out of them, are told by the org's own account.
            OrgEvent::OrgBudgetsSet(_)
            | OrgEvent::SpendCounted(_)
            | OrgEvent::BudgetAllotted(_)
            | OrgEvent::AllotmentReclaimed(_)
            | OrgEvent::AllotmentsClosed(_) => Ok(()),
        }
    }

    fn org_first_event(&self, org: OrgId, event: &OrgEvent, place: Place) -> Result<(), Fault> {
        let OrgEvent::OrgCreated(OrgCreated { name, limits }) = event else {
            return Err(CorruptLog("an org's first event is not its creation").into());
        };
        let at = place.at.time.as_micros();
        // Without a number SQLite gives the one after the last: rows are never removed.
        self.db
            .prepare_cached(
                "INSERT INTO orgs (org_id, name, standing, limits, created_at, created_position, revision,
                 changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                org.as_uuid().as_bytes(),
                name,
                standing_name(Standing::Active),
                to_json(limits)?,
                at,
                place.position,
                place.revision,
                at,
            ])?;
        Ok(())
    }

    fn org_renamed(&self, org_no: i64, name: &str) -> Result<(), Fault> {
        self.db
            .prepare_cached("UPDATE orgs SET name = ?2 WHERE org_no = ?1")?
            .execute(params![org_no, name])?;
        Ok(())
    }

    fn org_limits_set(&self, org_no: i64, limits: &OrgLimits) -> Result<(), Fault> {
        self.db
            .prepare_cached("UPDATE orgs SET limits = ?2 WHERE org_no = ?1")?
            .execute(params![org_no, to_json(limits)?])?;
        Ok(())
    }

    fn standing_set(&self, org_no: i64, standing: Standing) -> Result<(), Fault> {
        let changed = self
            .db
            .prepare_cached("UPDATE orgs SET standing = ?2 WHERE org_no = ?1 AND standing <> 'archived'")?
            .execute(params![org_no, standing_name(standing)])?;
        if changed == 1 { Ok(()) } else { Err(CorruptLog("an archived org changed").into()) }
    }
}

const fn is_of_saga(event: &OrgEvent) -> bool {
    matches!(
        event,
        OrgEvent::SpendCounted(_)
            | OrgEvent::BudgetAllotted(_)
            | OrgEvent::AllotmentReclaimed(_)
            | OrgEvent::AllotmentsClosed(_)
    )
}
