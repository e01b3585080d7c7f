//! Waiting until the server has taken up what was changed on disk. It looks twice a second by itself.

use std::path::Path;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::status::SecretsReply;
use crate::auth::secret_files::read_master_key;
use crate::cli::client::Client;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::values::ServerUrl;

/// How long a running server may take.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a server has taken a change up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TakenUp {
    /// It has.
    Yes,
    /// None answers; it will when it starts.
    NotRunning,
}

impl TakenUp {
    /// For JSON.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "taken_up",
            Self::NotRunning => "not_running",
        }
    }
}

/// Waits until the server knows the master key in a file.
pub(super) async fn master_key(server: &ServerUrl, file: &Path, dir: &Path) -> Result<TakenUp, CommandError> {
    let key = read_master_key(file).map_err(super::of_disk)?;
    let client = Client::new(server.clone(), &key)?;
    let began = Instant::now();
    loop {
        match client.get::<Box<RawValue>>(&["api", "ledger"], &[]).await {
            Ok(_) => return Ok(TakenUp::Yes),
            // A server that starts, or whose ledger is away, goes on trying like this.
            Err(error) if error.exit() == Exit::NotAllowed || is_busy(&error) => {}
            Err(error) if error.exit() == Exit::Unreachable => return Ok(TakenUp::NotRunning),
            Err(error) => return Err(error),
        }
        if began.elapsed() > PATIENCE {
            return Err(not_taken_up(server, dir, None));
        }
        sleep(PAUSE).await;
    }
}

/// Waits until what the server says of its secrets is as wished.
pub(super) async fn secrets(
    client: &Client,
    dir: &Path,
    wished: impl Fn(&SecretsReply) -> bool,
) -> Result<(), CommandError> {
    let began = Instant::now();
    loop {
        let reply: SecretsReply = client.get(&["api", "secrets"], &[]).await?;
        if wished(&reply) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(not_taken_up(client.server(), dir, reply.trouble));
        }
        sleep(PAUSE).await;
    }
}

fn is_busy(error: &CommandError) -> bool {
    error.code() == Some("ledger_unavailable")
}

fn not_taken_up(server: &ServerUrl, dir: &Path, trouble: Option<String>) -> CommandError {
    let dir = dir.display();
    let why = trouble.map_or_else(String::new, |why| format!(" It says: {why}."));
    let what = format!("{dir} was changed, but the server at {server} has not taken it up.{why}");
    let next = format!("Does it use {dir}? Its log says what keeps it; it looks again by itself.");
    CommandError::new(Exit::Failed, what).next(next)
}
