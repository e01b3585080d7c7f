//! What is to be told outside: one row for each event that is worth it, written with everything else that the
//! event leads to. Rows stay, so that a read model is the fold of its log; how far each webhook has come is kept
//! by whoever sends.

use nemo_events::{KeyEvent, OrgEvent, OrgId, Sealed};
use nemo_projections::notice::{self, Details, NoticeKind};
use rusqlite::params;
use serde::Serialize;

use super::{Batch, OfKey, Place};
use crate::columns::{Columns, to_json};
use crate::error::{Fault, ReadModelError};

/// The body of a notice.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Named<'a>>,
    org: Named<'a>,
    #[serde(flatten)]
    details: &'a Details,
}

/// Whom it is about, by the name of that moment.
#[derive(Serialize)]
struct Named<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl Batch<'_> {
    /// Notes an event of a key. What it changed of the key's directory must have been written.
    pub(super) fn key_notice(&self, of: OfKey, event: &KeyEvent, sealed: &Sealed, place: Place) -> Told {
        let Some((kind, details)) = notice::of_key(event) else { return Ok(()) };
        let mut query = self.db.prepare_cached(
            "SELECT k.name, k.org_id, o.name FROM keys k LEFT JOIN orgs o USING (org_id) WHERE k.key_no = ?",
        )?;
        let mut rows = query.query([of.key_no])?;
        let row = rows.next()?.ok_or(ReadModelError::Damaged("a key is not in the directory"))?;
        let mut columns = Columns::of(row);
        let (name, org) = (columns.text()?, OrgId::from_uuid(columns.uuid()?));
        let org_name = columns.opt_text()?;
        let data = Data {
            key: Some(Named { id: of.id.to_string(), name: Some(&name) }),
            org: Named { id: org.to_string(), name: org_name.as_deref() },
            details: &details,
        };
        self.note(kind, &data, sealed, place)
    }

    /// Notes an event of an org.
    pub(super) fn org_notice(&self, org: OrgId, event: &OrgEvent, sealed: &Sealed, place: Place) -> Told {
        let Some((kind, details)) = notice::of_org(event) else { return Ok(()) };
        let mut query = self.db.prepare_cached("SELECT name FROM orgs WHERE org_id = ?")?;
        let name: String = query.query_row([org.as_uuid().as_bytes()], |row| row.get(0))?;
        let org = Named { id: org.to_string(), name: Some(&name) };
        self.note(kind, &Data { key: None, org, details: &details }, sealed, place)
    }

    fn note(&self, kind: NoticeKind, data: &Data<'_>, sealed: &Sealed, place: Place) -> Told {
        self.db
            .prepare_cached(
                "INSERT INTO outbox (position, event_id, stream, revision, recorded_at, kind, data)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                place.position,
                sealed.id.as_uuid().as_bytes(),
                sealed.stream.to_string(),
                place.revision,
                place.at.time.as_micros(),
                kind.as_str(),
                to_json(data)?,
            ])?;
        Ok(())
    }
}

type Told = Result<(), Fault>;
