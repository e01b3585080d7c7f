//! What is counted of people who log in. No name is in it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::declare::metrics;
use super::labelled::{Labelled, Labels, OTHER};

metrics! {
    /// The metrics of logins and sessions.
    pub struct PeopleMetrics {
        /// Attempts to log in or to use a link: `logged_in`, or the code of the error.
        logins: Labelled<Outcome, Counter> = "nemo_logins";
        /// Sessions of people at this node.
        sessions: Gauge = "nemo_sessions";
    }
}

/// How an attempt ended.
#[derive(Debug, EncodeLabelSet)]
pub struct Outcome {
    outcome: &'static str,
}

impl Labels for Outcome {
    const NAMES: &'static [&'static str] = &["outcome"];
    const MOST: usize = 16;

    fn rest() -> Self {
        Self { outcome: OTHER }
    }
}

impl PeopleMetrics {
    /// Somebody logged in.
    pub fn logged_in(&self) {
        self.ended("logged_in");
    }

    /// An attempt was refused.
    pub fn refused(&self, code: &'static str) {
        self.ended(code);
    }

    fn ended(&self, outcome: &'static str) {
        self.logins.of(|known| known.outcome == outcome, || Outcome { outcome }).inc();
    }
}
