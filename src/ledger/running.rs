//! Calls in flight on this node, so that a revoke can cut them at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use nemo_events::{CallId, KeyId};
use tokio::sync::{Notify, watch};

/// Why a running call must end now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its key was revoked.
    KeyRevoked,
    /// The node stops.
    Stopping,
}

/// Running calls by key, each with the way to cut it.
type Calls = HashMap<KeyId, HashMap<CallId, watch::Sender<Option<Cut>>>>;

/// The running calls by key.
#[derive(Debug, Default)]
pub struct Running {
    calls: Mutex<Calls>,
    left: Notify,
}

/// A running call's place in the list; leaving it takes the call off.
#[derive(Debug)]
pub struct Place<'a> {
    running: &'a Running,
    key: KeyId,
    call: CallId,
    cut: CutSignal,
}

/// Tells a running call that it must end.
#[derive(Debug, Clone)]
pub struct CutSignal(watch::Receiver<Option<Cut>>);

impl Running {
    /// Puts a call on the list. Must come before its authorisation, so that no revoke falls between.
    pub fn enter(&self, key: KeyId, call: CallId) -> Place<'_> {
        let (sender, cut) = watch::channel(None);
        self.lock().entry(key).or_default().insert(call, sender);
        Place { running: self, key, call, cut: CutSignal(cut) }
    }

    /// Cuts every running call of a key.
    pub fn cut(&self, key: KeyId) {
        for call in self.lock().get(&key).into_iter().flat_map(HashMap::values) {
            call.send_replace(Some(Cut::KeyRevoked));
        }
    }

    /// Cuts every running call.
    pub fn cut_all(&self) {
        for call in self.lock().values().flat_map(HashMap::values) {
            call.send_replace(Some(Cut::Stopping));
        }
    }

    /// Waits until no call is running.
    pub async fn idle(&self) {
        loop {
            // Asked for before the look, so that no leave falls between.
            let left = self.left.notified();
            if self.count() == 0 {
                return;
            }
            left.await;
        }
    }

    /// How many calls are running.
    pub fn count(&self) -> usize {
        self.lock().values().map(HashMap::len).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Waits until the call must end.
    pub async fn cut(&mut self) -> Cut {
        self.cut.given().await
    }

    /// What tells it so.
    #[must_use]
    pub fn signal(&self) -> CutSignal {
        self.cut.clone()
    }
}

impl CutSignal {
    /// Waits until the call must end.
    pub async fn given(&mut self) -> Cut {
        loop {
            if let Some(cut) = *self.0.borrow_and_update() {
                return cut;
            }
            if self.0.changed().await.is_err() {
                // The list went away with the node.
                return Cut::Stopping;
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut calls = self.running.lock();
        if let Some(of_key) = calls.get_mut(&self.key) {
            of_key.remove(&self.call);
            if of_key.is_empty() {
                calls.remove(&self.key);
            }
        }
        drop(calls);
        self.running.left.notify_waiters();
    }
}
