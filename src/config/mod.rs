//! The configuration: one TOML file in which everything is optional, and environment variables over it.
//!
//! Each key is declared once (`server.rs`, `store.rs`, `provider.rs`, `price.rs` …) with its name, kind, default and meaning;
//! how it is read, what is refused and the reference follow from that. Secrets never stand in it, only the
//! places where they are found, and no error repeats a value. Nothing here is fetched or opened but the file.

mod environment;
mod error;
mod kind;
mod price;
mod provider;
mod read;
mod reference;
mod server;
mod store;
mod telemetry;
mod webhook;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use toml::de::DeTable;

pub use self::environment::Environment;
pub use self::error::{ConfigError, Hint, Place};
pub use self::price::PriceEntry;
pub use self::provider::{KeySource, ModelPattern, ProviderEntry, well_known_providers};
use self::read::{Section, Source};
pub use self::reference::{KeyDoc, reference, reference_markdown};
pub use self::server::{Calls, LogFormat, RecordClients, Server};
pub use self::store::{PasswordSource, ServerStore, StoreEntry, StoreLogin};
pub use self::telemetry::Telemetry;
pub use self::webhook::{SecretSource, WebhookEntry};

/// Everything that an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The process, its addresses and its files.
    pub server: Server,
    /// Where the ledger is kept.
    pub store: StoreEntry,
    /// Limits of calls.
    pub calls: Calls,
    /// Traces.
    pub telemetry: Telemetry,
    /// Where calls go, in the order in which they are asked for a model.
    pub providers: Vec<ProviderEntry>,
    /// The operator's prices.
    pub prices: Vec<PriceEntry>,
    /// Who is told of alerts.
    pub webhooks: Vec<WebhookEntry>,
    /// What the operator should know of how this came about.
    pub notices: Vec<Notice>,
}

/// Something worth saying at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// No provider is configured, and this one's key was in the environment.
    Found {
        /// The provider.
        provider: String,
        /// The variable with its key.
        variable: String,
    },
    /// There is no provider at all.
    NoProvider,
    /// Prices of a provider that nobody uses.
    UnusedPrices {
        /// Where they stand.
        place: Place,
        /// Whose they are.
        provider: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { provider, variable } => {
                write!(f, "no provider is configured; {provider} is used because {variable} is set")
            }
            Self::NoProvider => {
                f.write_str(
                    "no provider is configured, so no call can be made; set [[providers]] or one of ",
                )?;
                let variables = well_known_providers().map(|(_, variable)| variable);
                f.write_str(&variables.collect::<Vec<_>>().join(", "))
            }
            Self::UnusedPrices { place, provider } => {
                write!(f, "{place}: no provider uses the prices of {provider}")
            }
        }
    }
}

impl Config {
    /// Loads the file, if any, with the environment's values over it.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read, and for everything that [`Self::from_toml`] refuses.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Self::from_toml("", Path::new("no file"), environment) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::from_toml(&text, path, environment)
    }

    /// Reads a file's text. `path` is for messages only.
    ///
    /// # Errors
    /// [`ConfigError`] for what is no TOML, for unknown keys and variables, and for values that cannot be used:
    /// everything that is wrong at once.
    pub fn from_toml(text: &str, path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let source = Source { path, text, environment };
        let parsed = DeTable::parse(text).map_err(|error| syntax_error(&source, &error))?;
        let table = parsed.get_ref();
        let mut errors = Vec::new();
        let mut known = |error: ConfigError| errors.push(error);
        let names = ["server", "store", "calls", "telemetry", "providers", "prices", "webhooks"];
        Section::whole(&source, table, &names).unwrap_or_else(&mut known);
        let (server_keys, store_keys) = (Server::keys(), StoreEntry::keys());
        let (calls_keys, telemetry_keys) = (Calls::keys(), Telemetry::keys());
        let server = once(&source, table, "server", &server_keys, Server::checked).map_err(&mut known);
        let store = once(&source, table, "store", &store_keys, StoreEntry::read).map_err(&mut known);
        let calls = once(&source, table, "calls", &calls_keys, Calls::read).map_err(&mut known);
        let telemetry = once(&source, table, "telemetry", &telemetry_keys, Telemetry::read);
        let telemetry = telemetry.map_err(&mut known);
        // Providers are looked at in any case: what is wrong with them is worth knowing at once.
        let usual = Calls::usual(path)?;
        let providers = read_providers(&source, table, calls.as_ref().unwrap_or(&usual)).map_err(&mut known);
        let prices = read_prices(&source, table).map_err(&mut known);
        let webhooks = read_webhooks(&source, table).map_err(&mut known);
        let overrides = overrides(&[
            ("server", &server_keys),
            ("store", &store_keys),
            ("calls", &calls_keys),
            ("telemetry", &telemetry_keys),
        ]);
        if let (Ok(store), Ok(providers), Ok(webhooks)) = (&store, &providers, &webhooks) {
            let mut variables = key_variables(providers);
            variables.extend(store.password_variable());
            variables.extend(webhooks.iter().filter_map(WebhookEntry::variable));
            environment.only(&overrides, &variables).unwrap_or_else(&mut known);
        }
        let (Ok(server), Ok(store), Ok(calls), Ok(telemetry), Ok(mut providers), Ok(prices), Ok(webhooks)) =
            (server, store, calls, telemetry, providers, prices, webhooks)
        else {
            return Err(ConfigError::several(errors));
        };
        if !errors.is_empty() {
            return Err(ConfigError::several(errors));
        }
        let mut notices = Vec::new();
        if providers.is_empty() {
            providers = provider::found(environment, &calls);
            notices = found(&providers);
        }
        notices.extend(unused(&prices, &providers));
        Ok(Self { server, store, calls, telemetry, providers, prices, webhooks, notices })
    }
}

