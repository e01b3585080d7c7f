//! What has happened, to be asked and to be waited for.

use std::time::Duration;

use tokio::sync::watch;

/// What has happened so far, over all nodes and restarts; `open_*` are as of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// TCP connections that were accepted.
    pub connections: u64,
    /// Those that are open.
    pub open_connections: u64,
    /// Batch sessions that were opened.
    pub batch_sessions: u64,
    /// Those that are open.
    pub open_batch_sessions: u64,
    /// Appends that were read in full, whatever became of them.
    pub appends_arrived: u64,
    /// Appends that were written now; those that were there already do not count.
    pub appends_committed: u64,
    /// Events in these.
    pub events_committed: u64,
    /// Appends that were refused with a wrong expected version.
    pub conflicts: u64,
    /// Appends and reads to which a fault has happened; it has when this counts it.
    pub faults: u64,
    /// Reads of a stream or of all streams.
    pub reads: u64,
    /// Subscriptions that were opened.
    pub subscriptions: u64,
    /// Those that are open.
    pub open_subscriptions: u64,
    /// Events that were sent to subscribers.
    pub delivered: u64,
}

/// How long anything is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Counters(watch::Sender<Counts>);

impl Counters {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }

    pub(crate) fn now(&self) -> Counts {
        *self.0.borrow()
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.0.send_modify(change);
    }

    /// Waits until the counts are as asked.
    ///
    /// # Panics
    /// If they are not within 30 s.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Counts) -> bool) -> Counts {
        let mut counts = self.0.subscribe();
        let waited = tokio::time::timeout(PATIENCE, counts.wait_for(|counts| is(counts))).await;
        match waited {
            Ok(counts) => *counts.expect("the sender lives as long as the simulator"),
            Err(_) => panic!("waited in vain until {what}; so far {:?}", self.now()),
        }
    }

    /// Counts up what [`Open::end`] counts down when it is dropped.
    pub(crate) fn open(self: &std::sync::Arc<Self>, start: fn(&mut Counts), end: fn(&mut Counts)) -> Open {
        self.count(start);
        Open { counters: std::sync::Arc::clone(self), end }
    }
}

/// Something that is open until this is dropped.
pub(crate) struct Open {
    counters: std::sync::Arc<Counters>,
    end: fn(&mut Counts),
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counters.count(self.end);
    }
}
