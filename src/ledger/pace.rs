//! Waiting: for how long, and between attempts.

use std::time::Duration;

use rand::RngExt;

/// How long things wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long an authorisation waits for the store before the caller is told 503.
    pub(super) authorize: Duration,
    /// The same for management commands.
    pub(super) manage: Duration,
    /// The first wait between two attempts.
    pub(super) first: Duration,
    /// The longest one.
    pub(super) longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            authorize: Duration::from_secs(2),
            manage: Duration::from_secs(10),
            first: Duration::from_millis(5),
            longest: Duration::from_secs(1),
        }
    }
}

/// Waits longer each time, up to a bound; each wait is between half and the whole of it.
pub(super) struct Backoff {
    pace: Pace,
    next: Duration,
}

impl Backoff {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, next: pace.first }
    }

    /// Something succeeded: the next wait is a short one.
    pub(super) const fn reset(&mut self) {
        self.next = self.pace.first;
    }

    pub(super) async fn wait(&mut self) {
        let half = self.next / 2;
        let jitter = half.mul_f64(rand::rng().random::<f64>());
        tokio::time::sleep(half.saturating_add(jitter)).await;
        self.next = self.next.saturating_mul(2).min(self.pace.longest);
    }
}
