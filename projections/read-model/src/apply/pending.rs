//! Sums of one batch, added up in memory and written with one statement for each row.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::LazyLock;

use nemo_events::Timestamp;
use nemo_events::limits::WindowKind;
use nemo_projections::budget::window_start;
use rusqlite::{Connection, params};

use super::caps;
use crate::bucket::{MINUTE_SECS, Size, to_secs};
use crate::error::{EventError, ReadModelError};

/// What a batch changes of keys' totals, by key.
#[derive(Debug, Default)]
pub(super) struct Totals(HashMap<i64, KeyTotals>);

/// What a batch changes of one key's totals.
#[derive(Debug, Default)]
pub(super) struct KeyTotals {
    revision: i64,
    recorded_at: i64,
    last_used_at: Option<i64>,
    calls: i64,
    spend: i64,
    open_calls: i64,
    held: i64,
    last_call: Option<i64>,
    /// By day, week and month.
    windows: [WindowSpend; 3],
    /// Whether anything was charged or corrected.
    charged: bool,
}

/// What a batch adds to the spend of one window: the latest one, as earlier ones are not kept.
#[derive(Debug, Default, Clone, Copy)]
struct WindowSpend {
    start: i64,
    spend: i64,
}

impl Totals {
    pub(super) fn of(&mut self, key_no: i64) -> &mut KeyTotals {
        self.0.entry(key_no).or_default()
    }

    pub(super) fn flush(self, db: &Connection) -> Result<(), ReadModelError> {
        let mut keys: Vec<_> = self.0.into_iter().collect();
        keys.sort_unstable_by_key(|(key_no, _)| *key_no);
        keys.into_iter().try_for_each(|(key_no, totals)| totals.write(db, key_no))
    }

    /// Writes what the batch changed of one key so far.
    pub(super) fn flush_one(&mut self, db: &Connection, key_no: i64) -> Result<(), ReadModelError> {
        self.0.remove(&key_no).map_or(Ok(()), |totals| totals.write(db, key_no))
    }
}

impl KeyTotals {
    pub(super) const fn seen(&mut self, revision: i64, at: Timestamp) {
        self.revision = revision;
        self.recorded_at = at.as_micros();
    }

    pub(super) fn opened(&mut self, hold: i64, at: Timestamp) -> Result<(), EventError> {
        self.last_used_at = Some(at.as_micros());
        add(&mut self.open_calls, 1)?;
        add(&mut self.held, hold)
    }

    pub(super) fn ended(&mut self, call_no: i64, hold: i64) -> Result<(), EventError> {
        self.last_call = Some(call_no);
        add(&mut self.open_calls, -1)?;
        add(&mut self.held, hold.checked_neg().ok_or(EventError::OutOfRange)?)?;
        add(&mut self.calls, 1)
    }

    /// A call is charged, or its charge changes: in the windows that it was authorised in.
    pub(super) fn charged(&mut self, authorized_at: Timestamp, change: i64) -> Result<(), EventError> {
        self.charged = true;
        add(&mut self.spend, change)?;
        for (window, kind) in self.windows.iter_mut().zip(KEPT_WINDOWS) {
            let start = to_secs(window_start(kind, authorized_at));
            if start > window.start {
                *window = WindowSpend { start, spend: 0 };
            }
            if start == window.start {
                add(&mut window.spend, change)?;
            }
        }
        Ok(())
    }

    fn write(self, db: &Connection, key_no: i64) -> Result<(), ReadModelError> {
        let [day, week, month] = self.windows;
        db.prepare_cached(&UPDATE_TOTALS)?.execute(params![
            key_no,
            self.revision,
            self.recorded_at,
            self.last_used_at,
            self.calls,
            self.spend,
            self.open_calls,
            self.held,
            self.last_call,
            day.start,
            day.spend,
            week.start,
            week.spend,
            month.start,
            month.spend,
        ])?;
        if self.charged { caps::follow(db, key_no) } else { Ok(()) }
    }
}

