//! Caps that are close to their end, by the indexes made for that.

use nemo_events::limits::WindowKind;
use nemo_events::{KeyId, Nanos, Timestamp};
use nemo_projections::budget::{window_end, window_start};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Serialize;

use super::{alerting, all};
use crate::bucket::to_secs;
use crate::caps::{CapLevel, CapUse, kind_code};
use crate::columns::Columns;
use crate::error::ReadModelError;

/// A key and its tightest cap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosestCap {
    /// The key.
    pub key: KeyId,
    /// Its name.
    pub name: String,
    /// The last four characters of its secret.
    pub last_four: String,
    /// The cap.
    pub cap: CapUse,
}

/// Why more was spent than a cap allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OverCause {
    /// The cap was set below what was spent already.
    CapLowered,
    /// A provider reported more than the bounds that the call was held for.
    ProviderReportedMore,
}

/// A cap that needs a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapAlert {
    /// The key and the cap.
    pub of: ClosestCap,
    /// Why the cap is exceeded; only where it is.
    pub cause: Option<OverCause>,
}

/// Keys with caps that need a look, each by its worst cap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CapAlerts {
    /// Keys that spent more than a cap allows.
    pub over: u64,
    /// Keys with a cap that is used up.
    pub used_up: u64,
    /// Keys with a cap that is nearly used up.
    pub near: u64,
    /// Some of those that are over a cap, the worst first.
    pub over_caps: Vec<CapAlert>,
}

const COLUMNS: &str = "k.key_id, k.name, k.last_four, c.cap, c.level, c.start, c.lowered_start,
     CASE c.kind WHEN 0 THEN t.spend WHEN 1 THEN t.day_spend WHEN 2 THEN t.week_spend ELSE t.month_spend END";

/// Keys that are past their end are refused whatever their caps say.
const IN_FORCE: &str = "(k.expires_at IS NULL OR k.expires_at > ?)";

/// The keys with the least room in proportion, of those that spent something.
pub(super) fn closest(
    db: &Connection,
    now: Timestamp,
    most: usize,
) -> Result<Vec<ClosestCap>, ReadModelError> {
    let mut found = Vec::new();
    for kind in WindowKind::ALL {
        found.extend(of_kind(db, kind, now, "c.permille > 0 ORDER BY c.permille DESC", most)?);
    }
    found.sort_by(|a, b| b.of.cap.cmp_by_use(&a.of.cap).then_with(|| a.of.key.cmp(&b.of.key)));
    let mut closest: Vec<ClosestCap> = Vec::with_capacity(most);
    for alert in found {
        if closest.len() < most && closest.iter().all(|seen| seen.key != alert.of.key) {
            closest.push(alert.of);
        }
    }
    Ok(closest)
}

pub(super) fn alerts(db: &Connection, now: Timestamp, most: usize) -> Result<CapAlerts, ReadModelError> {
    let (caps, mut values) = alerting(now);
    let sql = format!(
        "SELECT worst, count(*) FROM (SELECT max(c.level) worst FROM ({caps}) c
         JOIN keys k USING (key_no) WHERE {IN_FORCE} GROUP BY c.key_no) GROUP BY worst"
    );
    values.push(Value::from(now.as_micros()));
    let mut alerts = CapAlerts::default();
    for (level, keys) in all(db, &sql, params_from_iter(values), |row| Ok((row.int()?, row.count()?)))? {
        match CapLevel::from_code(level) {
            Some(CapLevel::Over) => alerts.over = keys,
            Some(CapLevel::UsedUp) => alerts.used_up = keys,
            Some(CapLevel::Near) => alerts.near = keys,
            Some(CapLevel::Free) | None => {}
        }
    }
    if alerts.over > 0 {
        let over = format!("c.level = {} ORDER BY c.permille DESC", CapLevel::Over.code());
        for kind in WindowKind::ALL {
            alerts.over_caps.extend(of_kind(db, kind, now, &over, most)?);
        }
        alerts.over_caps.sort_by(|a, b| b.of.cap.cmp_by_use(&a.of.cap));
        alerts.over_caps.truncate(most);
    }
    Ok(alerts)
}

/// Caps of one kind in the window of a moment; `which` chooses and orders them.
fn of_kind(
    db: &Connection,
    kind: WindowKind,
    now: Timestamp,
    which: &str,
    most: usize,
) -> Result<Vec<CapAlert>, ReadModelError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM caps c CROSS JOIN keys k USING (key_no) CROSS JOIN key_totals t USING (key_no)
         WHERE c.kind = {} AND c.start = ? AND {IN_FORCE} AND {which} LIMIT ?",
        kind_code(kind),
    );
    let start = window_start(kind, now);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    all(db, &sql, [to_secs(start), now.as_micros(), most], |row| read(row, kind, start))
}

fn read(row: &mut Columns<'_>, kind: WindowKind, window: Timestamp) -> Result<CapAlert, ReadModelError> {
    let (key, name, last_four) = (row.key_id()?, row.text()?, row.text()?);
    let (limit, level, start) = (row.nanos()?, row.int()?, row.int()?);
    let lowered_start: Option<i64> = row.get()?;
    let spent: Nanos = row.nanos()?;
    let level = CapLevel::from_code(level).ok_or(ReadModelError::Damaged("a cap's level is not known"))?;
    let cause = (level == CapLevel::Over).then_some(if lowered_start == Some(start) {
        OverCause::CapLowered
    } else {
        OverCause::ProviderReportedMore
    });
    let cap = CapUse { window: kind, limit, spent, level, resets_at: window_end(kind, window) };
    Ok(CapAlert { of: ClosestCap { key, name, last_four, cap }, cause })
}
