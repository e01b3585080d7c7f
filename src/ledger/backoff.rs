//! Waiting between attempts: longer each time, jittered, bounded.

use std::time::Duration;

use rand::RngExt;

const FIRST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);

/// Doubles from 5 ms to 1 s; each wait is between half and the whole of it.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(FIRST)
    }

    pub(super) async fn wait(&mut self) {
        let half = self.0 / 2;
        let jitter = half.mul_f64(rand::rng().random::<f64>());
        tokio::time::sleep(half.saturating_add(jitter)).await;
        self.0 = self.0.saturating_mul(2).min(LONGEST);
    }
}
