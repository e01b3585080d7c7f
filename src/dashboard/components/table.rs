//! Tables. Wide ones scroll by themselves, so that the page never does.

use maud::{Markup, html};

/// A column's heading.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What it says; empty for a column of buttons or ticks, which then needs `said`.
    pub heading: &'static str,
    /// What is said of a column that shows no heading.
    pub said: &'static str,
    /// Figures are aligned by their last digit.
    pub is_number: bool,
}

impl Column {
    /// A column of texts.
    #[must_use]
    pub const fn text(heading: &'static str) -> Self {
        Self { heading, said: "", is_number: false }
    }

    /// A column of figures.
    #[must_use]
    pub const fn number(heading: &'static str) -> Self {
        Self { heading, said: "", is_number: true }
    }

    /// A column whose cells speak for themselves.
    #[must_use]
    pub const fn unseen(said: &'static str) -> Self {
        Self { heading: "", said, is_number: false }
    }
}

/// A table: its name for those who do not see it, its columns, and its rows (`tr`).
#[must_use]
pub fn table(name: &str, columns: &[Column], rows: &Markup) -> Markup {
    html! {
        div .table role="group" aria-label=(name) tabindex="0" {
            table {
                thead {
                    tr {
                        @for column in columns {
                            th scope="col" .number[column.is_number] {
                                @if column.heading.is_empty() { span .out-of-sight { (column.said) } }
                                @else { (column.heading) }
                            }
                        }
                    }
                }
                tbody { (rows) }
            }
        }
    }
}
