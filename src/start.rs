//! From a process to a node that takes calls: the ledger is read, the secrets at hand are compared with those
//! that it was written with, and that the node started is written down. Until then every request is refused
//! and nothing else is written.
//!
//! With the embedded store that happens before the process listens. A server may be away when the process
//! starts: then it listens already, and starts as soon as the server answers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rand::RngExt;
use tracing::{info, warn};

use crate::app::App;
use crate::ledger::ExecuteError;
use crate::secrets_match;
use crate::store::{self, Kind};

/// The first pause between two attempts, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a node has not started.
enum Failure {
    /// It may later.
    NotYet(ExecuteError),
    /// It must not.
    Never(anyhow::Error),
}

impl From<ExecuteError> for Failure {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Unavailable(_) | ExecuteError::ClockBehind(_) => Self::NotYet(error),
            ExecuteError::Refused(_) | ExecuteError::Damaged(_) => Self::Never(error.into()),
        }
    }
}

/// Starts the node, now or not at all.
///
/// # Errors
/// Why not.
pub async fn now(app: &App) -> anyhow::Result<()> {
    begin(app).await.map_err(|failure| match failure {
        Failure::NotYet(error) => anyhow::Error::from(error).context("cannot read or write the ledger"),
        Failure::Never(error) => error,
    })
}

/// Starts the node once its store answers, however long that takes.
///
/// # Errors
/// Why it must not start on this ledger.
pub async fn once_reachable(app: Arc<App>) -> anyhow::Result<()> {
    let (mut pause, mut told) = (FIRST_PAUSE, String::new());
    loop {
        let why = match begin(&app).await {
            Ok(()) => break,
            Err(Failure::Never(error)) => return Err(error),
            // Callers are told too: what the store says, not where it is.
            Err(Failure::NotYet(ExecuteError::Unavailable(why))) => why,
            Err(Failure::NotYet(error)) => error.to_string(),
        };
        app.lifecycle.wait_for(&format!("this node has not reached its ledger since it was started: {why}"));
        if why != told {
            warn!(why, "the node cannot start yet; trying again");
            told = why;
        }
        let half = pause / 2;
        tokio::time::sleep(half.saturating_add(half.mul_f64(rand::rng().random::<f64>()))).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
    info!(ledger = %app.place, "the node has started and takes calls");
    Ok(())
}

async fn begin(app: &App) -> Result<(), Failure> {
    app.ledger.read().await?;
    refuse_to_begin_anew(app)?;
    let place = &app.place.place;
    app.webhooks.find_places(&app.ledger, place).await.map_err(ExecuteError::from)?;
    let ours = app.secrets.now().fingerprints();
    let introduce = move |known: &[_]| secrets_match::compare(known, &ours);
    let compared = app.ledger.node_started(introduce).await?;
    compared.map_err(|mismatch| Failure::Never(mismatch.into()))?;
    app.read_side.start(&app.ledger);
    app.webhooks.start(&app.ledger, &app.read_side.outbox(), place);
    app.lifecycle.serve();
    Ok(())
}

/// Whoever points a gateway that has a ledger at an empty server forgot to take the ledger along.
fn refuse_to_begin_anew(app: &App) -> Result<(), Failure> {
    let dir = &app.config.server.data_dir;
    if app.place.kind == Kind::Embedded || !app.ledger.is_new() || !store::is_in(dir) {
        return Ok(());
    }
    let dir = dir.display();
    let why = anyhow::anyhow!(
        "{} holds no ledger yet, and {dir} holds one: take it along with `nemo ledger copy --from {dir} --to …`, or \
         name another data_dir to begin a new ledger",
        app.place
    );
    Err(Failure::Never(why))
}

/// What to do where there are no secrets for a ledger on a server.
///
/// # Errors
/// The error of opening them, with that.
pub fn shared_secrets<T>(opened: Result<T, crate::auth::secret_files::SecretsError>) -> anyhow::Result<T> {
    opened.context(
        "the secrets of a ledger on a server are never made by a start: put those of its other nodes into place, or \
         make them once, for a new ledger, with `nemo secrets create --secrets-dir DIR`",
    )
}
