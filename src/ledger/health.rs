//! Whether the store took the last appends, for readiness.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    pub(super) fn failed(&self, why: &str) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why.to_owned()));
        self.troubled.store(true, Ordering::Release);
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < FORGET_AFTER).map(|(_, why)| why.clone())
    }
}
