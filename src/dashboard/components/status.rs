//! A status: a word and a dot, never colour alone.

use maud::{Markup, html};

/// How a status bears on whoever looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth knowing.
    Info,
    /// Somebody may want to look.
    Warning,
    /// It does not work, or something is wrong.
    Bad,
    /// Over, or of no consequence.
    Ended,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Ended => "ended",
        }
    }
}

/// A word with a dot.
#[must_use]
pub fn status(word: &str, tone: Tone) -> Markup {
    html! { span .status .(tone.class()) { (word) } }
}
