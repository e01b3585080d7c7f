//! Options of the commands that run on this machine's data. What they do is not the command line's.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Serve inference and management
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "NEMO_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Where to listen, in place of the configuration's address
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the ledger is kept, in place of the configuration's directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Serve an invented provider that costs nothing, to try Nemo out
#[derive(Debug, Clone, Args)]
pub struct SimulateProviderArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
}

/// The ledger on disk
#[derive(Debug, Clone, Args)]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LedgerCommand,
}

/// What can be done with the ledger on disk.
#[derive(Debug, Clone, Subcommand)]
pub enum LedgerCommand {
    /// Check every hash and rebuild every projection; exits with 5 where something differs
    Verify(VerifyArgs),
}

/// Which ledger to verify.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Where the ledger is kept
    #[arg(long, value_name = "DIR", default_value = "nemo-data")]
    pub data_dir: PathBuf,
}
