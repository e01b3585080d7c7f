//! Webhooks: whoever the configuration names is told of alerts and of what managers do.
//!
//! - What is told follows from the log: the read model's outbox has it, in order. How far each webhook has come is
//!   kept in a file of its own ([`cursor`]), so that a read model that is built anew tells nothing twice.
//! - In order, at least once, with the event's id each time; the next one is sent only when the one before was
//!   taken, or given up ([`sender`]).
//! - Each webhook has a task of its own, and nothing that answers a caller or a manager waits for one.
//!
//! Where is …? What is sent, and how it is signed: [`message`]. One attempt: [`post`]. What is told of a webhook:
//! [`standing`].

mod cursor;
mod message;
mod post;
mod sender;
mod standing;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use nemo_events::Position;
use nemo_projections::notice::NoticeKind;
use nemo_store::ReadError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::webhook_secret::{WebhookSecretError, WebhookSecrets};
use crate::config::{Config, SecretSource, WebhookEntry};
use crate::ledger::Ledger;
use crate::metrics::webhooks::WebhookMetrics;
use crate::providers::client;
use crate::read_side::Outbox;
use cursor::Kept;
pub use post::{Outcome, Tested};
pub use standing::{Failing, Finished, Standing};

/// The directory with how far each webhook has come, in the data directory.
pub const DIR: &str = "webhooks";
/// How long connecting to a receiver may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// All webhooks of this node.
pub struct Webhooks {
    all: Vec<Arc<Webhook>>,
    /// What is counted of them.
    pub metrics: WebhookMetrics,
    dir: PathBuf,
    stop: CancellationToken,
    loops: TaskTracker,
}

/// A webhook.
pub struct Webhook {
    /// What the configuration says of it.
    pub entry: WebhookEntry,
    /// Whether this node sends, and not another one alone.
    pub sends: bool,
    kinds: Arc<[NoticeKind]>,
    secrets: ArcSwap<WebhookSecrets>,
    http: reqwest::Client,
    standing: Mutex<Standing>,
}

/// Why a webhook cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("webhook {name} cannot be used")]
pub struct UnusableWebhook {
    /// Which.
    name: String,
    /// Why.
    source: Unusable,
}

/// What is wrong with a webhook.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    /// Its secrets are not to be had.
    #[error("it has no usable secret")]
    Secret(#[from] WebhookSecretError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: are the system's CA certificates installed (Debian: ca-certificates)?")]
    Tls(#[source] reqwest::Error),
}

/// Secrets that were read and are not in force yet.
pub struct NewSecrets(Vec<(Arc<Webhook>, WebhookSecrets)>);

impl Webhooks {
    /// Those of a configuration. Reads their secrets.
    ///
    /// # Errors
    /// The first webhook that cannot be used.
    pub fn new(config: &Config) -> Result<Self, UnusableWebhook> {
        let node = &config.server.node;
        let all = config.webhooks.iter().map(|entry| {
            let sends = entry.node.as_ref().is_none_or(|only| only == node.as_str());
            Webhook::new(entry, sends).map(Arc::new)
        });
        Ok(Self {
            all: all.collect::<Result<_, _>>()?,
            metrics: WebhookMetrics::default(),
            dir: config.server.data_dir.join(DIR),
            stop: CancellationToken::new(),
            loops: TaskTracker::new(),
        })
    }

    /// In the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Webhook>> {
        self.all.iter()
    }

    /// The webhook of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Webhook>> {
        self.all.iter().find(|webhook| webhook.entry.name == name)
    }

    /// Finds out where each webhook goes on. One that is new begins at the ledger's present end: nobody wants to
    /// be told of the whole past. May be repeated.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub async fn find_places(&self, ledger: &Ledger, place: &str) -> Result<(), ReadError> {
        for webhook in self.all.iter().filter(|webhook| webhook.sends) {
            let path = cursor::path(&self.dir, &webhook.entry.name);
            let cursor = cursor::find(ledger.store().as_ref(), place, path).await?;
            webhook.standing().cursor = cursor;
        }
        Ok(())
    }

    /// Sends what there is and what comes, in tasks of the ledger. Once, and after [`Self::find_places`].
    pub fn start(&self, ledger: &Arc<Ledger>, outbox: &Outbox, place: &str) {
        for webhook in self.all.iter().filter(|webhook| webhook.sends) {
            let sender = sender::Sender {
                webhook: Arc::clone(webhook),
                outbox: outbox.clone(),
                metrics: self.metrics.clone(),
                ledger: Arc::clone(ledger),
                path: cursor::path(&self.dir, &webhook.entry.name),
                place: place.to_owned(),
            };
            let work = self.stop.clone().run_until_cancelled_owned(sender.run());
            let work = self.loops.track_future(work);
            ledger.spawn(async move {
                work.await;
            });
        }
    }

    /// Sends nothing more. What was not taken by then is sent at the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
    }

    /// Reads secrets again, from where a configuration says that they are now. A webhook that it has no more goes
    /// on as it is until the next start.
    ///
    /// # Errors
    /// The first webhook whose secrets cannot be used; then all go on with those that they have.
    pub fn read_secrets(&self, config: &Config) -> Result<NewSecrets, UnusableWebhook> {
        let known = config.webhooks.iter().filter_map(|entry| Some((entry, self.get(&entry.name)?)));
        let read = |(entry, webhook): (&WebhookEntry, &Arc<Webhook>)| {
            let secrets = secrets(entry).map_err(|why| unusable(entry, why.into()))?;
            Ok((Arc::clone(webhook), secrets))
        };
        known.map(read).collect::<Result<_, _>>().map(NewSecrets)
    }
}

impl NewSecrets {
    /// Signs with them from now on. Returns the names of the webhooks that have others than before.
    pub fn use_them(self) -> Vec<String> {
        let mut changed = Vec::new();
        for (webhook, secrets) in self.0 {
            if !webhook.secrets.load().are(&secrets) {
                changed.push(webhook.entry.name.clone());
                webhook.secrets.store(Arc::new(secrets));
            }
        }
        changed
    }
}

impl Webhook {
    fn new(entry: &WebhookEntry, sends: bool) -> Result<Self, UnusableWebhook> {
        let secrets = secrets(entry).map_err(|why| unusable(entry, why.into()))?;
        let http = client::build(CONNECT_TIMEOUT).map_err(|why| unusable(entry, Unusable::Tls(why)))?;
        Ok(Self {
            sends,
            kinds: entry.events.clone().into(),
            secrets: ArcSwap::from_pointee(secrets),
            http,
            standing: Mutex::default(),
            entry: entry.clone(),
        })
    }

    /// Where it stands now.
    #[must_use]
    pub fn now(&self) -> Standing {
        self.standing().clone()
    }

    /// What it is told of.
    #[must_use]
    pub fn kinds(&self) -> Arc<[NoticeKind]> {
        Arc::clone(&self.kinds)
    }

    /// The last event that it need not be told of any more.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.standing().cursor.position
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn secrets(entry: &WebhookEntry) -> Result<WebhookSecrets, WebhookSecretError> {
    match &entry.secret {
        SecretSource::Variable(name) => WebhookSecrets::from_env(name),
        SecretSource::File(path) => WebhookSecrets::from_file(path),
    }
}

fn unusable(entry: &WebhookEntry, source: Unusable) -> UnusableWebhook {
    UnusableWebhook { name: entry.name.clone(), source }
}
