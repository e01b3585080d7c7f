//! What every handler may use: the one place where the parts are put together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;

use crate::auth::in_force::SecretsInForce;
use crate::auth::misses::ColdMisses;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::people::People;
use crate::proxy::breaker::Breakers;
use crate::proxy::rests::Rests;
use crate::read_side::ReadSide;
use crate::reload::Reloader;
use crate::store::Place;
use crate::terms::Terms;
use crate::webhooks::Webhooks;

/// The running gateway.
pub struct App {
    /// The configuration that it was started with. What of it can change meanwhile is in [`Self::terms`].
    pub config: Config,
    /// Peppers and master keys.
    pub secrets: SecretsInForce,
    /// What this node keeps of people who log in.
    pub people: People,
    /// Where the ledger is kept.
    pub place: Place,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The read model.
    pub read_side: ReadSide,
    /// Who is told of alerts.
    pub webhooks: Webhooks,
    /// Reads the configuration again.
    pub reloader: Reloader,
    /// What calls go by.
    pub terms: ArcSwap<Terms>,
    /// Look-ups of unknown keys by address.
    pub misses: ColdMisses,
    /// What keeps calls from providers that do not answer.
    pub breakers: Breakers,
    /// Providers that are asked after the others.
    pub rests: Rests,
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

/// Where the gateway is in its life: starting, then serving, then stopping.
///
/// While it is starting nothing of the ledger was compared with the secrets at hand, so nobody is believed
/// and nothing is written.
#[derive(Debug)]
pub struct Lifecycle {
    serving: AtomicBool,
    stopping: AtomicBool,
    /// What a start waits for.
    awaited: RwLock<Arc<str>>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        let awaited = RwLock::new("this node has not reached its ledger since it was started".into());
        Self { serving: AtomicBool::new(false), stopping: AtomicBool::new(false), awaited }
    }
}

impl Lifecycle {
    /// The start waits for this.
    pub fn wait_for(&self, what: &str) {
        *self.awaited.write().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// The node has started: calls are taken from here on.
    pub fn serve(&self) {
        self.serving.store(true, Ordering::SeqCst);
    }

    /// New calls are refused from here on.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether the start was completed, whatever came then.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.serving.load(Ordering::SeqCst)
    }

    /// Why a start is not complete; `None` once it is.
    #[must_use]
    pub fn why_not_started(&self) -> Option<Arc<str>> {
        if self.has_started() {
            return None;
        }
        Some(Arc::clone(&self.awaited.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Why new calls are refused; `None` where they are taken.
    #[must_use]
    pub fn why_no_calls(&self) -> Option<Arc<str>> {
        if self.stopping.load(Ordering::SeqCst) {
            return Some("this node is stopping".into());
        }
        self.why_not_started()
    }
}
