//! From one page of a list to the next. Cursors only lead on, so the way back is the browser's, or the beginning.

use maud::{Markup, html};

/// Links to the beginning, where this is not it, and to what follows, where anything does.
#[must_use]
pub fn pager(first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            footer {
                nav .pager aria-label="Pages of the list" {
                    @if let Some(first) = first { a .button.quiet href=(first) { "First page" } } @else { span {} }
                    @if let Some(next) = next { a .button.quiet href=(next) rel="next" { "Next page" } }
                }
            }
        }
    }
}
