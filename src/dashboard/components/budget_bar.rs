//! How much of a budget is used: a bar, and the same in figures.

use maud::{Markup, html};
use nemo_events::Nanos;

use super::money::total;

/// From this share on, in percent, somebody may want to look.
const WARNS_FROM: u64 = 80;

/// A budget and what is used of it.
#[derive(Debug, Clone, Copy)]
pub struct Spending<'a> {
    /// Which budget: `this month`.
    pub label: &'a str,
    /// The cap.
    pub limit: Nanos,
    /// What ended calls are charged.
    pub settled: Nanos,
    /// What open calls hold.
    pub held: Nanos,
}

impl Spending<'_> {
    /// The share that is used, holds included, in percent, rounded down: 100 only where nothing is left.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let used = self.settled.checked_add(self.held).unwrap_or(Nanos::MAX);
        share(used, self.limit)
    }
}

/// A bar with its figures.
#[must_use]
pub fn budget_bar(spending: &Spending<'_>) -> Markup {
    let percent = spending.percent();
    let (settled, used) = (share(spending.settled, spending.limit).min(100), percent.min(100));
    let tone = match percent {
        0..WARNS_FROM => "",
        WARNS_FROM..100 => "warning",
        _ => "over",
    };
    html! {
        div .budget {
            svg aria-hidden="true" preserveAspectRatio="none" viewBox="0 0 100 6" {
                rect .track x="0" y="0" width="100" height="6" rx="1" {}
                @if used > settled { rect .held .(tone) x="0" y="0" width=(used) height="6" rx="1" {} }
                @if settled > 0 { rect .fill .(tone) x="0" y="0" width=(settled) height="6" rx="1" {} }
            }
            div .of {
                span { (total(spending.settled)) " of " (total(spending.limit)) " " (spending.label) }
                span .number { (percent) "%" }
            }
        }
    }
}

fn share(part: Nanos, whole: Nanos) -> u64 {
    let (part, whole) = (part.as_nanos().max(0).unsigned_abs(), whole.as_nanos().max(0).unsigned_abs());
    if whole == 0 {
        return 100;
    }
    let percent = u128::from(part) * 100 / u128::from(whole);
    u64::try_from(percent).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spending(settled: i64, held: i64, limit: i64) -> Spending<'static> {
        let nanos = |dollars: i64| Nanos::from_nanos(dollars * 1_000_000_000);
        Spending { label: "today", limit: nanos(limit), settled: nanos(settled), held: nanos(held) }
    }

    #[test]
    fn a_bar_is_full_only_where_nothing_is_left() {
        for (settled, held, limit, percent) in
            [(0, 0, 10, 0), (999, 0, 1000, 99), (5, 5, 10, 100), (106, 0, 100, 106), (0, 0, 0, 100)]
        {
            assert_eq!(spending(settled, held, limit).percent(), percent);
        }
        assert_eq!(share(Nanos::MAX, Nanos::from_nanos(1)), u64::MAX);
    }

    #[test]
    fn a_bar_says_the_same_in_figures() {
        let html = budget_bar(&spending(8, 1, 10)).into_string();
        assert!(html.contains("$8.00") && html.contains("90%") && html.contains("warning"), "{html}");
        assert!(budget_bar(&spending(1, 0, 0)).into_string().contains("over"));
    }
}
