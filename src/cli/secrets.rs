//! `nemo secrets`: master keys and peppers. They are changed on disk, in the server's own secrets directory, so
//! that no new secret ever travels; a running server follows by itself, and these commands wait for it.

mod create;
mod leaked;
mod leaked_keys;
mod peppers;
mod rotate;
mod status;
mod take_up;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use leaked::LeakedArgs;
pub use peppers::RetireArgs;
pub use rotate::RotateMasterKeyArgs;

use crate::auth::secret_files::SecretsError;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::remote::RemoteOptions;

/// Master keys and peppers: rotate, retire, look
#[derive(Debug, Args)]
pub struct SecretsArgs {
    /// Where the server keeps its secrets
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "NEMO_SECRETS_DIR",
        hide_env_values = true,
        default_value = "nemo-data/secrets"
    )]
    pub secrets_dir: PathBuf,
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: SecretsCommand,
}

/// What can be done with master keys and peppers.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Make the secrets of a new ledger on a server, for all its nodes
    Create,
    /// List master keys and peppers: which are in force, and how many keys need which pepper
    Status,
    /// Replace the master key; the one before works on for a while
    RotateMasterKey(RotateMasterKeyArgs),
    /// Replace a master key that leaked at once, list what was done with it, and block or rotate what it made
    MasterKeyLeaked(LeakedArgs),
    /// Make a new pepper the current one; keys change over to it as they make calls
    AddPepper,
    /// Take a pepper out of use that no key needs any more
    RetirePepper(RetireArgs),
}

/// Runs a command on secrets.
///
/// # Errors
/// Why it did not work.
pub async fn run(args: SecretsArgs) -> Result<(), CommandError> {
    let SecretsArgs { secrets_dir: dir, remote, command } = args;
    match command {
        SecretsCommand::Create => create::create(&dir),
        SecretsCommand::Status => status::status(&mut remote.open()?).await,
        SecretsCommand::RotateMasterKey(args) => rotate::rotate(args, &dir, remote).await,
        SecretsCommand::MasterKeyLeaked(args) => leaked::leaked(args, &dir, remote).await,
        SecretsCommand::AddPepper => peppers::add(&dir, &mut remote.open()?).await,
        SecretsCommand::RetirePepper(args) => peppers::retire(args, &dir, &mut remote.open()?).await,
    }
}

/// A directory that cannot be read or changed, in a command's words.
fn of_disk(error: SecretsError) -> CommandError {
    let exit = match error {
        SecretsError::NoDirectory { .. } | SecretsError::NoSuchPepper { .. } => Exit::NotFound,
        SecretsError::Taken { .. } | SecretsError::NoDirectoryFor { .. } => Exit::Usage,
        _ => Exit::Failed,
    };
    let next = matches!(error, SecretsError::NoDirectory { .. })
        .then(|| "Name the server's secrets directory with --secrets-dir or NEMO_SECRETS_DIR.".to_owned());
    CommandError::new(exit, format!("{:#}.", anyhow::Error::from(error))).next(next)
}
