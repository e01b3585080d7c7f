//! Spend as rows.

use nemo_events::Usage;

use super::{Cell, Column, Shape};
use crate::cli::views::{Known, SpendGroup, SpendRow};

/// A row for each group, or for each group in each stretch of time.
pub static SPEND: Shape<SpendRow> = Shape {
    columns: &[
        Column::new("start", "Since", |row| Cell::maybe(row.start, Cell::Minute)),
        Column::in_tables("Group", |row| Cell::maybe(called(&row.group), Cell::Text)),
        Column::in_files("id", |row| Cell::maybe(row.group.id.clone(), Cell::Id)),
        Column::in_files("name", |row| Cell::maybe(row.group.name.clone(), Cell::Text)),
        Column::in_files("provider", |row| Cell::maybe(row.group.provider.clone(), Cell::Text)),
        Column::in_files("tags", |row| {
            Cell::maybe(row.group.tags.clone(), |tags| Cell::Text(tags.join(" ")))
        }),
        Column::new("calls", "Calls", |row| Cell::Count(row.total.calls)),
        Column::in_files("voided", |row| Cell::Count(row.total.voided)),
        Column::new("tokens_in", "In", |row| Cell::maybe(usage(row).map(Usage::tokens_in), Cell::Count)),
        Column::new("tokens_out", "Out", |row| Cell::maybe(usage(row).map(Usage::tokens_out), Cell::Count)),
        Column::new("estimated", "Estimated", |row| Cell::Count(row.total.estimated)),
        Column::new("unconfirmed", "Unconfirmed", |row| Cell::Count(row.total.unconfirmed)),
        Column::new("cost", "Cost", |row| Cell::Total(row.total.cost)),
    ],
    none: "Nothing was spent.",
};

fn usage(row: &SpendRow) -> Option<&Usage> {
    row.total.usage.as_ref().and_then(Known::get)
}

/// A group in one text; nothing for calls without the label.
fn called(group: &SpendGroup) -> Option<String> {
    if let Some(tags) = &group.tags {
        return (!tags.is_empty()).then(|| tags.join(", "));
    }
    match (&group.name, group.id.as_ref().or(group.provider.as_ref())) {
        (Some(name), Some(more)) => Some(format!("{name} ({more})")),
        (one, other) => one.as_ref().or(other).cloned(),
    }
}
