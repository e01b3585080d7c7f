//! What is measured of the embedded store. Another store keeps its own metrics.

use std::time::Duration;

use super::declare::metrics;
use super::histogram::{Histogram, Seconds, Size};

metrics! {
    /// The embedded store's metrics.
    pub struct StoreMetrics {
        /// Events of each commit: what waited, of all streams, was written with one sync.
        commit_events: Histogram<Size> = "nemo_commit_events";
        /// Time that a commit took, its sync included.
        commit: Histogram<Seconds> = "nemo_commit_seconds";
    }
}

impl StoreMetrics {
    /// A commit is durable.
    pub fn committed(&self, events: u64, took: Duration) {
        self.commit_events.observe(events);
        self.commit.took(took);
    }
}
