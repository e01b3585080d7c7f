//! `[[providers]]`: where calls go, and the providers that need no configuration but their key.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use http::Uri;
use nemo_projections::decide::model_matches;

use super::environment::Environment;
use super::error::ConfigError;
use super::kind::{Flag, List, Names, OneOf, Optional, Required, Text, Whole, not_empty};
use super::read::Section;
use super::reference::{KeyDoc, section};
use super::server::Calls;
use crate::providers::openai::{Flavour, OutputLimitField, ServiceTier};

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEntry {
    /// Its name in `name/model`, in the ledger and in logs.
    pub name: String,
    /// Where its API is, without a slash at the end.
    pub base_url: String,
    /// Where its key is found.
    pub key: KeySource,
    /// Whose prices hold for it.
    pub catalogue: String,
    /// The models that it serves; without any, all that have a price.
    pub models: Vec<ModelPattern>,
    /// Names that differ: ours to theirs.
    pub rename: BTreeMap<String, String>,
    /// What it understands.
    pub flavour: Flavour,
    /// How long connecting may take.
    pub connect_timeout_secs: u32,
    /// How long it may stay silent before its answer.
    pub first_byte_timeout_secs: u32,
    /// How long it may stay silent within its answer.
    pub idle_timeout_secs: u32,
}

/// Where a provider's key is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In an environment variable.
    Variable(String),
    /// In a file.
    File(PathBuf),
    /// The provider asks for none.
    None,
}

/// A name of models in which `*` stands for any run of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPattern(String);

impl ModelPattern {
    fn parse(text: &str) -> Option<Self> {
        let ok = !text.is_empty() && text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
        ok.then(|| Self(text.to_owned()))
    }

    /// The one name that it stands for; `None` where it stands for many.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(self.0.as_str())
    }

    /// Whether a model's name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        model_matches(&self.0, name)
    }
}

