//! What callers claim their calls were for, by key and month: sums apart, as nobody checks claims.
//!
//! A call with several claims counts under each of them. Bounded: the first so many claims of a key and
//! month are counted by name, all others together.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::open_call::OpenCall;
use crate::error::{EventError, Fault, ReadModelError};

/// Claims that are counted by name, for one key and month.
const CLAIMS_KEPT: i64 = 64;

/// Sums of a batch, by key, month and claim.
#[derive(Debug, Default)]
pub(super) struct Claims(HashMap<(i64, i64, String), ClaimSum>);

#[derive(Debug)]
struct ClaimSum {
    /// Which claim of the batch it was: the order decides who is counted by name.
    met: usize,
    calls: i64,
    cost: i64,
}

impl Claims {
    /// Adds a call, or the change of a call's cost.
    pub(super) fn add(&mut self, call: &OpenCall, calls: i64, cost: i64) -> Result<(), Fault> {
        let Some(claims) = &call.claims else { return Ok(()) };
        let mut claims: Vec<String> = serde_json::from_str(claims)
            .map_err(|_| ReadModelError::Damaged("claims of a call cannot be read"))?;
        claims.sort_unstable();
        claims.dedup();
        for claim in claims {
            let met = self.0.len();
            let sum = self.0.entry((call.key_no, call.month(), claim));
            let sum = sum.or_insert(ClaimSum { met, calls: 0, cost: 0 });
            sum.calls = sum.calls.checked_add(calls).ok_or(EventError::OutOfRange)?;
            sum.cost = sum.cost.checked_add(cost).ok_or(EventError::OutOfRange)?;
        }
        Ok(())
    }

    pub(super) fn flush(self, db: &Connection) -> Result<(), ReadModelError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut put = db.prepare_cached(
            "INSERT INTO claims (key_no, month, claim, calls, cost) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, cost = cost + excluded.cost",
        )?;
        let mut sums: Vec<_> = self.0.into_iter().collect();
        sums.sort_unstable_by_key(|(_, sum)| sum.met);
        for ((key_no, month, claim), sum) in sums {
            let claim = if by_name(db, key_no, month, &claim)? { claim.as_str() } else { "" };
            put.execute(params![key_no, month, claim, sum.calls, sum.cost])?;
        }
        Ok(())
    }
}

/// Whether a claim has a row of its own, or gets one.
fn by_name(db: &Connection, key_no: i64, month: i64, claim: &str) -> Result<bool, ReadModelError> {
    let mut known = db.prepare_cached("SELECT 1 FROM claims WHERE key_no = ? AND month = ? AND claim = ?")?;
    let found: Option<i64> = known.query_row(params![key_no, month, claim], |row| row.get(0)).optional()?;
    if found.is_some() {
        return Ok(true);
    }
    let mut count =
        db.prepare_cached("SELECT count(*) FROM claims WHERE key_no = ? AND month = ? AND claim <> ''")?;
    let kept: i64 = count.query_row([key_no, month], |row| row.get(0))?;
    Ok(kept < CLAIMS_KEPT)
}
