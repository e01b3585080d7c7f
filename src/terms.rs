//! What calls go by: where they go, at what price, and the limits of `[calls]`. All of it is replaced at once
//! when the configuration is read again; a call keeps the terms that it began with to its end.

use std::time::Duration;

use crate::catalogue::{Catalogue, CatalogueError};
use crate::config::Config;
use crate::providers::openai::InertFields;
use crate::providers::{Providers, UnusableProvider};
use crate::proxy::Tries;

/// What calls go by.
#[derive(Debug)]
pub struct Terms {
    /// Where calls go, and at what price.
    pub providers: Providers,
    /// Request fields that are passed on unpriced.
    pub inert_fields: InertFields,
    /// How long a call may take in all.
    pub deadline_secs: u32,
    /// How long a call may wait for money that others hold.
    pub held_wait: Duration,
    /// Calls in a row that a provider may leave without an answer.
    pub unknown_ends_at_most: u32,
    /// How often a request that came to nothing is tried again.
    pub tries: Tries,
}

/// Why a configuration makes no terms.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTerms {
    /// Its prices.
    #[error("the prices cannot be used")]
    Prices(#[from] CatalogueError),
    /// One of its providers.
    #[error(transparent)]
    Provider(#[from] UnusableProvider),
}

impl Terms {
    /// Those of a configuration. Reads the providers' keys; connections of the terms before go on being used.
    ///
    /// # Errors
    /// [`UnusableTerms`] for the first price or provider that cannot be used.
    pub fn of(config: &Config, before: Option<&Self>) -> Result<Self, UnusableTerms> {
        let catalogue = Catalogue::with(&config.prices)?;
        Ok(Self {
            providers: Providers::new(config, &catalogue, before.map(|terms| &terms.providers))?,
            inert_fields: InertFields::with(config.calls.inert_fields.iter().cloned()),
            deadline_secs: config.calls.deadline_secs,
            held_wait: Duration::from_secs(config.calls.held_wait_secs.into()),
            unknown_ends_at_most: config.calls.unknown_ends_at_most,
            tries: Tries {
                attempts_at_most: config.calls.attempts_at_most,
                retries_at_most: config.calls.retries_at_most,
                retry_wait: Duration::from_secs(config.calls.retry_wait_secs.into()),
                rest_at_most: Duration::from_secs(config.calls.rest_at_most_secs.into()),
            },
        })
    }
}
