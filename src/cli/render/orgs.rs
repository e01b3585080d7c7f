//! Orgs as rows.

use super::keys::status;
use super::{Cell, Column, Shape};
use crate::cli::views::Org;

/// A row for each org.
pub static ORGS: Shape<Org> = Shape {
    columns: &[
        Column::new("id", "Org", |org| Cell::Id(org.id.to_string())),
        Column::new("name", "Name", |org| Cell::Text(org.name.clone())),
        Column::new("status", "Status", |org| status(&org.status)),
        Column::new("keys", "Keys", |org| Cell::maybe(org.keys, Cell::Count)),
        Column::new("created_at", "Created", |org| Cell::Minute(org.created_at)),
    ],
    none: "No orgs.",
};
