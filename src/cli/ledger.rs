//! Options of `nemo ledger backup` and the like. What its commands do is not the command line's.

use std::path::PathBuf;

use clap::Args;
use nemo_events::Position;

use super::consent::Consent;
use super::output::Output;
use super::remote::RemoteOptions;

/// Which ledger to look at.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Asks the node that serves. With --data-dir, a stopped directory is opened and checked."
)]
pub struct StatusArgs {
    /// A data directory that no node serves
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The node that serves.
    #[command(flatten)]
    pub remote: RemoteOptions,
}

/// What is backed up, and where to.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Reads from the node that serves. With --data-dir, from a stopped directory.\n\
                        Peppers, master keys and provider keys are not in a backup: keep a copy of them apart.")]
pub struct BackupArgs {
    /// The backup's directory: a new one, or an earlier backup of the same ledger, which goes on
    #[arg(value_name = "BACKUP")]
    pub to: PathBuf,
    /// A data directory that no node serves
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The last position to back up; without it, the ledger's end when the command begins
    #[arg(long, value_name = "POSITION", value_parser = position)]
    pub at: Option<Position>,
    /// The node that serves.
    #[command(flatten)]
    pub remote: RemoteOptions,
}

/// What is restored, and where to.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Peppers, master keys and provider keys are not in a backup: put your copy of the secrets \
                        directory into the new one before you serve it."
)]
pub struct RestoreArgs {
    /// The backup's directory
    #[arg(value_name = "BACKUP")]
    pub from: PathBuf,
    /// The data directory to make: not there, empty, or an unfinished restore
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// How the result is written to stdout
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
}

/// Whose read model is built anew.
#[derive(Debug, Clone, Args)]
pub struct RebuildArgs {
    /// A data directory that no node serves
    #[arg(long, value_name = "DIR", default_value = "nemo-data")]
    pub data_dir: PathBuf,
    /// How the result is written to stdout
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
}

/// Whose end is taken for granted.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Nobody can tell then whether the last events are missing. A watermark that can be read is \
                        believed all the same."
)]
pub struct AcceptEndArgs {
    /// A data directory that no node serves
    #[arg(long, value_name = "DIR", default_value = "nemo-data")]
    pub data_dir: PathBuf,
    /// Whether it is meant.
    #[command(flatten)]
    pub consent: Consent,
}

fn position(text: &str) -> Result<Position, std::num::ParseIntError> {
    text.parse().map(Position)
}
