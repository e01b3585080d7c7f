//! Keys as rows.

use nemo_events::limits::WindowKind;

use super::{Cell, Column, Shape, Tone, money};
use crate::cli::views::{KeyRow, Labels, Limits};

/// A row for each key.
pub static KEYS: Shape<KeyRow> = Shape {
    columns: &[
        Column::new("id", "Key", |key| Cell::Id(key.id.to_string())),
        Column::new("name", "Name", |key| Cell::Text(key.labels.name.clone())),
        Column::in_files("last_four", |key| Cell::Id(key.last_four.clone())),
        Column::new("status", "Status", |key| status(&key.status)),
        Column::in_files("org", |key| Cell::Id(key.org.to_string())),
        Column::in_tables("App / job", |key| Cell::maybe(app_and_job(&key.labels), Cell::Text)),
        Column::in_files("app", |key| Cell::maybe(key.labels.app.clone(), Cell::Text)),
        Column::in_files("job", |key| Cell::maybe(key.labels.job.clone(), Cell::Text)),
        Column::new("env", "Env", |key| Cell::maybe(key.labels.env.clone(), Cell::Text)),
        Column::in_files("cost_centre", |key| Cell::maybe(key.labels.cost_centre.clone(), Cell::Text)),
        Column::in_files("tags", |key| Cell::Text(key.labels.tags.join(" "))),
        Column::in_files("unlimited", |key| Cell::Id(key.limits.unlimited.to_string())),
        Column::in_files("budget_total", |key| Cell::maybe(key.limits.cap(WindowKind::Total), Cell::Total)),
        Column::in_files("budget_day", |key| Cell::maybe(key.limits.cap(WindowKind::Day), Cell::Total)),
        Column::in_files("budget_week", |key| Cell::maybe(key.limits.cap(WindowKind::Week), Cell::Total)),
        Column::in_files("budget_month", |key| Cell::maybe(key.limits.cap(WindowKind::Month), Cell::Total)),
        Column::in_tables("Budgets", |key| Cell::Text(budgets(&key.limits))),
        Column::new("spend", "Spent", |key| Cell::Total(key.spend)),
        Column::in_files("held", |key| Cell::Total(key.held)),
        Column::in_files("calls", |key| Cell::Count(key.calls)),
        Column::in_files("open_calls", |key| Cell::Count(key.open_calls)),
        Column::new("last_used_at", "Last used", |key| Cell::maybe(key.last_used_at, Cell::Minute)),
        Column::new("expires_at", "Expires", |key| Cell::maybe(key.limits.expires_at, Cell::Minute)),
        Column::in_files("created_at", |key| Cell::Minute(key.created_at)),
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

fn app_and_job(labels: &Labels) -> Option<String> {
    let named: Vec<_> = [&labels.app, &labels.job].into_iter().flatten().map(String::as_str).collect();
    (!named.is_empty()).then(|| named.join(" / "))
}

/// All caps in a few words.
fn budgets(limits: &Limits) -> String {
    if limits.unlimited {
        return "no cap".to_owned();
    }
    let caps = limits.budgets.iter().map(|cap| format!("{} {}", cap.window, money::total(cap.limit)));
    caps.collect::<Vec<_>>().join(", ")
}
