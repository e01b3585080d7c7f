//! Reads the configuration again while calls run: providers, their keys, prices and `[calls]` take effect for
//! calls that begin afterwards, secrets of webhooks at once. What is wrong changes nothing; what cannot change while
//! the process runs is named.
//!
//! Price cards that calls cite stay as they are: a changed price is a new card.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::signal::unix::Signal;
use tokio::task::JoinHandle;
use tracing::{error, info};
use utoipa::ToSchema;

use crate::app::App;
use crate::config::{Config, ConfigError, PriceEntry};
use crate::terms::{Terms, UnusableTerms};
use crate::webhooks::UnusableWebhook;

/// Reads the configuration as the start did.
pub type LoadConfig = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Reads the configuration again, one time after the other.
pub struct Reloader {
    load: LoadConfig,
    in_force: Mutex<Config>,
}

/// What another look at the configuration changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// Providers, by name. One whose key is another is changed.
    pub providers: Changes,
    /// The operator's prices, as `provider/model`.
    pub prices: Changes,
    /// Keys of `[calls]` that have another value.
    pub calls: Vec<String>,
    /// Webhooks that are signed with other secrets from now on.
    pub webhooks: Vec<String>,
    /// Keys that have another value than at the start, and only take effect at the next one.
    pub needs_restart: Vec<String>,
    /// What the operator should know besides.
    pub notices: Vec<String>,
}

/// What came, went and changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Changes {
    /// New ones.
    pub added: Vec<String>,
    /// Those that are no more.
    pub removed: Vec<String>,
    /// Those that are there as before, and differ.
    pub changed: Vec<String>,
}

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// The file or the environment says something that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A price or a provider cannot be used.
    #[error(transparent)]
    Terms(#[from] UnusableTerms),
    /// A webhook's secret cannot be used.
    #[error(transparent)]
    Webhook(#[from] UnusableWebhook),
    /// Something broke on the way; the log says what.
    #[error("reading it was interrupted")]
    Interrupted,
}

impl NotReloaded {
    /// With everything that caused it.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            text = format!("{text}: {source}");
            next = source.source();
        }
        text
    }
}

impl Reloader {
    /// Reads with this; the configuration that holds now.
    #[must_use]
    pub const fn new(load: LoadConfig, in_force: Config) -> Self {
        Self { load, in_force: Mutex::new(in_force) }
    }

    /// Blocks: files are read, and one reload waits for the other.
    fn run(&self, app: &App) -> Result<Reloaded, NotReloaded> {
        // Whoever panicked inside left the old configuration in place.
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let config = (self.load)()?;
        let before = app.terms();
        let terms = Terms::of(&config, Some(&before))?;
        let secrets = app.webhooks.read_secrets(&config)?;
        let reloaded = Reloaded {
            providers: providers(&in_force, &before, &config, &terms),
            prices: prices(&in_force.prices, &config.prices),
            calls: in_force.calls.differing(&config.calls).into_iter().map(str::to_owned).collect(),
            webhooks: secrets.use_them(),
            needs_restart: needs_restart(&app.config, &config),
            notices: config.notices.iter().map(ToString::to_string).collect(),
        };
        app.set_terms(terms);
        *in_force = config;
        Ok(reloaded)
    }
}

/// Reads the configuration again.
///
/// # Errors
/// [`NotReloaded`]; then everything is as before.
pub async fn reload(app: &Arc<App>) -> Result<Reloaded, NotReloaded> {
    let running = Arc::clone(app);
    let done = tokio::task::spawn_blocking(move || running.reloader.run(&running)).await;
    let done = done.unwrap_or(Err(NotReloaded::Interrupted));
    match &done {
        Ok(Reloaded { providers, prices, calls, webhooks, needs_restart, notices: _ }) => info!(
            providers = %providers, prices = %prices, calls = ?calls, webhooks = ?webhooks,
            needs_restart = ?needs_restart,
            "the configuration was read again"
        ),
        Err(why) => {
            error!(error = %why.whole(), "the configuration cannot be used: everything goes on as before")
        }
    }
    done
}

/// Reloads whenever the process is told to (SIGHUP), until the task is ended.
pub fn on_hangup(app: &Arc<App>, mut hangups: Signal) -> JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // What came of it is in the log.
            let _ = reload(&app).await;
        }
    })
}

impl Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { added, removed, changed } = self;
        let signed = |sign, names: &[String]| -> Vec<String> {
            names.iter().map(|name| format!("{sign}{name}")).collect()
        };
        let all = [signed('+', added), signed('-', removed), signed('~', changed)].concat();
        f.write_str(if all.is_empty() { "unchanged".to_owned() } else { all.join(" ") }.as_str())
    }
}

impl Changes {
    /// Compares two lists by their names; `differs` says whether two of one name do.
    fn between<T>(
        old: &[T],
        new: &[T],
        name: impl Fn(&T) -> String,
        differs: impl Fn(&T, &T) -> bool,
    ) -> Self {
        let find = |list: &'_ [T], wanted: &str| list.iter().position(|entry| name(entry) == wanted);
        let mut changes = Self::default();
        for entry in new {
            let is = name(entry);
            match find(old, &is).and_then(|at| old.get(at)) {
                None => changes.added.push(is),
                Some(before) if differs(before, entry) => changes.changed.push(is),
                Some(_) => {}
            }
        }
        changes.removed = old.iter().map(&name).filter(|is| find(new, is).is_none()).collect();
        changes
    }
}

fn providers(in_force: &Config, before: &Terms, config: &Config, terms: &Terms) -> Changes {
    Changes::between(
        &in_force.providers,
        &config.providers,
        |entry| entry.name.clone(),
        |old, new| {
            let (known, loaded) = (before.providers.get(&old.name), terms.providers.get(&new.name));
            old != new || known.zip(loaded).is_some_and(|(known, loaded)| !known.has_key_of(loaded))
        },
    )
}

fn prices(old: &[PriceEntry], new: &[PriceEntry]) -> Changes {
    let moved = |entry: &PriceEntry, to: &PriceEntry| PriceEntry { place: to.place.clone(), ..entry.clone() };
    Changes::between(
        old,
        new,
        |entry| format!("{}/{}", entry.provider, entry.model),
        |old, new| moved(old, new) != *new,
    )
}

/// What differs from the start and is only looked at there. Every section of the configuration is named here
/// or in [`Terms`].
fn needs_restart(started_with: &Config, config: &Config) -> Vec<String> {
    let Config { server, store, calls: _, telemetry, providers: _, prices: _, webhooks, notices: _ } = config;
    let named = |section: &str, keys: Vec<&'static str>| -> Vec<String> {
        keys.into_iter().map(|key| format!("{section}.{key}")).collect()
    };
    let whole = |name: &str, same: bool| if same { Vec::new() } else { vec![name.to_owned()] };
    [
        named("server", started_with.server.differing(server)),
        whole("store", started_with.store == *store),
        named("telemetry", started_with.telemetry.differing(telemetry)),
        whole("webhooks", started_with.webhooks == *webhooks),
    ]
    .concat()
}
