//! Faults of a memory store, each on demand, so that a test needs no sleep and no luck.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nemo_events::Sealed;
use tokio::sync::watch;

use crate::{AppendError, Expected, ReadError};

/// What one append runs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is told of a conflict; nothing is written.
    Conflict,
    /// Its outcome is unknown; it was not written and never will be.
    NotWritten,
    /// Its outcome is unknown; it was written.
    Written,
    /// Its outcome is unknown; it becomes visible at [`super::MemoryStore::commit_late`], if ever.
    Late,
}

/// Switches for everything that can go wrong with a memory store.
#[derive(Debug, Default)]
pub struct Faults {
    switches: Mutex<Switches>,
    gate: watch::Sender<Gate>,
}

#[derive(Debug, Default)]
struct Switches {
    queued: VecDeque<Fault>,
    late: Vec<(Expected, Vec<Sealed>)>,
    appends_fail: bool,
    reads_fail: bool,
    delivers_twice: bool,
}

#[derive(Debug, Default)]
struct Gate {
    shut: bool,
    arrived: u64,
}

impl Faults {
    /// The next append that has no fault yet runs into this one; call again for the one after it.
    pub fn next(&self, fault: Fault) {
        self.switches().queued.push_back(fault);
    }

    /// From now on every append and every read finds the store unavailable.
    pub fn go_away(&self) {
        self.fail_appends();
        self.switches().reads_fail = true;
    }

    /// From now on every append finds the store unavailable; reads go on, as with a full disk.
    pub fn fail_appends(&self) {
        self.switches().appends_fail = true;
    }

    /// Ends [`Self::go_away`] and [`Self::fail_appends`].
    pub fn come_back(&self) {
        let mut switches = self.switches();
        switches.appends_fail = false;
        switches.reads_fail = false;
    }

    /// From now on subscriptions deliver each page again together with the next one.
    pub fn deliver_twice(&self) {
        self.switches().delivers_twice = true;
    }

    /// From now on appends wait, before anything else happens to them.
    pub fn pause_appends(&self) {
        self.gate.send_modify(|gate| gate.shut = true);
    }

    /// Lets the waiting appends go on, and those to come.
    pub fn release_appends(&self) {
        self.gate.send_modify(|gate| gate.shut = false);
    }

    /// Appends that have reached the store so far, waiting ones included.
    #[must_use]
    pub fn appends_arrived(&self) -> u64 {
        self.gate.borrow().arrived
    }

    /// Waits until `count` appends have reached the store since it was made, waiting ones included.
    pub async fn appends_arrive(&self, count: u64) {
        // The sender is in `self`, so the channel cannot close while this waits.
        let _ = self.gate.subscribe().wait_for(|gate| gate.arrived >= count).await;
    }

    pub(super) async fn pass_gate(&self) {
        self.gate.send_modify(|gate| gate.arrived = gate.arrived.saturating_add(1));
        let _ = self.gate.subscribe().wait_for(|gate| !gate.shut).await;
    }

    pub(super) fn next_append(&self) -> Result<Option<Fault>, AppendError> {
        let mut switches = self.switches();
        if switches.appends_fail {
            return Err(AppendError::Unavailable("told so by a test".to_owned()));
        }
        Ok(switches.queued.pop_front())
    }

    pub(super) fn check_read(&self) -> Result<(), ReadError> {
        if self.switches().reads_fail {
            return Err(ReadError::Unavailable("told so by a test".to_owned()));
        }
        Ok(())
    }

    pub(super) fn hold_back(&self, expected: Expected, events: Vec<Sealed>) {
        self.switches().late.push((expected, events));
    }

    pub(super) fn take_late(&self) -> Vec<(Expected, Vec<Sealed>)> {
        std::mem::take(&mut self.switches().late)
    }

    pub(super) fn delivers_twice(&self) -> bool {
        self.switches().delivers_twice
    }

    fn switches(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
