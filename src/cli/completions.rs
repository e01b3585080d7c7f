//! `nemo completions`: a script that teaches a shell the command tree.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::exit::CommandError;
use super::screen::Screen;

/// Print a script that completes commands in a shell
#[derive(Debug, Clone, Args)]
#[command(after_help = "Bash:  nemo completions bash > ~/.local/share/bash-completion/completions/nemo\n\
                        Zsh:   nemo completions zsh > \"${fpath[1]}/_nemo\"\n\
                        Fish:  nemo completions fish > ~/.config/fish/completions/nemo.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Where nobody takes it.
pub fn run(args: &CompletionsArgs) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nemo", &mut script);
    Screen::of_process().data(&String::from_utf8_lossy(&script))
}
