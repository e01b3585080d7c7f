//! `nemo doctor`: looks at everything that a gateway needs, says of each what it found, what that means and what
//! to do. Works whether or not the gateway runs.
//!
//! - It changes nothing: the only file that it writes is a probe beside the ledger, which it removes.
//! - It makes no call that costs anything: providers are asked for their list of models.
//! - Every wait is bounded, and one trouble does not keep the rest from being looked at.
//! - No finding holds a secret, only the place where one is found.

mod clock;
mod configuration;
mod disk;
mod finding;
mod gateway;
mod providers;
mod secrets;
mod store;
mod webhooks;

use crate::catalogue::Catalogue;
use crate::cli::render::Rows;
use crate::cli::reply::Verbatim;
use crate::cli::screen::Screen;
use crate::cli::{CommandError, DoctorArgs, Exit, Output};
use crate::config::{Config, Environment};
use finding::{FINDINGS, Findings, Level};

/// Looks at everything and writes down what it found.
///
/// # Errors
/// Where something must be mended before the gateway works, with exit code 1; where nobody takes the findings.
pub async fn run(args: DoctorArgs) -> Result<(), CommandError> {
    let mut findings = Findings::default();
    if let Some((config, catalogue)) = configuration::look(&args, &mut findings) {
        look(&args, &config, &catalogue, &mut findings).await;
    }
    tell(findings, args.output)
}

async fn look(args: &DoctorArgs, config: &Config, catalogue: &Catalogue, findings: &mut Findings) {
    disk::look(&config.server.data_dir, findings);
    let running = gateway::look(config, findings).await;
    gateway::look_at_tls(config, findings);
    secrets::look(config, findings);
    let last = store::look(config, !args.offline, running, findings).await;
    clock::look(&config.server.data_dir, last, findings);
    providers::look(config, catalogue, !args.offline, findings).await;
    webhooks::look(config, findings);
    if !running {
        gateway::look_at_addresses(config, findings);
    }
}

fn tell(findings: Findings, output: Output) -> Result<(), CommandError> {
    let mut screen = Screen::of_process();
    let count = |level| findings.count(level);
    let (failed, warned, good) = (count(Level::Fail), count(Level::Warn), count(Level::Ok));
    let mut rows = Rows::new(&FINDINGS, output, screen.look);
    let items: Result<Vec<_>, _> = findings.into_iter().map(Verbatim::of).collect();
    let unwritten =
        |error| CommandError::new(Exit::Failed, format!("The findings cannot be written: {error}."));
    screen.data(&rows.page(&items.map_err(unwritten)?))?;
    screen.data(&rows.end())?;
    let summary = format!("{good} in order, {warned} to look at, {failed} to mend.");
    if failed > 0 {
        return Err(CommandError::new(Exit::Failed, summary));
    }
    screen.say(&summary);
    Ok(())
}

/// The environment as `nemo serve` would read it.
fn environment() -> Environment {
    Environment::of_process()
}
