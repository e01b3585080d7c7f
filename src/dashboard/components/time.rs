//! Moments: how long ago in lists, in full in the title; in full where exactness matters.

use maud::{Markup, html};
use nemo_events::Timestamp;
use nemo_events::time::MICROS_PER_SEC;

use crate::figures::time::{to_the_minute, to_the_second};

const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
/// Beyond so many days a date says more than their number.
const DAYS_COUNTED: i64 = 60;

/// How long ago something was: `3 d ago`, `just now`; `–` for what never was.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let secs = now.micros_since(at) / MICROS_PER_SEC;
    let text = match distance(secs) {
        Distance::Moment => "just now".to_owned(),
        Distance::Some(text) => format!("{text} ago"),
        Distance::Far => to_the_minute(at).split(' ').next().unwrap_or_default().to_owned(),
    };
    moment(at, &text)
}

/// How long until something will be: `in 3 d`; what is past already is `ago`.
#[must_use]
pub fn in_future(at: Timestamp, now: Timestamp) -> Markup {
    let secs = at.micros_since(now) / MICROS_PER_SEC;
    if secs < 0 {
        return ago(at, now);
    }
    let text = match distance(secs) {
        Distance::Moment => "now".to_owned(),
        Distance::Some(text) => format!("in {text}"),
        Distance::Far => to_the_minute(at).split(' ').next().unwrap_or_default().to_owned(),
    };
    moment(at, &text)
}

/// `2026-11-22 10:00:00Z`
#[must_use]
pub fn absolute(at: Timestamp) -> Markup {
    moment(at, &to_the_second(at))
}

fn moment(at: Timestamp, text: &str) -> Markup {
    html! { time .nowrap datetime=(at) title=(to_the_second(at)) { (text) } }
}

enum Distance {
    /// Less than a minute.
    Moment,
    /// A number of units.
    Some(String),
    /// So far that a date says more.
    Far,
}

fn distance(secs: i64) -> Distance {
    if secs >= DAYS_COUNTED * 86_400 {
        return Distance::Far;
    }
    let unit = UNITS.iter().find(|(length, _)| secs >= *length);
    unit.map_or(Distance::Moment, |(length, name)| Distance::Some(format!("{} {name}", secs / length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_told_in_its_largest_unit() {
        let now = Timestamp::from_micros(1_793_344_800_000_000);
        let cases = [
            (0, ">just now<", ">now<"),
            (59, ">just now<", ">now<"),
            (60, ">1 min ago<", ">in 1 min<"),
            (7_300, ">2 h ago<", ">in 2 h<"),
            (86_400 * 3 + 1, ">3 d ago<", ">in 3 d<"),
            (86_400 * 60, ">2026-08-31<", ">2026-12-29<"),
        ];
        for (secs, past, future) in cases {
            assert!(ago(now.plus_secs(-secs), now).into_string().contains(past), "{secs}");
            assert!(in_future(now.plus_secs(secs), now).into_string().contains(future), "{secs}");
        }
        assert!(ago(now, now).into_string().contains("title=\"2026-10-30 07:20:00Z\""));
    }
}
