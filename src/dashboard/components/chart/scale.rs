//! How high an amount is drawn: up to a round number above the largest.

use nemo_events::Nanos;

/// What a scale may end with, but for its zeros; half of each is round, too.
const ROUND: [i64; 11] = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 90];

/// From nothing to a round amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scale {
    top: i64,
}

impl Scale {
    /// The smallest one that an amount fits in.
    pub(super) fn over(largest: Nanos) -> Self {
        let largest = largest.as_nanos();
        let mut power = 1_i64;
        loop {
            let fits =
                ROUND.into_iter().filter_map(|digit| digit.checked_mul(power)).find(|top| *top >= largest);
            match (fits, power.checked_mul(10)) {
                (Some(top), _) => return Self { top },
                (None, Some(next)) => power = next,
                (None, None) => return Self { top: i64::MAX },
            }
        }
    }

    pub(super) const fn top(self) -> Nanos {
        Nanos::from_nanos(self.top)
    }

    pub(super) const fn middle(self) -> Nanos {
        Nanos::from_nanos(self.top / 2)
    }

    /// How high an amount is drawn where the whole scale is so high, rounded to the nearest unit.
    pub(super) fn height(self, amount: Nanos, whole: i64) -> i64 {
        let (amount, top) = (i128::from(amount.as_nanos().max(0)), i128::from(self.top));
        let height = amount.saturating_mul(i128::from(whole)).saturating_add(top / 2) / top;
        i64::try_from(height).map_or(whole, |height| height.min(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_with_a_round_number_above_the_largest_amount() {
        for (largest, top) in [
            (0, 10),
            (11, 12),
            (43_000_000_000, 50_000_000_000),
            (50_000_000_000, 50_000_000_000),
            (50_000_000_001, 60_000_000_000),
            (91, 100),
            (11_200_000_000, 12_000_000_000),
            (i64::MAX, i64::MAX),
        ] {
            assert_eq!(Scale::over(Nanos::from_nanos(largest)).top().as_nanos(), top, "{largest}");
        }
    }

    #[test]
    fn nothing_is_drawn_higher_than_the_scale() {
        let scale = Scale::over(Nanos::from_nanos(43));
        let height = |amount| scale.height(Nanos::from_nanos(amount), 1000);
        assert_eq!((height(0), height(25), height(50), height(90), height(-1)), (0, 500, 1000, 1000, 0));
        assert_eq!(Scale::over(Nanos::MAX).height(Nanos::MAX, 1000), 1000);
    }
}
