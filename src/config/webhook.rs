//! `[[webhooks]]`: who is told of alerts and of what managers do.

use std::path::PathBuf;

use nemo_projections::notice::NoticeKind;
use reqwest::Url;

use super::error::ConfigError;
use super::kind::{Flag, List, Optional, Required, Text, Whole, not_empty};
use super::provider::{is_loopback, provider_name, variable_name};
use super::read::Section;
use super::reference::{KeyDoc, section};

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEntry {
    /// What it is called in commands, logs and metrics.
    pub name: String,
    /// Where notices are sent.
    pub url: Url,
    /// Where the secrets are that sign them.
    pub secret: SecretSource,
    /// What it is told of.
    pub events: Vec<NoticeKind>,
    /// How long its receiver may take for an answer.
    pub timeout_secs: u32,
    /// Whether this node sends, should another one be meant to.
    pub node: Option<String>,
}

/// Where a webhook's secrets are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In an environment variable.
    Variable(String),
    /// In a file.
    File(PathBuf),
}

/// How many there may be: each reads lists for itself.
pub(super) const MOST: usize = 16;

const NAME: &str = "1 to 64 lower-case letters, digits, `-`, `_` or `.`, the first a letter or digit";
const ADDRESS: &str = "an `https://` URL without a name or password";
const VARIABLE: &str = "the name of a variable: capital letters, digits and `_`";
const EVENT: &str = "one of `budget.threshold_reached`, `calls.refused`, `key.created`, `key.blocked`, \
                     `key.unblocked`, `key.leaked`, `key.revoked`, `org.suspended`, `org.resumed`, `org.archived`";

section! {
    /// `[[webhooks]]`: who is told of alerts and of what managers do, as stated. See `webhooks.md`.
    struct Stated in "[[webhooks]]" {
        /// What it is called in commands, logs and metrics.
        name: String = Required(Text(NAME, webhook_name)), "required";
        /// Where notices are sent. What follows its host may be a secret, and is shown nowhere.
        url: Url = Required(Text(ADDRESS, address)), "required";
        /// Admits an `http://` URL to another machine.
        allow_http: bool = Flag, "false";
        /// The environment variable that holds the secrets that sign notices. Exactly one of this and `secret_file`.
        secret_env: Option<String> = Optional(Text(VARIABLE, variable_name)), "none";
        /// The file that holds them: each `whsec_` and base64 of 32 to 64 bytes, up to four, one on a line.
        secret_file: Option<PathBuf> = Optional(Text("a path", not_empty::<PathBuf>)), "none";
        /// What it is told of.
        events: Vec<NoticeKind> = List(Text(EVENT, kind)), "everything";
        /// How long its receiver may take for an answer.
        timeout_secs: u32 = Whole(1..=60), "10";
        /// The only node that sends, where several have this webhook.
        node: Option<String> = Optional(Text("a node's name", not_empty::<String>)), "every node that has it";
    }
}

impl WebhookEntry {
    pub(super) fn keys() -> Vec<KeyDoc> {
        Stated::keys()
    }

    /// Reads one of the tables.
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let stated = Stated::read(section)?;
        if stated.url.scheme() == "http" && !stated.allow_http && !is_near(&stated.url) {
            let why = "must begin with https:// unless it is on this machine or allow_http = true";
            return Err(section.bad("url", why));
        }
        let secret = match (stated.secret_env, stated.secret_file) {
            (Some(variable), None) => SecretSource::Variable(variable),
            (None, Some(path)) => SecretSource::File(path),
            (None, None) => return Err(section.missing("secret_file")),
            (Some(_), Some(_)) => {
                return Err(section.bad("name", "must have exactly one of secret_env and secret_file"));
            }
        };
        if stated.events.is_empty() && section.states("events") {
            return Err(section.bad("events", "must not be empty; without it everything is sent"));
        }
        let mut events = if stated.events.is_empty() { NoticeKind::ALL.to_vec() } else { stated.events };
        events.sort_unstable();
        events.dedup();
        Ok(Self {
            name: stated.name,
            url: stated.url,
            secret,
            events,
            timeout_secs: stated.timeout_secs,
            node: stated.node,
        })
    }

    /// Where notices go, as far as that may be shown: what follows the host may be a secret.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether its receiver is on this machine.
    #[must_use]
    pub fn is_near(&self) -> bool {
        is_near(&self.url)
    }

    /// The variable with its secrets.
    pub(super) fn variable(&self) -> Option<&str> {
        match &self.secret {
            SecretSource::Variable(name) => Some(name),
            SecretSource::File(_) => None,
        }
    }
}

fn is_near(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
}

/// The name is that of a file too.
fn webhook_name(text: &str) -> Option<String> {
    provider_name(text).filter(|name| name.starts_with(|first: char| first.is_ascii_alphanumeric()))
}

fn address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain).then_some(url)
}

fn kind(text: &str) -> Option<NoticeKind> {
    NoticeKind::ALL.into_iter().find(|kind| kind.as_str() == text)
}
