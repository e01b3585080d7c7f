//! A key at a moment for a person: which event it is behind, the key as it was, what was first seen when.

use nemo_projections::replay::{Change, Mark, MarkKind};

use super::table::{of_pairs, with_headings};
use super::{Cell, key_detail, money, time};
use crate::cli::screen::Look;
use crate::cli::views::KeyThen;

/// Everything about a key at a moment that fits a page.
#[must_use]
pub fn page(then: &KeyThen, look: Look) -> String {
    let sections = [of_pairs(&moment(then), look), key_detail::page(&then.key, look), marks(then, look)];
    let sections: Vec<_> = sections.into_iter().filter(|section| !section.trim().is_empty()).collect();
    sections.join("\n")
}

fn moment(then: &KeyThen) -> Vec<(&'static str, Cell)> {
    let at = format!("@{} of @{}, {}", then.revision, then.head, time::to_the_second(then.recorded_at));
    let changes: Vec<_> = then.changes.iter().filter_map(|change| change.get().map(told)).collect();
    let since = then.head.saturating_sub(then.revision);
    let after = then.after.used;
    let later = format!(
        "{} events: {} calls ended, {} charged",
        money::grouped(since),
        money::grouped(after.calls),
        money::total(after.spend)
    );
    let mut pairs = vec![("State after", Cell::Text(at))];
    pairs.extend((!changes.is_empty()).then(|| ("It changed", Cell::Text(changes.join("; ")))));
    pairs.extend((since > 0).then_some(("Since then", Cell::Text(later))));
    pairs
}

fn told(change: &Change) -> String {
    match change {
        Change::Created => "the key was created".to_owned(),
        Change::Status { from, to } => format!("status {} → {}", word(from), word(to)),
        Change::Labels => "labels".to_owned(),
        Change::Limits => "limits".to_owned(),
        Change::Secrets => "secrets".to_owned(),
        Change::Spend { from, to } => format!("spend {} → {}", money::total(*from), money::total(*to)),
        Change::Held { from, to } => format!("held {} → {}", money::total(*from), money::total(*to)),
        Change::FirstAddress { value } => format!("first call from {value}"),
        Change::FirstUserAgent { value } => format!("first call by {value}"),
        Change::FirstModel { provider, value } => format!("first call of {value} at {provider}"),
        Change::Refused { count } => format!("{} refused", money::grouped(*count)),
        Change::FlaggedModels => "flagged models".to_owned(),
    }
}

/// A variant by its name in JSON.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn marks(then: &KeyThen, look: Look) -> String {
    let rows: Vec<_> =
        then.marks.iter().filter_map(|mark| mark.get()).map(|mark| row(mark, then.revision)).collect();
    if rows.is_empty() {
        return String::new();
    }
    with_headings(&["First seen", "Rev", "What", "", ""], &rows, look)
}

fn row(mark: &Mark, now: u64) -> Vec<Cell> {
    let kind = match mark.kind {
        MarkKind::Address => "address",
        MarkKind::UserAgent => "user agent",
        MarkKind::Model => "model",
    };
    let later = if mark.revision.0 > now { "later" } else { "" };
    vec![
        Cell::Second(mark.time),
        Cell::Id(mark.revision.to_string()),
        Cell::Text(kind.to_owned()),
        Cell::Text(mark.value.clone()),
        Cell::Text(later.to_owned()),
    ]
}
