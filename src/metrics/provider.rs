//! What is measured of providers: how long they take, and what they answer.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;

use super::declare::metrics;
use super::histogram::{Histogram, Seconds};
use super::labelled::{Labelled, Labels, OTHER};

metrics! {
    /// The providers' metrics.
    pub struct ProviderMetrics {
        /// Calls sent to a provider by what came back: 2xx, 3xx, 4xx, 429, 5xx, unreachable, timeout, reset, or cut where the call was ended from this side before any answer.
        outcomes: Labelled<Outcome, Counter> = "nemo_provider_calls";
        /// Attempts at a request that followed on one at this provider which cost nothing: why (as outcome; or suspended by its breaker, or refused by the key's limits there), and whether the next is at the same provider or another.
        fallbacks: Labelled<Fallback, Counter> = "nemo_provider_fallbacks";
        /// Time from sending a call to the first byte of the answer's body.
        first_byte: Labelled<Name, Histogram<Seconds>> = "nemo_provider_first_byte_seconds";
        /// Time from sending a call to the end of its answer.
        duration: Labelled<Name, Histogram<Seconds>> = "nemo_provider_call_seconds";
    }
}

/// A provider.
#[derive(Debug, EncodeLabelSet)]
pub struct Name {
    provider: String,
}

/// What came back from a provider.
#[derive(Debug, EncodeLabelSet)]
pub struct Outcome {
    provider: String,
    outcome: &'static str,
}

/// What followed on an attempt that came to nothing.
#[derive(Debug, EncodeLabelSet)]
pub struct Fallback {
    provider: String,
    why: &'static str,
    next: &'static str,
}

impl Labels for Name {
    const NAMES: &'static [&'static str] = &["provider"];
    const MOST: usize = 64;

    fn rest() -> Self {
        Self { provider: OTHER.to_owned() }
    }
}

impl Labels for Outcome {
    const NAMES: &'static [&'static str] = &["provider", "outcome"];
    const MOST: usize = 256;

    fn rest() -> Self {
        Self { provider: OTHER.to_owned(), outcome: OTHER }
    }
}

impl Labels for Fallback {
    const NAMES: &'static [&'static str] = &["provider", "why", "next"];
    const MOST: usize = 256;

    fn rest() -> Self {
        Self { provider: OTHER.to_owned(), why: OTHER, next: OTHER }
    }
}

impl ProviderMetrics {
    /// An attempt at a provider came to nothing, and another follows at the `same` one or an `other`.
    pub fn fell_back(&self, provider: &str, why: &'static str, next: &'static str) {
        let is_it = |known: &Fallback| known.why == why && known.next == next && known.provider == provider;
        self.fallbacks.of(is_it, || Fallback { provider: provider.to_owned(), why, next }).inc();
    }

    /// A call to a provider came to its end.
    pub fn called(
        &self,
        provider: &str,
        outcome: &'static str,
        first_byte: Option<Duration>,
        duration: Duration,
    ) {
        let is_it = |known: &Outcome| known.outcome == outcome && known.provider == provider;
        self.outcomes.of(is_it, || Outcome { provider: provider.to_owned(), outcome }).inc();
        let name = || Name { provider: provider.to_owned() };
        if let Some(first_byte) = first_byte {
            self.first_byte.of(|known| known.provider == provider, name).took(first_byte);
        }
        self.duration.of(|known| known.provider == provider, name).took(duration);
    }
}
