//! Calls as rows.

use nemo_events::Usage;

use super::{Cell, Column, Shape};
use crate::cli::views::{CallRow, CorrectedRow, Known};

/// A row for each call.
pub static CALLS: Shape<CallRow> = Shape {
    columns: &[
        Column::new("id", "Call", |call| Cell::Id(call.id.to_string())),
        Column::in_files("key", |call| Cell::maybe(call.key, |key| Cell::Id(key.to_string()))),
        Column::new("authorized_at", "Authorised", |call| Cell::Second(call.authorized_at)),
        Column::in_files("endpoint", |call| Cell::maybe(call.endpoint.clone(), Cell::Text)),
        Column::new("provider", "Provider", |call| Cell::maybe(call.provider.clone(), Cell::Text)),
        Column::new("provider_model", "Model", |call| Cell::maybe(call.provider_model.clone(), Cell::Text)),
        Column::in_files("tags", |call| Cell::Text(call.tags.join(" "))),
        Column::new("state", "State", |call| Cell::Id(state(call).to_owned())),
        Column::in_files("reason", |call| Cell::maybe(call.reason.clone(), Cell::Text)),
        Column::in_files("status", |call| Cell::maybe(call.status.map(u64::from), Cell::Count)),
        Column::new("tokens_in", "In", |call| Cell::maybe(usage(call).map(Usage::tokens_in), Cell::Count)),
        Column::new("tokens_out", "Out", |call| Cell::maybe(usage(call).map(Usage::tokens_out), Cell::Count)),
        Column::in_files("hold", |call| Cell::maybe(call.hold, Cell::OneCall)),
        Column::new("cost", "Cost", |call| Cell::maybe(call.cost, Cell::OneCall)),
        Column::in_files("ended_at", |call| Cell::maybe(call.ended_at, Cell::Second)),
        Column::in_files("duration_ms", |call| Cell::maybe(call.duration_ms, Cell::Count)),
    ],
    none: "No calls.",
};

/// A row for each correction.
pub static CORRECTIONS: Shape<CorrectedRow> = Shape {
    columns: &[
        Column::new("call", "Call", |row| Cell::Id(row.call.to_string())),
        Column::new("key", "Key", |row| Cell::Id(row.key.to_string())),
        Column::new("charged_before", "Before", |row| Cell::OneCall(row.charged_before)),
        Column::new("charged", "Charged", |row| Cell::OneCall(row.charged)),
        Column::in_files("revision", |row| Cell::maybe(row.revision, |revision| Cell::Count(revision.0))),
    ],
    none: "Nothing was corrected.",
};

/// Where a call stands, in the word that every view uses.
pub(super) fn state(call: &CallRow) -> &str {
    match (call.outcome.as_str(), call.evidence.as_deref()) {
        _ if call.corrected_revision.is_some() => "corrected",
        ("forfeited", _) => "unconfirmed",
        ("settled", Some("estimated")) => "estimated",
        (outcome, _) => outcome,
    }
}

fn usage(call: &CallRow) -> Option<&Usage> {
    call.usage.as_ref().and_then(Known::get)
}
