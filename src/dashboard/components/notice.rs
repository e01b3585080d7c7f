//! What a page says when there is nothing to show, when something is wrong, and when something is to be known.

use maud::{Markup, html};

use super::Tone;
use crate::figures::money::grouped;

/// A box with a title and what follows from it.
#[must_use]
pub fn notice(tone: Tone, title: &str, content: &Markup) -> Markup {
    let role = if tone == Tone::Bad { "alert" } else { "note" };
    html! { div .notice .(tone.class()) role=(role) { strong { (title) } (content) } }
}

/// There is nothing yet: why that is so, and what to do first.
#[must_use]
pub fn empty(title: &str, why: &Markup, action: &Markup) -> Markup {
    html! { div .nothing { h2 { (title) } (why) (action) } }
}

/// There is something, and nothing of it matches what was asked for.
#[must_use]
pub fn no_match(what: &str, all: &str) -> Markup {
    html! {
        div .nothing {
            h2 { "Nothing matches" }
            p { "No " (what) " matches these filters." }
            p { a href=(all) { "Show all" } }
        }
    }
}

/// What is shown lags behind the ledger: how far each has got. Nothing where it does not.
#[must_use]
pub fn stale(shown: Option<u64>, ledger: Option<u64>) -> Option<Markup> {
    let (shown, ledger) = (shown.unwrap_or_default(), ledger.unwrap_or_default());
    (shown < ledger).then(|| {
        let text = html! {
            p {
                "It shows the ledger as it was at position " (grouped(shown)) "; the ledger has got to "
                (grouped(ledger)) ". Calls and changes are not affected."
            }
        };
        notice(Tone::Info, "This list is catching up", &text)
    })
}