/// What everybody calls a provider, where it is and where its key is expected. Named as in the catalogue;
/// vendors before resellers, because the first that has a model serves it.
const WELL_KNOWN: &[WellKnown] = &[
    well_known("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    well_known("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    well_known("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    well_known("x-ai", "https://api.x.ai/v1", "XAI_API_KEY"),
    well_known("moonshotai", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    well_known("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    well_known("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    well_known("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    well_known("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    well_known("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
];

struct WellKnown {
    name: &'static str,
    base_url: &'static str,
    variable: &'static str,
}

const fn well_known(name: &'static str, base_url: &'static str, variable: &'static str) -> WellKnown {
    WellKnown { name, base_url, variable }
}

/// The providers whose keys are in the environment.
pub(super) fn found(environment: &Environment, calls: &Calls) -> Vec<ProviderEntry> {
    let found = WELL_KNOWN.iter().filter(|known| environment.is_set(known.variable));
    let entry = |known: &WellKnown| ProviderEntry {
        name: known.name.to_owned(),
        base_url: known.base_url.to_owned(),
        key: KeySource::Variable(known.variable.to_owned()),
        catalogue: known.name.to_owned(),
        models: Vec::new(),
        rename: BTreeMap::new(),
        flavour: flavour(known.name, None, None),
        connect_timeout_secs: calls.connect_timeout_secs,
        first_byte_timeout_secs: calls.first_byte_timeout_secs,
        idle_timeout_secs: calls.idle_timeout_secs,
    };
    found.map(entry).collect()
}

/// Providers that need no more than their name, and the variables in which their keys are expected.
pub fn well_known_providers() -> impl Iterator<Item = (&'static str, &'static str)> {
    WELL_KNOWN.iter().map(|known| (known.name, known.variable))
}

const OUTPUT_LIMIT_FIELD: OneOf<OutputLimitField> =
    OneOf(&[("max_completion_tokens", OutputLimitField::Both), ("max_tokens", OutputLimitField::MaxTokens)]);
const NAME: &str = "1 to 64 lower-case letters, digits, `-`, `_` or `.`";
const VARIABLE: &str = "the name of a variable: capital letters, digits and `_`";
const PATTERN: &str = "a model's name, in which `*` stands for any characters";

section! {
    /// `[[providers]]`: where calls go, as stated.
    struct Stated in "[[providers]]" {
        /// Its name in `name/model`, in the ledger and in logs.
        name: String = Required(Text(NAME, provider_name)), "required";
        /// Where its OpenAI-compatible API is, `/v1` included.
        base_url: Option<String> = Optional(Text("an `https://` URL", not_empty::<String>)), "that of a well-known name, else required";
        /// Admits an `http://` URL to another machine.
        allow_http: bool = Flag, "false";
        /// The environment variable that holds its key. Exactly one of this, `api_key_file` and `no_api_key`.
        api_key_env: Option<String> = Optional(Text(VARIABLE, variable_name)), "none";
        /// The file that holds its key.
        api_key_file: Option<PathBuf> = Optional(Text("a path", not_empty::<PathBuf>)), "none";
        /// It asks for no key.
        no_api_key: bool = Flag, "false";
        /// Whose prices in the catalogue and in `[[prices]]` hold for it.
        catalogue: Option<String> = Optional(Text("a provider of the catalogue", not_empty::<String>)), "its `name`";
        /// The models that it serves, as clients name them. A model that matches but has no price is refused as such.
        models: Vec<ModelPattern> = List(Text(PATTERN, ModelPattern::parse)), "every model that has a price";
        /// Models that it calls by another name: `{ ours = "theirs" }`. Served whatever `models` says; priced as theirs.
        rename: BTreeMap<String, String> = Names, "none";
        /// How it is told the output limit: `max_completion_tokens` if it obeys both names, `max_tokens` if only that.
        output_limit_field: Option<OutputLimitField> = Optional(OUTPUT_LIMIT_FIELD), "`max_completion_tokens` at OpenAI's prices, else `max_tokens`";
        /// Whether it is always asked for its default service tier.
        sends_service_tier: Option<bool> = Optional(Flag), "`true` at OpenAI's prices, else `false`";
        /// How long connecting to it may take.
        connect_timeout_secs: Option<u32> = Optional(Whole(1..=86_400)), "as in `[calls]`";
        /// How long it may stay silent before the first byte of its answer.
        first_byte_timeout_secs: Option<u32> = Optional(Whole(1..=86_400)), "as in `[calls]`";
        /// How long it may stay silent within its answer.
        idle_timeout_secs: Option<u32> = Optional(Whole(1..=86_400)), "as in `[calls]`";
    }
}

impl ProviderEntry {
    pub(super) fn keys() -> Vec<KeyDoc> {
        Stated::keys()
    }

    /// Reads one of the tables and fills in what it leaves out.
    pub(super) fn read(section: &Section<'_>, calls: &Calls) -> Result<Self, ConfigError> {
        let stated = Stated::read(section)?;
        let base_url = base_url(&stated, section)?;
        let key = key_source(&stated, section)?;
        if stated.models.is_empty() && section.states("models") {
            return Err(
                section.bad("models", "must not be empty; without it every model with a price is served")
            );
        }
        let catalogue = stated.catalogue.unwrap_or_else(|| stated.name.clone());
        Ok(Self {
            base_url,
            key,
            flavour: flavour(&catalogue, stated.output_limit_field, stated.sends_service_tier),
            catalogue,
            name: stated.name,
            models: stated.models,
            rename: stated.rename,
            connect_timeout_secs: stated.connect_timeout_secs.unwrap_or(calls.connect_timeout_secs),
            first_byte_timeout_secs: stated.first_byte_timeout_secs.unwrap_or(calls.first_byte_timeout_secs),
            idle_timeout_secs: stated.idle_timeout_secs.unwrap_or(calls.idle_timeout_secs),
        })
    }
}

fn flavour(catalogue: &str, limit: Option<OutputLimitField>, sends_tier: Option<bool>) -> Flavour {
    let openai = catalogue == "openai";
    let usual = if openai { OutputLimitField::Both } else { OutputLimitField::MaxTokens };
    let service_tier = if sends_tier.unwrap_or(openai) { ServiceTier::Default } else { ServiceTier::None };
    Flavour { output_limit: limit.unwrap_or(usual), service_tier }
}

fn key_source(stated: &Stated, section: &Section<'_>) -> Result<KeySource, ConfigError> {
    match (&stated.api_key_env, &stated.api_key_file, stated.no_api_key) {
        (Some(variable), None, false) => Ok(KeySource::Variable(variable.clone())),
        (None, Some(path), false) => Ok(KeySource::File(path.clone())),
        (None, None, true) => Ok(KeySource::None),
        (None, None, false) => Err(section.bad(
            "api_key_env",
            "is missing: say where the provider's key is with one of api_key_env and api_key_file, or that it \
             asks for none with no_api_key = true",
        )),
        _ => Err(section.bad("name", "must have exactly one of api_key_env, api_key_file and no_api_key")),
    }
}

fn base_url(stated: &Stated, section: &Section<'_>) -> Result<String, ConfigError> {
    let Some(stated_url) = &stated.base_url else {
        let known = WELL_KNOWN.iter().find(|known| known.name == stated.name);
        return known.map(|known| known.base_url.to_owned()).ok_or_else(|| section.missing("base_url"));
    };
    let bad = |why: &str| section.bad("base_url", why);
    let url: Uri = stated_url.parse().map_err(|_| bad("must be a URL such as \"https://example.com/v1\""))?;
    let (Some(scheme), Some(host)) = (url.scheme_str(), url.host()) else {
        return Err(bad("must be a whole URL such as \"https://example.com/v1\""));
    };
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(bad("must not contain a name or password; see api_key_env and api_key_file"));
    }
    if stated_url.contains(['?', '#']) {
        return Err(bad("must not contain a query or fragment"));
    }
    match scheme {
        "https" => {}
        "http" if stated.allow_http || is_loopback(host) => {}
        "http" => {
            return Err(bad("must begin with https:// unless it is on this machine or allow_http = true"));
        }
        _ => return Err(bad("must begin with https://")),
    }
    Ok(stated_url.trim_end_matches('/').to_owned())
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

pub(super) fn provider_name(text: &str) -> Option<String> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    let ok = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    ok.then(|| text.to_owned())
}

/// Capital letters only: a key that was put here by mistake is refused without being repeated.
pub(super) fn variable_name(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let ok =
        text.len() <= 128 && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(plain);
    ok.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_pattern_stands_for_any_characters() {
        let matches = |pattern: &str, name: &str| ModelPattern(pattern.to_owned()).matches(name);
        for (pattern, name) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-*", "gpt-4o"),
            ("gpt-*", "gpt-"),
            ("*", ""),
            ("*", "anything/at:all"),
            ("*-mini", "gpt-4o-mini"),
            ("a*b*c", "aXbYc"),
            ("a*b*c", "abbc"),
            ("a**c", "abc"),
            ("*b*b*", "abab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("gpt-4o", "gpt-4o-mini"),
            ("gpt-*", "GPT-4o"),
            ("a*a", "a"),
            ("ab*bc", "abc"),
            ("*b*b*", "ab"),
            ("a*b*c", "acb"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
