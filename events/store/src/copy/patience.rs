//! Waiting for a store that is away, for so long and no longer.

use std::time::{Duration, Instant};

use crate::ReadError;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is left of it.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, pause: FIRST_PAUSE }
    }

    /// Pauses, unless it is at an end.
    pub(super) async fn lasts(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        true
    }
}

/// Reads, again and again while the store is away.
pub(super) async fn read<T, F: Future<Output = Result<T, ReadError>>>(
    patience: Duration,
    mut read: impl FnMut() -> F,
) -> Result<T, ReadError> {
    let mut patience = Patience::new(patience);
    loop {
        match read().await {
            Err(ReadError::Unavailable(_)) if patience.lasts().await => {}
            answer => return answer,
        }
    }
}