/// A section that is there once, and whatever is wrong with it.
fn once<'a, T>(
    source: &'a Source<'a>,
    table: &'a DeTable<'a>,
    name: &'static str,
    keys: &[KeyDoc],
    read: impl FnOnce(&Section<'a>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let section = Section::single(source, name, table.get(name))?;
    ConfigError::both(section.only(keys), read(&section))
}

fn overrides(sections: &[(&str, &[KeyDoc])]) -> Vec<String> {
    let of = |(section, keys): &(&str, &[KeyDoc])| -> Vec<String> {
        keys.iter().map(|known| Environment::variable(section, known.key)).collect()
    };
    sections.iter().flat_map(of).collect()
}

/// Only the place and the parser's message: its whole text would quote the line.
fn syntax_error(source: &Source<'_>, error: &toml::de::Error) -> ConfigError {
    let offset = error.span().map_or(0, |span| span.start);
    ConfigError::Syntax { place: source.place(offset), message: error.message().to_owned() }
}

fn read_providers(
    source: &Source<'_>,
    table: &DeTable<'_>,
    calls: &Calls,
) -> Result<Vec<ProviderEntry>, ConfigError> {
    let Some(value) = table.get("providers") else { return Ok(Vec::new()) };
    let (keys, mut names) = (ProviderEntry::keys(), HashSet::new());
    let sections = Section::repeated(source, "providers", value)?;
    ConfigError::all(sections.iter().map(|section| {
        let entry = ConfigError::both(section.only(&keys), ProviderEntry::read(section, calls))?;
        if names.insert(entry.name.clone()) {
            Ok(entry)
        } else {
            Err(section.bad("name", "is the name of another provider too"))
        }
    }))
}

fn read_prices(source: &Source<'_>, table: &DeTable<'_>) -> Result<Vec<PriceEntry>, ConfigError> {
    let Some(value) = table.get("prices") else { return Ok(Vec::new()) };
    let (keys, mut models) = (PriceEntry::keys(), HashSet::new());
    let sections = Section::repeated(source, "prices", value)?;
    ConfigError::all(sections.iter().map(|section| {
        let entry = ConfigError::both(section.only(&keys), PriceEntry::read(section))?;
        if models.insert((entry.provider.clone(), entry.model.clone())) {
            Ok(entry)
        } else {
            Err(section.bad("model", "has another entry for this provider"))
        }
    }))
}

fn read_webhooks(source: &Source<'_>, table: &DeTable<'_>) -> Result<Vec<WebhookEntry>, ConfigError> {
    let Some(value) = table.get("webhooks") else { return Ok(Vec::new()) };
    let (keys, mut names) = (WebhookEntry::keys(), HashSet::new());
    let sections = Section::repeated(source, "webhooks", value)?;
    if let Some(surplus) = sections.get(webhook::MOST) {
        return Err(surplus.bad("name", format!("is one too many: at most {} webhooks", webhook::MOST)));
    }
    ConfigError::all(sections.iter().map(|section| {
        let entry = ConfigError::both(section.only(&keys), WebhookEntry::read(section))?;
        if names.insert(entry.name.clone()) {
            Ok(entry)
        } else {
            Err(section.bad("name", "is the name of another webhook too"))
        }
    }))
}

fn found(providers: &[ProviderEntry]) -> Vec<Notice> {
    if providers.is_empty() {
        return vec![Notice::NoProvider];
    }
    let notice = |entry: &ProviderEntry| {
        let variable = key_variable(entry)?.to_owned();
        Some(Notice::Found { provider: entry.name.clone(), variable })
    };
    providers.iter().filter_map(notice).collect()
}

fn key_variables(providers: &[ProviderEntry]) -> Vec<&str> {
    providers.iter().filter_map(key_variable).collect()
}

fn key_variable(entry: &ProviderEntry) -> Option<&str> {
    match &entry.key {
        KeySource::Variable(name) => Some(name),
        KeySource::File(_) | KeySource::None => None,
    }
}

fn unused(prices: &[PriceEntry], providers: &[ProviderEntry]) -> Vec<Notice> {
    let is_used = |price: &&PriceEntry| providers.iter().any(|entry| entry.catalogue == price.provider);
    let notice = |price: &PriceEntry| Notice::UnusedPrices {
        place: price.place.clone(),
        provider: price.provider.clone(),
    };
    prices.iter().filter(|price| !is_used(price)).map(notice).collect()
}

#[cfg(test)]
mod tests;
