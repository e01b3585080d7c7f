//! What every handler may use: the one place where the parts are put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::auth::in_force::SecretsInForce;
use crate::auth::misses::ColdMisses;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::read_side::ReadSide;
use crate::reload::Reloader;
use crate::terms::Terms;

/// The running gateway.
pub struct App {
    /// The configuration that it was started with. What of it can change meanwhile is in [`Self::terms`].
    pub config: Config,
    /// Peppers and master keys.
    pub secrets: SecretsInForce,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The read model.
    pub read_side: ReadSide,
    /// Reads the configuration again.
    pub reloader: Reloader,
    /// What calls go by.
    pub terms: ArcSwap<Terms>,
    /// Look-ups of unknown keys by address.
    pub misses: ColdMisses,
    /// Where the gateway is in its life.
    pub lifecycle: Lifecycle,
    /// What is counted and measured.
    pub metrics: Metrics,
}

impl App {
    /// What calls that begin now go by. Takes no lock.
    #[must_use]
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    /// Replaces what calls go by that begin from now on.
    pub fn set_terms(&self, terms: Terms) {
        self.terms.store(Arc::new(terms));
    }
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
