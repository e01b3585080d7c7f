//! What the keys of an org spent and hold together, by window: what its own budgets are used up by.

use nemo_events::limits::WindowKind;
use nemo_events::{Nanos, OrgId, Timestamp};
use nemo_projections::budget::window_start;
use rusqlite::params;
use serde::Serialize;

use super::{Answer, Reader, first};
use crate::bucket::to_secs;
use crate::columns::Columns;
use crate::error::ReadModelError;

/// What the calls of all keys of an org come to in the windows of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct OrgSpend {
    /// What ended calls are charged, in the order of [`WindowKind::ALL`].
    settled: [Nanos; 4],
    /// What open calls hold, in the same order.
    held: [Nanos; 4],
}

impl OrgSpend {
    /// What ended calls of a window are charged.
    #[must_use]
    pub const fn settled(&self, kind: WindowKind) -> Nanos {
        of_kind(self.settled, kind)
    }

    /// What open calls of a window hold.
    #[must_use]
    pub const fn held(&self, kind: WindowKind) -> Nanos {
        of_kind(self.held, kind)
    }
}

const fn of_kind([total, day, week, month]: [Nanos; 4], kind: WindowKind) -> Nanos {
    match kind {
        WindowKind::Total => total,
        WindowKind::Day => day,
        WindowKind::Week => week,
        WindowKind::Month => month,
    }
}

impl Reader {
    /// What the keys of an org spent and hold in the windows of a moment. Goes through the org's keys, and no others.
    ///
    /// # Errors
    /// A sum beyond 64 bits; a failing database.
    pub fn org_spend(&self, org: OrgId, now: Timestamp) -> Result<Answer<OrgSpend>, ReadModelError> {
        const SETTLED: &str = "SELECT coalesce(sum(t.spend), 0),
             coalesce(sum(t.day_spend) FILTER (WHERE t.day_start = ?2), 0),
             coalesce(sum(t.week_spend) FILTER (WHERE t.week_start = ?3), 0),
             coalesce(sum(t.month_spend) FILTER (WHERE t.month_start = ?4), 0)
             FROM keys k INDEXED BY keys_by_org CROSS JOIN key_totals t USING (key_no) WHERE k.org_id = ?1";
        const HELD: &str = "SELECT coalesce(sum(o.hold), 0),
             coalesce(sum(o.hold) FILTER (WHERE o.authorized_at >= ?2), 0),
             coalesce(sum(o.hold) FILTER (WHERE o.authorized_at >= ?3), 0),
             coalesce(sum(o.hold) FILTER (WHERE o.authorized_at >= ?4), 0)
             FROM open_calls o CROSS JOIN keys k USING (key_no) WHERE k.org_id = ?1";
        let starts =
            [WindowKind::Day, WindowKind::Week, WindowKind::Month].map(|kind| window_start(kind, now));
        let [day, week, month] = starts.map(to_secs);
        let [day_us, week_us, month_us] = starts.map(Timestamp::as_micros);
        let id = org.as_uuid().as_bytes();
        self.answer(|db| {
            let settled = first(db, SETTLED, params![id, day, week, month], four)?.unwrap_or_default();
            let held = first(db, HELD, params![id, day_us, week_us, month_us], four)?.unwrap_or_default();
            Ok(OrgSpend { settled, held })
        })
    }
}

fn four(row: &mut Columns<'_>) -> Result<[Nanos; 4], ReadModelError> {
    Ok([row.nanos()?, row.nanos()?, row.nanos()?, row.nanos()?])
}
