//! What every handler may use: the one place where the parts are put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::auth::in_force::SecretsInForce;
use crate::auth::misses::ColdMisses;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::providers::Providers;
use crate::providers::openai::InertFields;
use crate::read_side::ReadSide;

/// The running gateway.
pub struct App {
    /// The configuration that it was started with.
    pub config: Config,
    /// Peppers and master keys.
    pub secrets: SecretsInForce,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The read model.
    pub read_side: ReadSide,
    /// Where calls go.
    pub providers: Providers,
    /// Request fields that are passed on unpriced.
    pub inert_fields: InertFields,
    /// Look-ups of unknown keys by address.
    pub misses: ColdMisses,
    /// Where the gateway is in its life.
    pub lifecycle: Lifecycle,
    /// What is counted and measured.
    pub metrics: Metrics,
}

/// Where the gateway is in its life.
#[derive(Debug, Default)]
pub struct Lifecycle {
    stopping: AtomicBool,
}

impl Lifecycle {
    /// New calls are refused from here on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether new calls are refused.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
