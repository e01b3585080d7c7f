//! The command line. What speaks HTTP to a server (`keys`, `orgs`, `secrets`, `spend` …) is done here; what
//! serves or opens a data directory is parsed here and done elsewhere.
//!
//! - Data goes to stdout, words to stderr; off a terminal nothing is asked and nothing is coloured.
//! - No option takes a secret: the master key comes from a file, new keys are printed once.
//! - The exit code says what kind of thing went wrong: `exit.rs`.
//!
//! Where is …? Talking to the server: `client.rs`. From its answers to text: `render/`. What stands on
//! the command line: `values.rs`, `limits.rs`, and each command's own file.

pub mod calls;
pub mod client;
pub mod completions;
pub mod consent;
pub mod exit;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod local;
pub mod operators;
pub mod orgs;
pub mod output;
pub mod place;
pub mod prices;
pub mod progress;
pub mod reload;
pub mod remote;
pub mod render;
pub mod reply;
pub mod screen;
pub mod secret;
pub mod secrets;
pub mod spend;
pub mod values;
pub mod views;
pub mod webhooks;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use calls::CallsArgs;
pub use completions::CompletionsArgs;
pub use exit::{CommandError, Exit, finish};
pub use keys::KeysArgs;
pub use ledger::{AcceptEndArgs, BackupArgs, RebuildArgs, RestoreArgs, StatusArgs};
pub use local::{
    CopyArgs, DoctorArgs, InitArgs, LedgerArgs, LedgerCommand, ServeArgs, SimulateProviderArgs, VerifyArgs,
};
pub use operators::OperatorsArgs;
pub use orgs::OrgsArgs;
pub use output::Output;
pub use prices::PricesArgs;
pub use progress::Progress;
pub use reload::ReloadArgs;
pub use secrets::SecretsArgs;
pub use spend::SpendArgs;
pub use webhooks::WebhooksArgs;

use crate::cli::render::text::without_keys;

/// A key and spend ledger in front of LLM providers
#[derive(Debug, Parser)]
#[command(name = "nemo", version, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `nemo` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve inference and management
    Serve(ServeArgs),
    /// Write a configuration file, and make the data directory and its secrets if wanted
    Init(InitArgs),
    /// Look at everything that a gateway needs, and say what to do
    Doctor(DoctorArgs),
    /// What speaks HTTP to a server that runs.
    #[command(flatten)]
    Remote(RemoteCommand),
    /// The ledger on disk
    Ledger(LedgerArgs),
    /// Serve an invented provider that costs nothing, to try Nemo out
    SimulateProvider(SimulateProviderArgs),
    /// Print a script that completes commands in a shell
    Completions(CompletionsArgs),
}

/// What speaks HTTP to a server that runs.
#[derive(Debug, Subcommand)]
pub enum RemoteCommand {
    /// Virtual keys: create, list, show, limit, block, rotate, revoke
    Keys(KeysArgs),
    /// Orgs: create, list, show, rename, suspend, resume, archive
    Orgs(OrgsArgs),
    /// People who sign in: list, make links, give roles, sign out, remove
    Operators(OperatorsArgs),
    /// Master keys and peppers: rotate, retire, look
    Secrets(SecretsArgs),
    /// Calls: show one, correct what it is charged
    Calls(CallsArgs),
    /// What was spent: by job, key, model …, by day or month
    Spend(SpendArgs),
    /// Prices: what models cost
    Prices(PricesArgs),
    /// Webhooks: who is told of alerts, and whether they take a message
    Webhooks(WebhooksArgs),
    /// Read the configuration again: providers, their keys, prices and [calls]
    Reload(ReloadArgs),
}

impl Cli {
    /// Reads a command line. What is wrong with it, or the help that it asks for, is printed without
    /// repeating any key that somebody typed.
    ///
    /// # Errors
    /// The code to exit with.
    pub fn read<T: Into<OsString> + Clone>(args: impl IntoIterator<Item = T>) -> Result<Self, ExitCode> {
        Self::try_parse_from(args).map_err(|error| {
            let text = error.render().to_string();
            let safe = without_keys(&text);
            if safe == text {
                // Nothing can be told where not even the help can be printed.
                let _ = error.print();
            } else {
                exit::say(&safe);
            }
            u8::try_from(error.exit_code()).unwrap_or(Exit::Failed as u8).into()
        })
    }
}

/// Runs a command that speaks HTTP. What went wrong is told on stderr.
pub async fn run(command: RemoteCommand) -> ExitCode {
    finish(result_of(command).await.map_err(anyhow::Error::from))
}

async fn result_of(command: RemoteCommand) -> Result<(), CommandError> {
    match command {
        RemoteCommand::Keys(KeysArgs { remote, command }) => keys::run(command, &mut remote.open()?).await,
        RemoteCommand::Orgs(OrgsArgs { remote, command }) => orgs::run(command, &mut remote.open()?).await,
        RemoteCommand::Operators(OperatorsArgs { remote, command }) => {
            operators::run(command, &mut remote.open()?).await
        }
        RemoteCommand::Secrets(args) => secrets::run(args).await,
        RemoteCommand::Calls(CallsArgs { remote, command }) => calls::run(command, &mut remote.open()?).await,
        RemoteCommand::Spend(SpendArgs { remote, question }) => {
            spend::run(question, &mut remote.open()?).await
        }
        RemoteCommand::Prices(PricesArgs { remote, command }) => {
            prices::run(command, &mut remote.open()?).await
        }
        RemoteCommand::Webhooks(WebhooksArgs { remote, command }) => {
            webhooks::run(command, &mut remote.open()?).await
        }
        RemoteCommand::Reload(ReloadArgs { remote }) => reload::run(&mut remote.open()?).await,
    }
}
