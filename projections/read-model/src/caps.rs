//! How far a cap is used up: pure functions of what was spent and of the cap.

use std::cmp::Ordering;

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::{Nanos, Timestamp};
use nemo_projections::budget::{window_end, window_start};
use serde::Serialize;

/// The largest share that is kept; beyond it only "more" matters.
const PERMILLE_MAX: i64 = 1_000_000;
/// Above this share an alert is raised where the cap does not say otherwise.
const ALERT_PERMILLE: i64 = 800;
/// From here on people are shown 100 %.
const USED_UP_PERMILLE: i64 = 995;

/// How far a cap is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CapLevel {
    /// There is room.
    Free,
    /// More than the share at which an alert is raised, which is 80 % where the cap says nothing else.
    Near,
    /// At least 99.5 %: as good as nothing fits any more.
    UsedUp,
    /// More was spent than the cap allows.
    Over,
}

impl CapLevel {
    pub(crate) fn of(spend: i64, cap: i64, alert_permille: i64) -> Self {
        match permille(spend, cap) {
            _ if spend > cap => Self::Over,
            USED_UP_PERMILLE.. => Self::UsedUp,
            share if share > alert_permille => Self::Near,
            _ => Self::Free,
        }
    }

    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Free => 0,
            Self::Near => 1,
            Self::UsedUp => 2,
            Self::Over => 3,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        [Self::Free, Self::Near, Self::UsedUp, Self::Over].into_iter().find(|level| level.code() == code)
    }
}

/// The share of a cap that is spent, in thousandths, rounded down.
pub(crate) fn permille(spend: i64, cap: i64) -> i64 {
    if cap <= 0 {
        return 1000;
    }
    let share = i128::from(spend.max(0)).saturating_mul(1000) / i128::from(cap);
    i64::try_from(share).map_or(PERMILLE_MAX, |share| share.min(PERMILLE_MAX))
}

/// A cap and what was spent of it in the window of a moment. Holds of open calls are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CapUse {
    /// Which windows it counts.
    pub window: WindowKind,
    /// The cap.
    pub limit: Nanos,
    /// What calls of the window are charged.
    pub spent: Nanos,
    /// How far it is used up.
    pub level: CapLevel,
    /// When the window ends; `None` for the total.
    pub resets_at: Option<Timestamp>,
}

impl CapUse {
    /// The share that is spent, in thousandths, rounded down.
    #[must_use]
    pub fn permille(&self) -> u32 {
        u32::try_from(permille(self.spent.as_nanos(), self.limit.as_nanos())).unwrap_or(u32::MAX)
    }

    /// Which of two caps has less room in proportion, exactly.
    #[must_use]
    pub fn cmp_by_use(&self, other: &Self) -> Ordering {
        let share = |spent: Nanos, limit: Nanos| {
            i128::from(spent.as_nanos()).saturating_mul(i128::from(limit.as_nanos()))
        };
        self.permille()
            .cmp(&other.permille())
            .then_with(|| share(self.spent, other.limit).cmp(&share(other.spent, self.limit)))
    }
}

/// What a key spent in its latest window of each kind; it spent nothing in windows that came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WindowSpends {
    /// From the key's creation.
    pub total: Nanos,
    /// Since the day, week and month began that a call was last charged in.
    pub latest: [(Timestamp, Nanos); 3],
}

impl WindowSpends {
    /// What was spent in the window of a kind that a moment falls in.
    #[must_use]
    pub fn at(&self, kind: WindowKind, now: Timestamp) -> Nanos {
        let [day, week, month] = self.latest;
        let (start, spend) = match kind {
            WindowKind::Total => return self.total,
            WindowKind::Day => day,
            WindowKind::Week => week,
            WindowKind::Month => month,
        };
        if start == window_start(kind, now) { spend } else { Nanos::ZERO }
    }

    /// How far a budget is used up at a moment.
    #[must_use]
    pub fn of(&self, budget: &Budget, now: Timestamp) -> CapUse {
        let Budget { window, limit, alert_at_percent } = *budget;
        let spent = self.at(window, now);
        let level = CapLevel::of(spent.as_nanos(), limit.as_nanos(), alert_permille(alert_at_percent));
        CapUse { window, limit, spent, level, resets_at: window_end(window, window_start(window, now)) }
    }
}

/// The share of a cap above which an alert is raised.
pub(crate) fn alert_permille(percent: Option<u8>) -> i64 {
    percent.map_or(ALERT_PERMILLE, |percent| i64::from(percent) * 10)
}

/// The same rounded up, so that only a cap of which nothing is spent is at zero: by this caps are found.
pub(crate) fn permille_begun(spend: i64, cap: i64) -> i64 {
    let exact = i128::from(spend.max(0)).saturating_mul(1000).checked_rem(i128::from(cap.max(0)));
    let begun = i64::from(exact.is_some_and(|rest| rest > 0));
    permille(spend, cap).saturating_add(begun).min(PERMILLE_MAX)
}

/// The number that stands for a kind of window in the database: its place in [`WindowKind::ALL`].
pub(crate) const fn kind_code(kind: WindowKind) -> i64 {
    match kind {
        WindowKind::Total => 0,
        WindowKind::Day => 1,
        WindowKind::Week => 2,
        WindowKind::Month => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbered_in_their_order() {
        for (place, kind) in WindowKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::try_from(kind_code(kind)), Ok(place));
        }
    }

    #[test]
    fn a_cap_is_near_used_up_and_over() {
        let level = |spend| CapLevel::of(spend, 10_000, 800);
        assert_eq!([0, 8000, 8009].map(level), [CapLevel::Free; 3]);
        assert_eq!([8010, 9949].map(level), [CapLevel::Near; 2]);
        assert_eq!([9950, 10_000].map(level), [CapLevel::UsedUp; 2]);
        assert_eq!(level(10_001), CapLevel::Over);
        assert_eq!(CapLevel::of(0, 0, 800), CapLevel::UsedUp, "nothing fits into no room");
        assert_eq!(CapLevel::of(i64::MAX, 1, 800), CapLevel::Over);
        assert_eq!((permille(i64::MAX, 1), permille(-5, 10)), (PERMILLE_MAX, 0));
        let begun = |spend| permille_begun(spend, 10_000);
        assert_eq!([0, 1, 10, 11, 10_000].map(begun), [0, 1, 1, 2, 1000]);
        assert_eq!((permille_begun(i64::MAX, 1), permille_begun(3, 0)), (PERMILLE_MAX, 1000));
    }
}
