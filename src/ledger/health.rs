//! Whether the store took the last appends, for readiness.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// After this long without another failure the node is offered calls again: without calls nobody would
/// find out that the store is back.
const FORGET_AFTER: Duration = Duration::from_secs(5);

/// The last failed append, until one succeeds.
#[derive(Debug, Default)]
pub(super) struct StoreHealth {
    troubled: AtomicBool,
    last: Mutex<Option<(Instant, String)>>,
}

impl StoreHealth {
    pub(super) fn succeeded(&self) {
        // Nearly always clear already: no lock on the hot path.
        if self.troubled.swap(false, Ordering::AcqRel) {
            info!("the store takes events again");
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    pub(super) fn failed(&self, why: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why.to_owned()));
        if !self.troubled.swap(true, Ordering::AcqRel) {
            // Once, not for each of the thousands of streams that try again.
            warn!(why, "the store does not take events; trying again");
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < FORGET_AFTER).map(|(_, why)| why.clone())
    }
}
