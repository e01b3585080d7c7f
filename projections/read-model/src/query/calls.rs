//! Calls of a key, open and ended, and what callers claim about them.

use std::sync::LazyLock;

use nemo_events::limits::Endpoint;
use nemo_events::{CallId, KeyId, Nanos, Position, Revision, Timestamp, Usage};
use rusqlite::params;
use serde::Serialize;

use super::{Answer, Reader, all, first};
use crate::bucket::Size;
use crate::columns::Columns;
use crate::error::ReadModelError;
use crate::names::CallEnd;
use crate::page::{List, Page, PageRequest};
use crate::sums::{UNITS, usage};

/// A call. What is not here is in its events, at the revisions that are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallRow {
    /// The call.
    pub call: CallId,
    /// Its key.
    pub key: KeyId,
    /// The route it came in by.
    pub endpoint: Endpoint,
    /// The provider.
    pub provider: String,
    /// The model's name there.
    pub provider_model: String,
    /// The model as the caller named it.
    pub model: String,
    /// Revision of the labels that it is attributed to.
    pub labels_revision: Revision,
    /// What it could cost at most.
    pub hold: Nanos,
    /// The answer streams.
    pub streams: bool,
    /// What the caller claims it is for.
    pub claims: Vec<String>,
    /// Its first event in the key's stream.
    pub authorized_revision: Revision,
    /// Where that is in the log.
    pub authorized_position: Position,
    /// When it was recorded.
    pub authorized_at: Timestamp,
    /// How it ended; `None` while it is open.
    pub ended: Option<EndedCall>,
}

/// The end of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndedCall {
    /// Its event in the key's stream.
    pub revision: Revision,
    /// Where that is in the log.
    pub position: Position,
    /// When it was recorded.
    pub at: Timestamp,
    /// How.
    #[serde(flatten)]
    pub end: CallEnd,
    /// What the call is charged now.
    pub cost: Nanos,
    /// What it used; at most a trillion of each kind.
    pub usage: Usage,
    /// The provider's HTTP status.
    pub status: Option<u16>,
    /// Milliseconds to the first byte of the answer's body.
    pub first_byte_ms: Option<u64>,
    /// Milliseconds to the end.
    pub duration_ms: Option<u64>,
    /// The provider reported more than the hold's bounds.
    pub over_hold: bool,
    /// The last correction of the charge.
    pub corrected_revision: Option<Revision>,
}

/// What a key's callers claim, for one month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimRow {
    /// The claim; `None` for all that are not counted by name.
    pub claim: Option<String>,
    /// Ended calls with it. A call with several claims counts under each.
    pub calls: u64,
    /// What they are charged.
    pub cost: Nanos,
}

const COMMON: &str = "c.authorized_revision, c.call_id, k.key_id, r.endpoint, r.provider, r.model, \
     c.asked_model, c.labels_revision, c.hold, c.streams, c.claims, c.authorized_position, c.authorized_at";

/// Ended calls, but for what follows WHERE.
static ENDED: LazyLock<String> = LazyLock::new(|| {
    let units = UNITS.map(|units| format!("c.{units}")).join(", ");
    format!(
        "SELECT {COMMON}, c.ended_revision, c.ended_position, c.ended_at, c.outcome, c.cost, c.status, \
         c.first_byte_ms, c.duration_ms, c.over_hold, c.corrected_revision, {units} \
         FROM calls c JOIN keys k USING (key_no) JOIN routes r USING (route_no)"
    )
});

/// Open calls in the same columns.
static OPEN: LazyLock<String> = LazyLock::new(|| {
    let nothing = vec!["NULL"; 10 + UNITS.len()].join(", ");
    format!(
        "SELECT {COMMON}, {nothing} FROM open_calls c JOIN keys k USING (key_no) JOIN routes r USING (route_no)"
    )
});

