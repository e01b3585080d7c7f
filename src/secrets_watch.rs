//! A running gateway follows its secrets directory: what `nemo secrets` changes on disk comes into force
//! within [`LOOK_EVERY`], at once on SIGHUP, and without a restart.
//!
//! - First the ledger knows of the change, then it is in force. Whatever interrupts that, the next look,
//!   or the next start, does the rest.
//! - Files that are not the ledger's, or cannot be read, never come into force: the gateway goes on with the
//!   secrets that it has, says so in its log and in `GET /api/secrets`, and looks again.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info};

use crate::app::App;
use crate::auth::secrets::{Marks, Secrets};
use crate::failpoint;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Starts following.
///
/// # Errors
/// Where the process cannot listen for SIGHUP.
pub fn start(app: &Arc<App>) -> std::io::Result<JoinHandle<()>> {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let hangups = signal(SignalKind::hangup())?;
    Ok(tokio::spawn(follow(Arc::clone(app), ticks, hangups)))
}

async fn follow(app: Arc<App>, mut ticks: Interval, mut hangups: Signal) {
    let dir = app.secrets.now().dir().to_owned();
    // What has changed since the start read them is found by the first look.
    let mut seen = Some(app.secrets.now().marks().clone());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = hangups.recv() => seen = None,
        }
        if seen.as_ref() == Some(&Marks::of(&dir)) {
            continue;
        }
        match take_up(&app).await {
            Ok(()) => seen = Some(app.secrets.now().marks().clone()),
            Err(why) => {
                seen = None;
                let why = format!("{why:#}");
                if app.secrets.fail(why.clone()) {
                    error!(dir = %dir.display(), why, "the secrets on disk are not in force; the ones before are");
                }
            }
        }
    }
}

/// Reads the files, lets the ledger know, and puts them in force.
async fn take_up(app: &App) -> anyhow::Result<()> {
    let before = app.secrets.now();
    let dir = before.dir().to_owned();
    let secrets = tokio::task::spawn_blocking(move || Secrets::open(&dir)).await??;
    failpoint::reached("secrets-read");
    app.ledger.introduce(secrets.fingerprints()).await??;
    failpoint::reached("secrets-recorded");
    if secrets.fingerprints() != before.fingerprints() {
        let (master_key, pepper) = (secrets.master_keys().current().id(), &secrets.peppers().current().id);
        info!(%master_key, %pepper, "changed secrets are in force");
    }
    app.secrets.replace(secrets);
    Ok(())
}
