//! Keys and ids as people recognise them.

use maud::{Markup, html};
use nemo_events::KeyId;

/// A key by its name, which leads to its page, and the last four characters of its secret.
#[must_use]
pub fn key_label(id: KeyId, name: &str, last_four: &str) -> Markup {
    html! {
        span .key-label {
            a href={ "/keys/" (id) } title=(id) { (name) } " " span .hint-of-secret.mono { "…" (last_four) }
        }
    }
}

/// What is shown of a secret after it was made.
#[must_use]
pub fn secret_hint(last_four: &str) -> Markup {
    html! { code .nowrap { "sk-nemo-…" (last_four) } }
}

/// An id or another text to copy. The button comes to life where scripts run.
#[must_use]
pub fn copyable(text: &str, what: &str) -> Markup {
    html! {
        span .copyable {
            code { (text) }
            button .quiet type="button" data-copy=(text) aria-label={ "Copy " (what) } hidden { "Copy" }
        }
    }
}
