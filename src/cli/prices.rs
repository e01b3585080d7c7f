//! `nemo prices`: what models cost.

use clap::{Args, Subcommand};

use super::exit::CommandError;
use super::remote::{List, RemoteOptions, Session};
use super::render::prices::PRICES;

/// Prices: what models cost
#[derive(Debug, Args)]
pub struct PricesArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: PricesCommand,
}

/// What can be done with prices.
#[derive(Debug, Subcommand)]
pub enum PricesCommand {
    /// List what each model costs now, by provider and name
    List(ListArgs),
}

/// Which prices to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Models of this configured provider
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Part of the model's name
    #[arg(long, visible_alias = "search", value_name = "TEXT")]
    pub model: Option<String>,
    /// How many to list at most; all without it
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// Runs a command on prices.
///
/// # Errors
/// Why it did not work.
pub async fn run(command: PricesCommand, session: &mut Session) -> Result<(), CommandError> {
    let PricesCommand::List(ListArgs { provider, model, limit }) = command;
    let filters = [("provider", provider), ("q", model)];
    let query = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    session.list(&PRICES, List { path: &["api", "prices"], query, next: "cursor", limit }).await
}
