//! UTC windows by counting days, years and months one after the other.

use nemo_events::limits::WindowKind;

pub(crate) const DAY: i64 = 86_400_000_000;

/// Which window of its kind a moment falls in: two moments share a window if their numbers are equal.
pub(crate) fn number(kind: WindowKind, moment: i64) -> i64 {
    let day = moment / DAY;
    match kind {
        WindowKind::Total => 0,
        WindowKind::Day => day,
        // 1970 began on a Thursday, the fourth day of its week.
        WindowKind::Week => (day + 3) / 7,
        WindowKind::Month => month(day),
    }
}

fn month(mut day: i64) -> i64 {
    let mut months = 0;
    for year in 1970.. {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for length in [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if day < length {
                return months;
            }
            day -= length;
            months += 1;
        }
    }
    unreachable!("years have no end")
}

/// The first moment behind the window that a moment falls in.
pub(crate) fn end(kind: WindowKind, moment: i64) -> Option<i64> {
    let midnights = (moment / DAY + 1..).map(|day| day * DAY).take(40);
    midnights.into_iter().find(|midnight| number(kind, *midnight) != number(kind, moment))
}

/// A moment in the window before the one that a moment falls in.
pub(crate) fn before(kind: WindowKind, moment: i64) -> Option<i64> {
    let earlier = (0..40).map(|days| moment - days * DAY);
    earlier.into_iter().find(|earlier| number(kind, *earlier) != number(kind, moment))
}
