//! Keys as rows.

use nemo_events::limits::WindowKind;

use super::{Cell, Column, Shape, Tone, money};
use crate::cli::views::{KeyRow, Limits};

/// A row for each key.
pub static KEYS: Shape<KeyRow> = Shape {
    columns: &[
        Column::new("id", "Key", |key| Cell::Id(key.id.to_string())),
        Column::new("name", "Name", |key| Cell::Text(key.labels.name.clone())),
        Column::in_files("last_four", |key| Cell::Id(key.last_four.clone())),
        Column::new("status", "Status", |key| status(&key.status)),
        Column::in_files("org", |key| Cell::Id(key.org.to_string())),
        Column::new("app", "App", |key| Cell::text(key.labels.app.clone())),
        Column::new("job", "Job", |key| Cell::text(key.labels.job.clone())),
        Column::new("env", "Env", |key| Cell::text(key.labels.env.clone())),
        Column::in_files("cost_centre", |key| Cell::text(key.labels.cost_centre.clone())),
        Column::in_files("tags", |key| Cell::Text(key.labels.tags.join(" "))),
        Column::in_files("unlimited", |key| Cell::Id(key.limits.unlimited.to_string())),
        Column::in_files("budget_total", |key| Cell::total(key.limits.cap(WindowKind::Total))),
        Column::in_files("budget_day", |key| Cell::total(key.limits.cap(WindowKind::Day))),
        Column::in_files("budget_week", |key| Cell::total(key.limits.cap(WindowKind::Week))),
        Column::in_files("budget_month", |key| Cell::total(key.limits.cap(WindowKind::Month))),
        Column::in_tables("Budgets", |key| Cell::Text(budgets(&key.limits))),
        Column::new("spend", "Spent", |key| Cell::Total(key.spend)),
        Column::in_files("held", |key| Cell::Total(key.held)),
        Column::in_files("calls", |key| Cell::Count(key.calls)),
        Column::in_files("open_calls", |key| Cell::Count(key.open_calls)),
        Column::new("last_used_at", "Last used", |key| Cell::moment(key.last_used_at)),
        Column::new("expires_at", "Expires", |key| Cell::moment(key.limits.expires_at)),
        Column::in_files("created_at", |key| Cell::Moment(key.created_at)),
    ],
    none: "No keys.",
};

/// A key's status.
#[must_use]
pub fn status(word: &str) -> Cell {
    let tone = match word {
        "active" => Tone::Good,
        "revoked" | "archived" => Tone::Ended,
        _ => Tone::Warning,
    };
    Cell::Status(word.to_owned(), tone)
}

/// All caps in a few words.
fn budgets(limits: &Limits) -> String {
    if limits.unlimited {
        return "no cap".to_owned();
    }
    let caps = limits.budgets.iter().map(|cap| format!("{} {}", cap.window, money::total(cap.limit)));
    caps.collect::<Vec<_>>().join(", ")
}
