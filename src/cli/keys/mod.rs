//! `nemo keys`: everything about virtual keys that the management API can do.

mod change;
mod follow;
mod issue;
mod people;
mod read;
mod replay;

use clap::{Args, Subcommand};
use nemo_events::KeyId;

pub use change::{Clear, EndArgs, LimitsArgs, ReasonArgs, RelabelArgs, RemovableLabel, Retire};
pub use issue::{CreateArgs, RotateArgs, Target};
pub use read::{CallsArgs, ListArgs, StatusValue, TimelineArgs};
pub use replay::{At, ReplayArgs};

use crate::cli::exit::CommandError;
use crate::cli::remote::{RemoteOptions, Session};
use crate::cli::values::key_id;

/// Virtual keys: create, list, show, limit, block, rotate, revoke
#[derive(Debug, Args)]
pub struct KeysArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What can be done with virtual keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Create a key and print it, once
    Create(Box<CreateArgs>),
    /// List keys, newest first
    List(ListArgs),
    /// Show one key: what it may do, what it spent, what is left
    Show(KeyArg),
    /// Change what a key is for
    Relabel(RelabelArgs),
    /// Change what a key may do
    Limits(Box<LimitsArgs>),
    /// Refuse a key until it is unblocked
    Block(ReasonArgs),
    /// Let a blocked key work again
    Unblock(KeyArg),
    /// Give a key a new secret and print it, once
    Rotate(RotateArgs),
    /// Stop an earlier secret of a key before its overlap ends
    RetireSecret(Retire),
    /// Let a key call a model again that a provider billed above its hold
    ClearModel(Clear),
    /// Revoke a key, for good
    Revoke(EndArgs),
    /// List a key's calls, newest first
    Calls(CallsArgs),
    /// List all that happened to a key, oldest first
    Timeline(TimelineArgs),
    /// Show a key as it was behind any of its events, and what came after
    Replay(ReplayArgs),
}

/// Which key.
#[derive(Debug, Args)]
pub struct KeyArg {
    /// The key's id, with or without its key_
    #[arg(value_name = "KEY", value_parser = key_id)]
    pub key: KeyId,
}

impl KeyArg {
    /// The digits of the id, for paths.
    #[must_use]
    pub fn text(&self) -> String {
        self.key.to_string()
    }
}

/// Runs a command on keys.
///
/// # Errors
/// Why it did not work.
pub async fn run(command: KeysCommand, session: &mut Session) -> Result<(), CommandError> {
    match command {
        KeysCommand::Create(args) => issue::create(*args, session).await,
        KeysCommand::List(args) => read::list(args, session).await,
        KeysCommand::Show(key) => read::show(&key, session).await,
        KeysCommand::Relabel(args) => change::relabel(args, session).await,
        KeysCommand::Limits(args) => change::limits(*args, session).await,
        KeysCommand::Block(args) => change::block(&args, session).await,
        KeysCommand::Unblock(key) => change::unblock(&key, session).await,
        KeysCommand::Rotate(args) => issue::rotate(args, session).await,
        KeysCommand::RetireSecret(args) => change::retire_secret(&args, session).await,
        KeysCommand::ClearModel(args) => change::clear_model(&args, session).await,
        KeysCommand::Revoke(args) => change::revoke(&args, session).await,
        KeysCommand::Calls(args) => read::calls(&args, session).await,
        KeysCommand::Timeline(args) => read::timeline(&args, session).await,
        KeysCommand::Replay(args) => replay::replay(&args, session).await,
    }
}
