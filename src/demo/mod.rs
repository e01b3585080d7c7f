//! `nemo serve --demo`: a gateway with an invented past and invented traffic, for looking round and trying out.
//!
//! - What is invented says so: the providers' names, every answer, the keys' ids and tags, the first words.
//! - What is invented was written the ordinary way, by the ledger's commands: it verifies like any ledger.
//! - It has a directory of its own, marked by a file, and refuses every other.
//!
//! Where is …? Who plays: `cast.rs`. What happens: `rhythm.rs`, `day.rs`, `story.rs`, put together in `plan.rs`.
//! How it gets into the ledger: `past.rs`, `write.rs`, `asked.rs`. What goes on afterwards: `live.rs`.

mod asked;
mod cast;
mod day;
mod live;
mod past;
mod place;
mod plan;
mod rhythm;
mod story;
#[cfg(test)]
mod tests;
mod words;
mod write;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use live::Traffic;
pub use place::refuse_demo;

use crate::app::App;
use crate::auth::token::VirtualKeyText;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Environment, StoreEntry};
use crate::providers::simulated;
use crate::server::Addresses;
use live::Caller;
use place::Place;

/// Stands in for OpenAI, at its prices.
const OPENAI: &str = "simulated-openai";
/// Stands in for Anthropic, at its prices.
const ANTHROPIC: &str = "simulated-anthropic";

/// Whether traffic goes on while the demo runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveliness {
    /// About one call a second.
    Traffic,
    /// None but its users'.
    Quiet,
}

/// A demo whose past is written and whose providers listen.
pub struct Demo {
    callers: Vec<Caller>,
    /// Of a new demo: the key for its user, not yet shown.
    your_key: Option<VirtualKeyText>,
}

/// Starts the simulated providers, which serve until the process ends, and configures a gateway in front of them.
/// What the environment and the command line say about the server holds; providers and prices are the demo's own.
///
/// # Errors
/// Where the providers cannot listen, or the environment says something that cannot be used.
pub fn set_stage(environment: &Environment, data_dir: Option<PathBuf>) -> anyhow::Result<Config> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the simulated provider cannot listen")?;
    let address = listener.local_addr()?;
    let mut config = Config::from_toml(&toml(address), Path::new("the demo's configuration"), environment)?;
    if let Some(data_dir) = data_dir {
        config.server.data_dir = data_dir;
    }
    // Neither may a demo take on the secrets of a real ledger, nor its store.
    config.server.secrets_dir = None;
    config.store = StoreEntry::Embedded;
    tokio::spawn(simulated::serve(listener)?);
    Ok(config)
}

fn toml(simulated: SocketAddr) -> String {
    let provider = |name: &str, catalogue: &str| {
        format!(
            "[[providers]]\nname = \"{name}\"\nbase_url = \"http://{simulated}/v1\"\nno_api_key = true\n\
             catalogue = \"{catalogue}\"\n"
        )
    };
    let server = "[server]\ndata_dir = \"nemo-demo\"\nnode = \"demo\"\n";
    format!("{server}{}{}", provider(OPENAI, "openai"), provider(ANTHROPIC, "anthropic"))
}

impl Demo {
    /// Writes whatever of the invented past is not in the ledger yet.
    ///
    /// # Errors
    /// A directory that is not a demo's, or a ledger that cannot be written.
    pub async fn prepare(config: &Config, liveliness: Liveliness) -> anyhow::Result<Self> {
        let now = SystemClock.now();
        let place = Place::open(&config.server.data_dir, now.to_datetime().date_naive())?;
        // In a task: what it starts gets to the store in that order only if its threads are the tasks' own.
        let past = past::write(config.clone(), place.first_day, now, liveliness);
        let mut keys = tokio::spawn(past).await.context("the demo's past cannot be written")??;
        let mut callers = Vec::new();
        if liveliness == Liveliness::Traffic {
            for role in live::CALLERS {
                let key = keys.get(&role.key()?).context("a caller of the demo has no key")?;
                callers.push(Caller::new(role, key)?);
            }
        }
        let your_key = keys.remove(&cast::YOURS.key()?);
        Ok(Self { callers, your_key })
    }

    /// Says what there is to see, once all of it can be seen, and lets the traffic flow.
    ///
    /// # Errors
    /// Where no client can be made.
    pub async fn open(self, app: &App, addresses: &Addresses) -> anyhow::Result<Traffic> {
        app.read_side.caught_up().await;
        words::print(app, addresses, self.your_key.as_ref());
        Traffic::start(addresses, self.callers)
    }
}
