//! How far the caps of keys are used up, by what is charged; holds come and go and are not counted here.
//!
//! A row says what was spent of one cap in the window that starts at `start`: where that window is over, the
//! cap is unused. So nothing needs to be reset, and whoever asks names the window. What is told follows from
//! the events alone, however they are batched.

use nemo_events::limits::Budget;
use rusqlite::{Connection, params};

use crate::caps::{CapLevel, alert_permille, kind_code, permille_begun};
use crate::error::ReadModelError;

/// What a key spent in its latest window of each kind, by the kind's code.
struct Spent([(i64, i64); 4]);

/// A cap as it is stored.
struct Stored {
    kind: i64,
    cap: i64,
    alert_permille: i64,
    start: i64,
    permille: i64,
    level: i64,
    lowered_start: Option<i64>,
}

impl Spent {
    fn of(db: &Connection, key_no: i64) -> Result<Self, ReadModelError> {
        let mut query = db.prepare_cached(
            "SELECT 0, spend, day_start, day_spend, week_start, week_spend, month_start, month_spend
             FROM key_totals WHERE key_no = ?",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            let window = |at: usize| Ok::<_, rusqlite::Error>((row.get(at)?, row.get(at + 1)?));
            Ok(Self([window(0)?, window(2)?, window(4)?, window(6)?]))
        };
        Ok(query.query_row([key_no], read)?)
    }

    /// Start of the latest window of a kind, in seconds, and what was spent in it.
    fn in_window(&self, kind: i64) -> (i64, i64) {
        let spent = usize::try_from(kind).ok().and_then(|kind| self.0.get(kind));
        spent.copied().unwrap_or_default()
    }
}

/// Something was charged to a key.
pub(super) fn follow(db: &Connection, key_no: i64) -> Result<(), ReadModelError> {
    let stored = stored(db, key_no)?;
    if stored.is_empty() {
        return Ok(());
    }
    let spent = Spent::of(db, key_no)?;
    for old in stored {
        let (start, spend) = spent.in_window(old.kind);
        let permille = permille_begun(spend, old.cap);
        let level = CapLevel::of(spend, old.cap, old.alert_permille).code();
        if (start, permille, level) != (old.start, old.permille, old.level) {
            db.prepare_cached(
                "UPDATE caps SET start = ?3, permille = ?4, level = ?5 WHERE key_no = ?1 AND kind = ?2",
            )?
            .execute(params![key_no, old.kind, start, permille, level])?;
        }
    }
    Ok(())
}

/// A key's caps were replaced. What it spent before must have been written.
pub(super) fn set(db: &Connection, key_no: i64, budgets: &[Budget]) -> Result<(), ReadModelError> {
    let before = stored(db, key_no)?;
    forget(db, key_no)?;
    let spent = Spent::of(db, key_no)?;
    for Budget { window, limit, alert_at_percent } in budgets {
        let (kind, cap) = (kind_code(*window), limit.as_nanos());
        let (start, spend) = spent.in_window(kind);
        let alert_permille = alert_permille(*alert_at_percent);
        let level = CapLevel::of(spend, cap, alert_permille);
        let over_before = before.iter().find(|old| {
            (old.kind, old.start, old.level) == (kind, start, CapLevel::Over.code()) && cap >= old.cap
        });
        let lowered_start = match (level, over_before) {
            (CapLevel::Over, Some(old)) => old.lowered_start,
            (CapLevel::Over, None) => Some(start),
            (CapLevel::Free | CapLevel::Near | CapLevel::UsedUp, _) => None,
        };
        db.prepare_cached(
            "INSERT INTO caps (key_no, kind, cap, alert_permille, start, permille, level, lowered_start)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key_no,
            kind,
            cap,
            alert_permille,
            start,
            permille_begun(spend, cap),
            level.code(),
            lowered_start,
        ])?;
    }
    Ok(())
}

/// A key has no caps any more: it was revoked.
pub(super) fn forget(db: &Connection, key_no: i64) -> Result<(), ReadModelError> {
    db.prepare_cached("DELETE FROM caps WHERE key_no = ?")?.execute([key_no])?;
    Ok(())
}

fn stored(db: &Connection, key_no: i64) -> Result<Vec<Stored>, ReadModelError> {
    let mut query = db.prepare_cached(
        "SELECT kind, cap, alert_permille, start, permille, level, lowered_start FROM caps WHERE key_no = ?",
    )?;
    let rows = query.query_map([key_no], |row| {
        Ok(Stored {
            kind: row.get(0)?,
            cap: row.get(1)?,
            alert_permille: row.get(2)?,
            start: row.get(3)?,
            permille: row.get(4)?,
            level: row.get(5)?,
            lowered_start: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
