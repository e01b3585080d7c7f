//! Calls of a key, open and ended, and what callers claim about them.

use std::sync::LazyLock;

use nemo_events::limits::Endpoint;
use nemo_events::{CallId, KeyId, Nanos, Position, Revision, Timestamp, Usage};
use rusqlite::{Connection, params};
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
         c.first_byte_ms, c.duration_ms, c.over_hold, c.corrected_revision, {units}, c.previous_no \
         FROM calls c JOIN keys k USING (key_no) JOIN routes r USING (route_no)"
    )
});

/// Open calls in the same columns.
static OPEN: LazyLock<String> = LazyLock::new(|| {
    let nothing = vec!["NULL"; 11 + UNITS.len()].join(", ");
    format!(
        "SELECT {COMMON}, {nothing} FROM open_calls c JOIN keys k USING (key_no) JOIN routes r USING (route_no)"
    )
});

impl Reader {
    /// A page of a key's calls: open ones, the last authorised first, then ended ones, the last ended first.
    ///
    /// # Errors
    /// A cursor of another list or key; a failing database.
    pub fn calls_of_key(
        &self,
        key: KeyId,
        page: &PageRequest,
    ) -> Result<Answer<Page<CallRow>>, ReadModelError> {
        let place = page.place(List::Calls)?;
        self.answer(|db| {
            let most = page.limit.get().saturating_add(1);
            let mut rows = open_page(db, key, place, page.limit.and_one())?;
            let mut next = match place {
                Some(ended) if ended > 0 => Some(previous(db, key, ended)?),
                Some(_) | None => Some(last(db, key)?),
            }
            .flatten();
            while let Some(call_no) = next.filter(|_| rows.len() < most) {
                let found = first(db, &format!("{} WHERE c.call_no = ?", *ENDED), [call_no], |row| {
                    Ok((read(row)?, row.get::<Option<i64>>()?))
                })?;
                let (row, before) = found.ok_or(ReadModelError::Damaged("a chain of calls is broken"))?;
                rows.push((call_no, row));
                next = before;
            }
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
            Ok(found)
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

/// A key's open calls: none behind a cursor that is among the ended ones.
fn open_page(
    db: &Connection,
    key: KeyId,
    place: Option<i64>,
    most: i64,
) -> Result<Vec<(i64, CallRow)>, ReadModelError> {
    // The place of an open call is its position, below zero to tell it from the number of an ended one.
    let after = place.unwrap_or(i64::MIN);
    let sql = format!(
        "{} WHERE k.key_id = ? AND -c.authorized_position > ? ORDER BY c.authorized_position DESC LIMIT ?",
        *OPEN
    );
    let rows = all(db, &sql, params![key.digits(), after, most], read)?;
    let place = |row: &CallRow| i64::try_from(row.authorized_position.0).map_or(0, i64::wrapping_neg);
    Ok(rows.into_iter().map(|row| (place(&row), row)).collect())
}

/// The key's call that ended last.
fn last(db: &Connection, key: KeyId) -> Result<Option<i64>, ReadModelError> {
    const SQL: &str = "SELECT t.last_call FROM keys k JOIN key_totals t USING (key_no) WHERE k.key_id = ?";
    Ok(first(db, SQL, [key.digits()], |row| row.get())?.flatten())
}

/// The key's call that ended before another of its calls.
fn previous(db: &Connection, key: KeyId, call_no: i64) -> Result<Option<i64>, ReadModelError> {
    const SQL: &str = "SELECT c.previous_no FROM calls c JOIN keys k USING (key_no)
         WHERE c.call_no = ? AND k.key_id = ?";
    let found = first(db, SQL, params![call_no, key.digits()], |row| row.get())?;
    found.ok_or(ReadModelError::InvalidCursor)
}

fn read(row: &mut Columns<'_>) -> Result<CallRow, ReadModelError> {
    let authorized_revision = row.revision()?;
    let call = CallId::from_uuid(row.uuid()?);
    let (key, endpoint, provider) = (row.key_id()?, row.name()?, row.text()?);
    let provider_model = row.text()?;
    let model = row.opt_text()?.unwrap_or_else(|| provider_model.clone());
    let (labels_revision, hold, streams) = (row.revision()?, row.nanos()?, row.flag()?);
    let claims = row.opt_text()?.map(|json| serde_json::from_str(&json)).transpose();
    let claims = claims.map_err(|_| ReadModelError::Damaged("claims of a call cannot be read"))?;
    Ok(CallRow {
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
        authorized_revision,
        authorized_position: row.position()?,
        authorized_at: row.time()?,
        ended: read_end(row)?,
    })
}

fn read_end(row: &mut Columns<'_>) -> Result<Option<EndedCall>, ReadModelError> {
    let Some(ended) = row.get::<Option<i64>>()? else { return Ok(None) };
    Ok(Some(EndedCall {
        revision: Revision(u64::try_from(ended).unwrap_or_default()),
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
