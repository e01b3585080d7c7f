//! From events to rows. Events of one batch are folded in memory and written once at its end: what many
//! events change (sums, calls, a key's totals) touches each row once; what is rare is written at once.

mod caches;
mod call;
mod caps;
mod claims;
mod deeds;
mod ended_call;
mod gateway;
mod job_days;
mod key;
mod open_call;
mod org;
mod outbox;
mod pending;
mod price;
mod rollups;

use nemo_events::{
    EventRecord, GatewayEvent, KeyEvent, KeyId, OrgEvent, Position, PriceEvent, Sealed, StreamName,
};
use nemo_projections::{At, CorruptLog};
use rusqlite::{Connection, params};

pub(crate) use caches::Caches;
use claims::Claims;
use ended_call::EndedCalls;
use job_days::JobDays;
use pending::{Refusals, Times, Totals};
use rollups::Rollups;

use crate::columns::int;
use crate::error::{Fault, ReadModelError};
use crate::model::Head;

/// A batch under way.
struct Batch<'a> {
    db: &'a Connection,
    caches: &'a mut Caches,
    ended: EndedCalls,
    rollups: Rollups,
    totals: Totals,
    job_days: JobDays,
    claims: Claims,
    refusals: Refusals,
    times: Times,
}

/// Where an event stands, as the database has it.
#[derive(Debug, Clone, Copy)]
struct Place {
    position: i64,
    revision: i64,
    at: At,
}

/// The key that an event of a call is about.
#[derive(Debug, Clone, Copy)]
struct OfKey {
    id: KeyId,
    key_no: i64,
}

/// Applies the events behind `head` and returns the new head. Whatever fails, the caller gives up the
/// transaction and the caches.
pub(crate) fn batch(
    db: &Connection,
    caches: &mut Caches,
    head: Option<Head>,
    records: &[EventRecord],
) -> Result<Option<Head>, ReadModelError> {
    let mut head = head;
    caches.shrink();
    let mut batch = Batch {
        db,
        caches,
        ended: EndedCalls::default(),
        rollups: Rollups::default(),
        totals: Totals::default(),
        job_days: JobDays::default(),
        claims: Claims::default(),
        refusals: Refusals::default(),
        times: Times::default(),
    };
    let mut applied = false;
    for EventRecord { position, event } in records {
        if head.as_ref().is_some_and(|head| *position <= head.position) {
            continue;
        }
        batch.apply(*position, event).map_err(|fault| at_event(fault, *position, event))?;
        head = Some(Head {
            position: *position,
            recorded_at: event.recorded_at,
            hash: event.hash,
            stream: event.stream.clone(),
            revision: event.revision,
        });
        applied = true;
    }
    if let Some(head) = head.as_ref().filter(|_| applied) {
        let open_quarter = batch.flush()?;
        write_head(db, head, open_quarter)?;
    }
    Ok(head)
}

fn at_event(fault: Fault, position: Position, event: &Sealed) -> ReadModelError {
    match fault {
        Fault::Model(error) => error,
        Fault::Event(why) => {
            ReadModelError::Event { stream: event.stream.clone(), revision: event.revision, position, why }
        }
    }
}

fn write_head(db: &Connection, head: &Head, open_quarter: i64) -> Result<(), ReadModelError> {
    let number = |number| {
        i64::try_from(number)
            .map_err(|_| ReadModelError::Damaged("a position is beyond what the database holds"))
    };
    let (position, revision) = (number(head.position.0)?, number(head.revision.0)?);
    let Head { recorded_at, hash, stream, .. } = head;
    db.prepare_cached(
        "INSERT OR REPLACE INTO meta (id, position, recorded_at, hash, open_quarter, stream, revision)
         VALUES (1, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        position,
        recorded_at.as_micros(),
        hash.as_bytes(),
        open_quarter,
        stream.to_string(),
        revision
    ])?;
    Ok(())
}

impl Batch<'_> {
    fn apply(&mut self, position: Position, event: &Sealed) -> Result<(), Fault> {
        let at = At { revision: event.revision, time: event.recorded_at };
        let place = Place { position: int(position.0)?, revision: int(event.revision.0)?, at };
        self.times.note(at.time, place.position);
        let (name, version, data) = (event.event_type.as_ref(), event.version, event.data.as_ref());
        self.deed(event, place)?;
        match &event.stream {
            StreamName::Key(key) => {
                self.key_event(*key, &KeyEvent::decode(name, version, data)?, event, place)
            }
            StreamName::Org(org) => {
                let decoded = OrgEvent::decode(name, version, data)?;
                self.org_event(*org, &decoded, place)?;
                self.org_notice(*org, &decoded, event, place)
            }
            StreamName::Prices => {
                self.single(&event.stream, place)?;
                self.price_event(&PriceEvent::decode(name, version, data)?, place)
            }
            StreamName::Gateway => {
                self.single(&event.stream, place)?;
                self.gateway_event(&GatewayEvent::decode(name, version, data)?, place)
            }
            // Nothing here is read from these: people are folded by the server, checkpoints by auditors.
            StreamName::Operators | StreamName::Checkpoints => self.single(&event.stream, place),
        }
    }

    /// Checks that an event of a stream that exists once follows the one before it.
    fn single(&mut self, stream: &StreamName, place: Place) -> Result<(), Fault> {
        let before = self.caches.heads.insert(stream.clone(), place.revision);
        follows(before, place.revision)?;
        self.db
            .prepare_cached("INSERT OR REPLACE INTO heads (stream, revision) VALUES (?, ?)")?
            .execute(params![stream.to_string(), place.revision])?;
        Ok(())
    }

    /// Writes what was added up, and returns the quarter-hour that is open from now on.
    fn flush(self) -> Result<i64, ReadModelError> {
        let quarters = self.times.quarters(self.caches.open_quarter);
        self.ended.flush(self.db)?;
        self.caches.flush_opened(self.db)?;
        self.totals.flush(self.db)?;
        self.rollups.flush(self.db, quarters.clone())?;
        self.job_days.flush(self.db)?;
        self.claims.flush(self.db)?;
        self.refusals.flush(self.db)?;
        self.times.flush(self.db)?;
        self.caches.open_quarter = quarters.end;
        Ok(quarters.end)
    }
}

/// Checks that a revision follows the last one of its stream.
fn follows(before: Option<i64>, revision: i64) -> Result<(), CorruptLog> {
    let expected = before.map_or(0, |before| before.saturating_add(1));
    if revision == expected {
        Ok(())
    } else {
        Err(CorruptLog("an event of the stream is missing or doubled"))
    }
}
