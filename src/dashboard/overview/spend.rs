//! What was spent: this month beside the last one, and by job and day.

use std::collections::BTreeMap;

use maud::{Markup, html};
use nemo_events::Nanos;
use nemo_events::Timestamp;

use crate::dashboard::Fields;
use crate::dashboard::components::{Chart, Moment, SERIES_MAX, Series};
use crate::figures::money;
use crate::management::overview::Overview;

const DAY_SECS: i64 = 86_400;

/// This month's days that are over beside the same days of last month.
pub(super) fn compared(found: &Overview) -> Markup {
    let Some(compared) = &found.compared else {
        return html! { "The month's first day is not over yet." };
    };
    let (this, last) = (compared.this.cost, compared.last.cost);
    let days = compared.days;
    let title = format!(
        "The first {days} days of the month: {} this month, {} last month. Today is not in it.",
        money::total(this),
        money::total(last),
    );
    html! {
        span title=(title) {
            (change(this, last)) @if last > Nanos::ZERO { " the same days last month (" (money::total(last)) ")" }
        }
    }
}

/// `12% more than`
fn change(this: Nanos, last: Nanos) -> String {
    let (this, last) = (i128::from(this.as_nanos()), i128::from(last.as_nanos()));
    if last <= 0 {
        return "Nothing was spent in the same days last month".to_owned();
    }
    let percent = (this.saturating_sub(last).abs().saturating_mul(100).saturating_add(last / 2)) / last;
    match (this.cmp(&last), percent) {
        (_, 0) => "As much as in".to_owned(),
        (std::cmp::Ordering::Less, percent) => format!("{percent}% less than in"),
        (_, percent) => format!("{percent}% more than in"),
    }
}

/// The chart of days by job.
pub(super) fn show(found: &Overview) -> Markup {
    let chart = chart(found);
    html! {
        header { h2 #spend-heading { "Spend by job" } }
        @if found.days.is_empty() {
            p .muted { "No call ended in the last 30 days. Each is shown here once it is billed." }
        } @else {
            (chart.show())
        }
    }
}

fn chart(found: &Overview) -> Chart<'static> {
    let moments: Vec<Timestamp> = days(found.days_from, found.now);
    let mut jobs: BTreeMap<Option<&str>, Vec<Nanos>> = BTreeMap::new();
    for row in &found.days {
        let at = row.day.micros_since(found.days_from) / (DAY_SECS * nemo_events::time::MICROS_PER_SEC);
        let amounts = jobs.entry(row.job.as_deref()).or_insert_with(|| vec![Nanos::ZERO; moments.len()]);
        if let Some(amount) = usize::try_from(at).ok().and_then(|at| amounts.get_mut(at)) {
            *amount = amount.checked_add(row.sums.cost).unwrap_or(Nanos::MAX);
        }
    }
    let mut series: Vec<(Nanos, Series)> =
        jobs.into_iter().map(|(job, amounts)| of_job(job, amounts)).collect();
    series.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    let mut series: Vec<Series> = series.into_iter().map(|(_, series)| series).collect();
    let rest = (series.len() > SERIES_MAX).then(|| together(&series.split_off(SERIES_MAX)));
    let moments = moments.into_iter().map(|day| {
        let full = day.to_datetime().format("%Y-%m-%d").to_string();
        Moment { short: full.get(5..).unwrap_or_default().to_owned(), full }
    });
    Chart {
        id: "spend",
        title: "Spend by job and day",
        layer: "Job",
        moments: moments.collect(),
        series,
        rest,
    }
}

fn days(from: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let mut days = Vec::new();
    let mut day = from;
    while day <= now {
        days.push(day);
        day = day.plus_secs(DAY_SECS);
    }
    days
}

fn of_job(job: Option<&str>, amounts: Vec<Nanos>) -> (Nanos, Series) {
    let whole = amounts.iter().fold(Nanos::ZERO, |sum, more| sum.checked_add(*more).unwrap_or(Nanos::MAX));
    let href = job.map(|job| Fields::default().with("job", Some(job)).to_url("/keys"));
    (whole, Series { name: job.unwrap_or("No job").to_owned(), href, amounts })
}

fn together(series: &[Series]) -> Series {
    let length = series.iter().map(|series| series.amounts.len()).max().unwrap_or_default();
    let at = |at: usize| {
        series
            .iter()
            .filter_map(|series| series.amounts.get(at))
            .fold(Nanos::ZERO, |sum, more| sum.checked_add(*more).unwrap_or(Nanos::MAX))
    };
    Series {
        name: format!("Other ({} jobs)", series.len()),
        href: None,
        amounts: (0..length).map(at).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(amount: i64) -> Nanos {
        Nanos::from_nanos(amount * 1_000_000_000)
    }

    #[test]
    fn a_change_is_told_in_percent_where_there_is_something_to_compare_with() {
        for (this, last, text) in [
            (112, 100, "12% more than in"),
            (88, 100, "12% less than in"),
            (1001, 1000, "As much as in"),
            (0, 0, "Nothing was spent in the same days last month"),
            (5, 0, "Nothing was spent in the same days last month"),
            (0, 5, "100% less than in"),
        ] {
            assert_eq!(change(dollars(this), dollars(last)), text);
        }
    }
}
