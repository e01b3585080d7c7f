//! What cannot be undone is asked about first, where somebody can be asked; elsewhere it must be meant.

use clap::Args;

use crate::cli::exit::CommandError;
use crate::cli::screen::Screen;

/// Whether somebody has said that they mean it.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Do not ask whether it is meant; needed off a terminal
    #[arg(long, short = 'y')]
    pub yes: bool,
}

impl Consent {
    /// Whether to ask before going on.
    ///
    /// # Errors
    /// Where it was not said and nobody can be asked.
    pub fn must_ask(self, screen: &Screen) -> Result<bool, CommandError> {
        if self.yes {
            return Ok(false);
        }
        screen.can_ask().map(|()| true)
    }
}
