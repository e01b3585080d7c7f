//! What a key cost, hour by hour: columns, and the same figures as a table.

use maud::{Markup, html};
use nemo_events::time::MICROS_PER_SEC;
use nemo_events::{KeyId, Nanos, Timestamp};
use nemo_read_model::{Every, SpendFilter, SpendQuery};

use crate::dashboard::components::{Column, count, table, total};
use crate::figures::{money, time};
use crate::management::asked::Asked;

/// Hours that are shown: two days, today's hour included.
const HOURS: usize = 48;
const HOUR_SECS: i64 = 3_600;
/// Height of the drawing in its own units.
const HEIGHT: i64 = 1_000;

/// One hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hour {
    start: Timestamp,
    cost: Nanos,
    calls: u64,
}

/// The hours up to a moment; `None` where lists cannot be read just now.
pub(super) struct Cost(Option<Vec<Hour>>);

/// Adds up what calls cost that were authorised in each of the hours before a moment, and in its own.
pub(super) async fn of_key(asked: &Asked, key: KeyId, until: Timestamp) -> Cost {
    let hours = hours_until(until);
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else { return Cost(None) };
    let query = SpendQuery {
        every: Every::Hour,
        from: Some(first.start),
        to: Some(last.start.plus_secs(HOUR_SECS)),
        filter: SpendFilter { key: Some(key), ..SpendFilter::default() },
        ..SpendQuery::default()
    };
    let found = asked.app().read_side.read(move |reader| reader.spend(&query)).await;
    Cost(found.ok().map(|found| {
        let of = |start| found.value.rows.iter().find(|row| row.start == Some(start)).map(|row| row.sums);
        let filled = hours.into_iter().map(|hour| {
            of(hour.start).map_or(hour, |sums| Hour { cost: sums.cost, calls: sums.calls, ..hour })
        });
        filled.collect()
    }))
}

fn hours_until(until: Timestamp) -> Vec<Hour> {
    let whole = HOUR_SECS.saturating_mul(MICROS_PER_SEC);
    let last = Timestamp::from_micros(until.as_micros().div_euclid(whole).saturating_mul(whole));
    let back = (0..HOURS as i64).rev();
    let hour = |back: i64| Hour {
        start: last.plus_secs(back.saturating_mul(-HOUR_SECS)),
        cost: Nanos::ZERO,
        calls: 0,
    };
    back.map(hour).collect()
}

/// The card.
pub(super) fn section(cost: &Cost) -> Markup {
    html! {
        section .card.cost aria-labelledby="cost-heading" {
            header { h2 #cost-heading { "Cost per hour" } p .muted.small { "48 hours, UTC; a call counts where it was authorised" } }
            @match &cost.0 {
                None => p .muted { "This cannot be told just now: lists and reports are being rebuilt. Calls and changes are not affected." },
                Some(hours) => (drawn(hours)),
            }
        }
    }
}

fn drawn(hours: &[Hour]) -> Markup {
    let top = hours.iter().map(|hour| hour.cost).max().unwrap_or_default();
    let sum = hours.iter().fold(Nanos::ZERO, |sum, hour| sum.checked_add(hour.cost).unwrap_or(Nanos::MAX));
    let used: Vec<&Hour> = hours.iter().rev().filter(|hour| hour.calls > 0).collect();
    let said = format!(
        "Cost per hour, 48 hours, {} in all; the dearest hour {}.",
        money::total(sum),
        money::total(top)
    );
    let columns = [Column::text("Hour"), Column::number("Calls"), Column::number("Cost")];
    let rows = html! {
        @for hour in &used { tr { td .nowrap { (time::to_the_minute(hour.start)) } td .number { (count(hour.calls)) } td .number { (total(hour.cost)) } } }
        tr .sum { th scope="row" { "All" } td .number { (count(used.iter().fold(0, |sum, hour| sum.saturating_add(hour.calls)))) } td .number { (total(sum)) } }
    };
    html! {
        @if used.is_empty() { p .muted { "No call ended in these two days." } }
        @else {
            div .hours {
                div .amounts aria-hidden="true" { span { (money::total(top)) } span { "$0.00" } }
                svg role="img" aria-label=(said) viewBox={ "0 0 " (hours.len().saturating_mul(10)) " " (HEIGHT) } preserveAspectRatio="none" {
                    @for (n, hour) in hours.iter().enumerate() {
                        @let height = height(hour.cost, top);
                        rect .column x=(n.saturating_mul(10).saturating_add(1)) y=(HEIGHT.saturating_sub(height)) width="8" height=(height) {
                            title { (time::to_the_minute(hour.start)) ": " (money::total(hour.cost)) ", " (money::grouped(hour.calls)) " calls" }
                        }
                    }
                }
                @if let (Some(first), Some(last)) = (hours.first(), hours.last()) {
                    div .ends aria-hidden="true" { span { (time::to_the_minute(first.start)) } span { (time::to_the_minute(last.start)) } }
                }
            }
            details { summary { "Show as table" } (table("Cost of each hour", &columns, &rows)) }
        }
    }
}

/// At least a line for whatever cost anything.
fn height(cost: Nanos, top: Nanos) -> i64 {
    let (cost, top) = (i128::from(cost.as_nanos().max(0)), i128::from(top.as_nanos().max(1)));
    let drawn = cost.saturating_mul(HEIGHT.into()) / top;
    i64::try_from(drawn).unwrap_or(HEIGHT).max(if cost > 0 { HEIGHT / 100 } else { 0 })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    #[test]
    fn the_last_hour_is_the_one_that_goes_on() {
        let hours = hours_until("2026-11-22T10:59:59Z".parse().unwrap());
        assert_eq!(hours.len(), HOURS);
        assert_eq!(hours.last().unwrap().start, "2026-11-22T10:00:00Z".parse().unwrap());
        assert_eq!(hours.first().unwrap().start, "2026-11-20T11:00:00Z".parse().unwrap());
    }

    #[test]
    fn the_smallest_cost_shows_and_nothing_does_not() {
        assert_eq!(height(Nanos::from_nanos(1), Nanos::MAX), HEIGHT / 100);
        assert_eq!(height(Nanos::ZERO, Nanos::MAX), 0);
        assert_eq!(height(Nanos::MAX, Nanos::MAX), HEIGHT);
    }
}