/// Windows whose spend is kept besides the total, in the order of [`KeyTotals::windows`].
const KEPT_WINDOWS: [WindowKind; 3] = [WindowKind::Day, WindowKind::Week, WindowKind::Month];

static UPDATE_TOTALS: LazyLock<String> = LazyLock::new(|| {
    let window = |kind: WindowKind, start: usize| {
        let spend = start + 1;
        format!(
            "{kind}_spend = CASE WHEN ?{start} > {kind}_start THEN ?{spend}
                 WHEN ?{start} = {kind}_start THEN {kind}_spend + ?{spend} ELSE {kind}_spend END,
             {kind}_start = max({kind}_start, ?{start})"
        )
    };
    let windows: Vec<_> =
        KEPT_WINDOWS.into_iter().zip([10, 12, 14]).map(|(k, start)| window(k, start)).collect();
    format!(
        "UPDATE key_totals SET revision = ?2, recorded_at = ?3, last_used_at = coalesce(?4, last_used_at),
         calls = calls + ?5, spend = spend + ?6, open_calls = open_calls + ?7, held = held + ?8,
         last_call = coalesce(?9, last_call), {} WHERE key_no = ?1",
        windows.join(", ")
    )
});

/// What a batch adds to refusals, by minute; days, by key and for all keys, follow from these. Key 0 stands for none of ours.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<(i64, i64, String), i64>);

impl Refusals {
    pub(super) fn add(
        &mut self,
        key_no: i64,
        since: Timestamp,
        refusals: &[nemo_events::key::RefusalCount],
    ) -> Result<(), EventError> {
        for refusal in refusals {
            let count = i64::try_from(refusal.count).map_err(|_| EventError::OutOfRange)?;
            let row = (Size::Minute.start_of(since), key_no, refusal.code.clone());
            add(self.0.entry(row).or_default(), count)?;
        }
        Ok(())
    }

    pub(super) fn flush(self, db: &Connection) -> Result<(), ReadModelError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut add = db.prepare_cached(
            "INSERT INTO refusals (size, start, key_no, code, count) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?;
        let mut add_to_day = db.prepare_cached(
            "INSERT INTO refusal_days (start, code, count) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?;
        for ((minute, key_no, code), count) in self.0 {
            for size in [Size::Minute, Size::Day] {
                add.execute(params![size.code(), size.start_of_secs(minute), key_no, code, count])?;
            }
            add_to_day.execute(params![Size::Day.start_of_secs(minute), code, count])?;
        }
        Ok(())
    }
}

/// The last position that a batch saw in each minute.
#[derive(Debug, Default)]
pub(super) struct Times(BTreeMap<i64, i64>);

impl Times {
    /// The quarter-hours that are over with this batch: from the one open before it to the one open now.
    pub(super) fn quarters(&self, open_before: i64) -> Range<i64> {
        let latest = self.0.last_key_value().map_or(0, |(minute, _)| minute.saturating_mul(MINUTE_SECS));
        open_before..Size::QuarterHour.start_of_secs(latest).max(open_before)
    }

    pub(super) fn note(&mut self, at: Timestamp, position: i64) {
        self.0.insert(to_secs(at).div_euclid(MINUTE_SECS), position);
    }

    /// Later minutes never have an earlier position: clocks of nodes differ by seconds, so few rows move.
    pub(super) fn flush(self, db: &Connection) -> Result<(), ReadModelError> {
        let mut put = db.prepare_cached(
            "INSERT INTO times (minute, position) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET position = max(position, excluded.position)",
        )?;
        let mut raise =
            db.prepare_cached("UPDATE times SET position = ?2 WHERE minute > ?1 AND position < ?2")?;
        let mut latest = 0;
        for (minute, position) in self.0 {
            latest = position.max(latest);
            put.execute([minute, latest])?;
            raise.execute([minute, latest])?;
        }
        Ok(())
    }
}

fn add(sum: &mut i64, more: i64) -> Result<(), EventError> {
    *sum = sum.checked_add(more).ok_or(EventError::OutOfRange)?;
    Ok(())
}
