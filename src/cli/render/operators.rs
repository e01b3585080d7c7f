//! People who sign in as rows, and links for them.

use super::{Cell, Column, Shape};
use crate::cli::views::{Operator, OperatorLink, SignedOut};

/// A row for each person.
pub static OPERATORS: Shape<Operator> = Shape {
    columns: &[
        Column::in_files("id", |person| Cell::Id(person.id.to_string())),
        Column::new("name", "Name", |person| Cell::Text(person.name.clone())),
        Column::new("role", "Role", |person| Cell::Text(person.role.clone())),
        Column::new("last_login_at", "Last signed in", |person| {
            Cell::maybe(person.last_login_at, Cell::Minute)
        }),
        Column::new("sessions", "Sessions", |person| Cell::Count(person.sessions)),
        Column::new("created_at", "Since", |person| Cell::Minute(person.created_at)),
        Column::new("removed_at", "Removed", |person| Cell::maybe(person.removed_at, Cell::Minute)),
    ],
    none: "Nobody can sign in yet: the server printed a link for the first person when it was started.",
};

/// A link.
pub static LINK: Shape<OperatorLink> = Shape {
    columns: &[
        Column::new("link", "Link", |link| Cell::Id(link.link.clone())),
        Column::new("valid_until", "Until", |link| Cell::Second(link.valid_until)),
    ],
    none: "No link.",
};

/// Everybody was signed out.
pub static SIGNED_OUT: Shape<SignedOut> = Shape {
    columns: &[
        Column::new("signed_out", "Signed out", |_| Cell::Text("everybody".to_owned())),
        Column::new("position", "Position", |signed_out| Cell::Count(signed_out.position)),
    ],
    none: "Nobody.",
};
