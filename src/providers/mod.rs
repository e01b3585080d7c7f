//! Where calls go: one module for each dialect (wire shapes and usage), and the table that finds the provider
//! of a model. Nothing here knows the ledger.

pub(crate) mod client;
pub mod openai;
pub mod route;
pub mod simulated;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nemo_events::Timestamp;

pub use self::route::{ModelEntry, Providers, Route, UnusableProvider};
use crate::auth::provider_key::{ProviderKey, ProviderKeyError};
use crate::catalogue::{Card, Catalogue, Seller};
use crate::config::{KeySource, ModelPattern, ProviderEntry};
use crate::providers::openai::Flavour;

/// A provider, ready to be called.
#[derive(Debug)]
pub struct Provider {
    /// Its name in `name/model`, in the ledger and in logs.
    pub name: String,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
    /// What it wants to see; some ask for nothing.
    pub key: Option<ProviderKey>,
    /// What it understands.
    pub flavour: Flavour,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Calls it, and only it.
    pub http: reqwest::Client,
    /// Where its chat completions are.
    pub chat_completions: reqwest::Url,
    seller: Option<Arc<Seller>>,
    models: Vec<ModelPattern>,
    rename: BTreeMap<String, String>,
}

/// How long a provider may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until it is connected.
    pub connect: Duration,
    /// Silence before the first byte of its answer.
    pub first_byte: Duration,
    /// Silence within its answer.
    pub idle: Duration,
}

/// Why a provider cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its key is not to be had.
    #[error("it has no usable key")]
    Key(#[from] ProviderKeyError),
    /// The address is no URL.
    #[error("its `base_url` is no URL")]
    Address,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: are the system's CA certificates installed (Debian: ca-certificates)?")]
    Tls(#[source] reqwest::Error),
}

/// What a provider has to say about a model's name.
enum Offer {
    /// It does not serve it.
    None,
    /// It serves it, but nobody knows at what price or within what limits.
    Unpriced,
    /// It serves it under this name and by this card.
    Priced(String, Card),
}

impl Provider {
    /// `before` is the provider of this name so far; its connections go on being used.
    fn new(entry: &ProviderEntry, catalogue: &Catalogue, before: Option<&Self>) -> Result<Self, Unusable> {
        let key = match &entry.key {
            KeySource::Variable(name) => Some(ProviderKey::from_env(name)?),
            KeySource::File(path) => Some(ProviderKey::from_file(path)?),
            KeySource::None => None,
        };
        let secs = |secs: u32| Duration::from_secs(u64::from(secs));
        let url = format!("{}/chat/completions", entry.base_url);
        Ok(Self {
            http: match before.filter(|before| before.timeouts.connect == secs(entry.connect_timeout_secs)) {
                Some(before) => before.http.clone(),
                None => client::build(secs(entry.connect_timeout_secs)).map_err(Unusable::Tls)?,
            },
            chat_completions: url.parse().map_err(|_| Unusable::Address)?,
            name: entry.name.clone(),
            base_url: entry.base_url.clone(),
            key,
            flavour: entry.flavour,
            timeouts: Timeouts {
                connect: secs(entry.connect_timeout_secs),
                first_byte: secs(entry.first_byte_timeout_secs),
                idle: secs(entry.idle_timeout_secs),
            },
            seller: catalogue.seller(&entry.catalogue).map(Arc::clone),
            models: entry.models.clone(),
            rename: entry.rename.clone(),
        })
    }

    /// Whether both are called with the same key.
    #[must_use]
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.key.as_ref().map(ProviderKey::expose_secret)
            == other.key.as_ref().map(ProviderKey::expose_secret)
    }

    /// A model's cards over time, by its name there: from when on each holds, the earliest first.
    #[must_use]
    pub fn cards(&self, provider_model: &str) -> Vec<(Timestamp, Card)> {
        let Some(seller) = &self.seller else { return Vec::new() };
        let card = |from| Some((from, seller.card(provider_model, from).ok()??));
        seller.dates(provider_model).into_iter().filter_map(card).collect()
    }

    /// What it has to say about a name. A name that is neither renamed nor matched by a stated pattern is
    /// served only if the catalogue knows it.
    fn offer(&self, name: &str, at: Timestamp) -> Offer {
        let renamed = self.rename.get(name);
        let matched = self.models.iter().any(|pattern| pattern.matches(name));
        if renamed.is_none() && !matched && !self.models.is_empty() {
            return Offer::None;
        }
        let theirs = renamed.map_or(name, String::as_str);
        let card = self.seller.as_ref().map_or(Ok(None), |seller| seller.card(theirs, at));
        match card {
            Ok(Some(card)) => Offer::Priced(theirs.to_owned(), card),
            Ok(None) if renamed.is_none() && !matched => Offer::None,
            Ok(None) | Err(_) => Offer::Unpriced,
        }
    }

    /// The names under which it may serve something, ours with theirs.
    fn names(&self) -> BTreeMap<&str, &str> {
        let is_served =
            |name: &&str| self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(name));
        let known = self.seller.iter().flat_map(|seller| seller.names()).filter(is_served);
        let renamed = self.rename.iter().map(|(ours, theirs)| (ours.as_str(), theirs.as_str()));
        known.map(|name| (name, name)).chain(renamed).collect()
    }
}