impl Reader {
    /// A page of a key's calls, newest first.
    ///
    /// # Errors
    /// A cursor of another list; a failing database.
    pub fn calls_of_key(
        &self,
        key: KeyId,
        page: &PageRequest,
    ) -> Result<Answer<Page<CallRow>>, ReadModelError> {
        let below = page.place(List::Calls)?.unwrap_or(i64::MAX);
        // Each part is cut by itself, so that a key with millions of calls is not sorted.
        let part = |select: &str| {
            format!(
                "SELECT * FROM ({select} WHERE k.key_id = ?1 AND c.authorized_revision < ?2
                 ORDER BY c.authorized_revision DESC LIMIT ?3)"
            )
        };
        let sql = format!("{} UNION ALL {} ORDER BY 1 DESC LIMIT ?3", part(&ENDED), part(&OPEN));
        self.answer(|db| {
            let rows = all(db, &sql, params![key.digits(), below, page.limit.and_one()], read)?;
            Ok(Page::of(rows, List::Calls, page.limit))
        })
    }

    /// One call.
    ///
    /// # Errors
    /// A failing database.
    pub fn call(&self, call: CallId) -> Result<Answer<Option<CallRow>>, ReadModelError> {
        self.answer(|db| {
            let id = call.as_uuid().as_bytes();
            let one = |select: &str| first(db, &format!("{select} WHERE c.call_id = ?"), [id], read);
            let found = match one(&ENDED)? {
                Some(ended) => Some(ended),
                None => one(&OPEN)?,
            };
            Ok(found.map(|(_, row)| row))
        })
    }

    /// What a key's callers claim about calls authorised in the UTC month of a moment, dearest first.
    ///
    /// # Errors
    /// A failing database.
    pub fn claims(&self, key: KeyId, month: Timestamp) -> Result<Answer<Vec<ClaimRow>>, ReadModelError> {
        const SQL: &str = "SELECT c.claim, c.calls, c.cost FROM keys k JOIN claims c USING (key_no)
             WHERE k.key_id = ? AND c.month = ? ORDER BY c.cost DESC, c.claim";
        self.answer(|db| {
            all(db, SQL, params![key.digits(), Size::Month.start_of(month)], |row| {
                let claim = Some(row.text()?).filter(|claim| !claim.is_empty());
                Ok(ClaimRow { claim, calls: row.count()?, cost: row.nanos()? })
            })
        })
    }
}

fn read(row: &mut Columns<'_>) -> Result<(i64, CallRow), ReadModelError> {
    let place = row.int()?;
    let call = CallId::from_uuid(row.uuid()?);
    let (key, endpoint, provider) = (row.key_id()?, row.name()?, row.text()?);
    let provider_model = row.text()?;
    let model = row.opt_text()?.unwrap_or_else(|| provider_model.clone());
    let (labels_revision, hold, streams) = (row.revision()?, row.nanos()?, row.flag()?);
    let claims = row.opt_text()?.map(|json| serde_json::from_str(&json)).transpose();
    let claims = claims.map_err(|_| ReadModelError::Damaged("claims of a call cannot be read"))?;
    let row = CallRow {
        call,
        key,
        endpoint,
        provider,
        provider_model,
        model,
        labels_revision,
        hold,
        streams,
        claims: claims.unwrap_or_default(),
        authorized_revision: revision(place),
        authorized_position: row.position()?,
        authorized_at: row.time()?,
        ended: read_end(row)?,
    };
    Ok((place, row))
}

fn read_end(row: &mut Columns<'_>) -> Result<Option<EndedCall>, ReadModelError> {
    let Some(ended) = row.get::<Option<i64>>()? else { return Ok(None) };
    Ok(Some(EndedCall {
        revision: revision(ended),
        position: row.position()?,
        at: row.time()?,
        end: CallEnd::from_code(row.int()?).ok_or(ReadModelError::Damaged("an end is not known"))?,
        cost: row.nanos()?,
        status: row.get()?,
        first_byte_ms: row.opt_count()?,
        duration_ms: row.opt_count()?,
        over_hold: row.flag()?,
        corrected_revision: row.opt_count()?.map(Revision),
        usage: usage(row.ints()?),
    }))
}

fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or_default())
}
