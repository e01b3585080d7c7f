//! Options of the commands that run on this machine's data. What they do is not the command line's.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::ledger::{AcceptEndArgs, BackupArgs, RebuildArgs, RestoreArgs, StatusArgs};
use super::output::Output;
use super::place::StoreOptions;
use super::remote::RemoteOptions;
use crate::config::well_known_providers;

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
    /// The EventStoreDB or KurrentDB server that keeps the ledger, in place of the configuration's
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Show what Nemo does: an invented past, simulated providers, a directory of its own (nemo-demo)
    #[arg(long, conflicts_with_all = ["config", "store"])]
    pub demo: bool,
    /// A demo without traffic but yours
    #[arg(long, requires = "demo")]
    pub quiet: bool,
}

/// Write a configuration file, and make the data directory and its secrets if wanted
#[derive(Debug, Clone, Args)]
#[command(after_help = "Asks on a terminal; elsewhere it needs --yes. Nothing that is there is overwritten.")]
pub struct InitArgs {
    /// The configuration file to write
    #[arg(long, value_name = "FILE", default_value = "nemo.toml")]
    pub config: PathBuf,
    /// Where the gateway shall listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4141")]
    pub listen: SocketAddr,
    /// Where the ledger shall be kept
    #[arg(long, value_name = "DIR", default_value = "nemo-data")]
    pub data_dir: PathBuf,
    /// A well-known provider, such as openai; repeatable. Without any, those whose keys are in the environment
    #[arg(long = "provider", value_name = "NAME", value_parser = PossibleValuesParser::new(well_known_names()))]
    pub providers: Vec<String>,
    /// Make the data directory with a master key and a pepper now, instead of at the first start
    #[arg(long)]
    pub secrets: bool,
    /// Ask nothing: take the options as they are; needed off a terminal
    #[arg(long, short = 'y')]
    pub yes: bool,
}

fn well_known_names() -> Vec<&'static str> {
    well_known_providers().map(|(name, _)| name).collect()
}

/// Look at everything that a gateway needs, and say what to do
#[derive(Debug, Clone, Args)]
#[command(after_help = "Exits with 1 if something must be mended.")]
pub struct DoctorArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "NEMO_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Where the ledger is kept, in place of the configuration's directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Ask neither the providers nor a store on a server anything
    #[arg(long)]
    pub offline: bool,
    /// How the findings are written to stdout
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
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
    /// Copy a stopped ledger to another directory or to a server, or back; goes on where an earlier run ended
    Copy(CopyArgs),
    /// Where the ledger and its read model stand
    Status(StatusArgs),
    /// Back the ledger up while a node serves it, or a stopped one; given again, the backup goes on
    Backup(BackupArgs),
    /// Make a data directory of a backup; given again after an interruption, it goes on
    Restore(RestoreArgs),
    /// Build a stopped node's read model anew from its ledger
    Rebuild(RebuildArgs),
    /// Take the end of a ledger whose watermark is lost for granted
    AcceptEnd(AcceptEndArgs),
}

/// Which ledger to verify.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Where the ledger is kept; with a server, where a node keeps its read model [default: nemo-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The EventStoreDB or KurrentDB server that keeps the ledger
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// How it is reached.
    #[command(flatten)]
    pub server: StoreOptions,
    /// Read the ledger from the node that serves it, over HTTP, and check it here
    #[arg(long, conflicts_with_all = ["data_dir", "store"])]
    pub serving: bool,
    /// The node that serves.
    #[command(flatten)]
    pub remote: RemoteOptions,
}

/// What is copied where.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Secrets are not part of a ledger: copy the secrets directory yourself.")]
pub struct CopyArgs {
    /// The data directory or the server's URL to copy from
    #[arg(long, value_name = "DIR|URL")]
    pub from: String,
    /// The data directory or the server's URL to copy to: empty, or an unfinished copy
    #[arg(long, value_name = "DIR|URL")]
    pub to: String,
    /// The prefix of the streams to copy from, where it is not --stream-prefix
    #[arg(long, value_name = "PREFIX")]
    pub from_prefix: Option<String>,
    /// The prefix of the streams to copy to, where it is not --stream-prefix
    #[arg(long, value_name = "PREFIX")]
    pub to_prefix: Option<String>,
    /// The nodes of the server to copy from are stopped, although some have not said so in the ledger
    #[arg(long)]
    pub nodes_are_stopped: bool,
    /// How the result is written to stdout
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
    /// How a server is reached.
    #[command(flatten)]
    pub server: StoreOptions,
}
