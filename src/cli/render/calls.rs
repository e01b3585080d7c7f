//! Calls as rows.

use nemo_events::Usage;

use super::{Cell, Column, Shape};
use crate::cli::views::{CallEnd, CallRow, Known};

/// A row for each call.
pub static CALLS: Shape<CallRow> = Shape {
    columns: &[
        Column::new("id", "Call", |call| Cell::Id(call.id.to_string())),
        Column::new("authorized_at", "Authorised", |call| Cell::Moment(call.authorized_at)),
        Column::in_files("endpoint", |call| Cell::text(call.endpoint.clone())),
        Column::new("provider", "Provider", |call| Cell::text(call.provider.clone())),
        Column::new("provider_model", "Model", |call| Cell::text(call.provider_model.clone())),
        Column::in_files("claims", |call| Cell::Text(call.claims.join(" "))),
        Column::new("state", "State", |call| Cell::Id(state(call.ended.as_ref()).to_owned())),
        Column::in_files("reason", |call| Cell::text(end(call, |end| end.reason.clone()))),
        Column::in_files("status", |call| count(end(call, |end| end.status.map(u64::from)))),
        Column::new("tokens_in", "In", |call| count(usage(call).map(Usage::tokens_in))),
        Column::new("tokens_out", "Out", |call| count(usage(call).map(Usage::tokens_out))),
        Column::in_files("hold", |call| call.hold.map_or(Cell::Nothing, Cell::OneCall)),
        Column::new("cost", "Cost", |call| {
            end(call, |end| Some(end.cost)).map_or(Cell::Nothing, Cell::OneCall)
        }),
        Column::in_files("duration_ms", |call| count(end(call, |end| end.duration_ms))),
    ],
    none: "No calls.",
};

/// Where a call stands, in the word that every view uses.
fn state(ended: Option<&CallEnd>) -> &str {
    let Some(end) = ended else { return "open" };
    match (end.outcome.as_str(), end.evidence.as_deref()) {
        _ if end.corrected_revision.is_some() => "corrected",
        ("forfeited", _) => "unconfirmed",
        ("settled", Some("estimated")) => "estimated",
        (outcome, _) => outcome,
    }
}

fn end<T>(call: &CallRow, read: impl FnOnce(&CallEnd) -> Option<T>) -> Option<T> {
    call.ended.as_ref().and_then(read)
}

fn usage(call: &CallRow) -> Option<&Usage> {
    call.ended.as_ref()?.usage.as_ref().and_then(Known::get)
}

fn count(number: Option<u64>) -> Cell {
    number.map_or(Cell::Nothing, Cell::Count)
}
