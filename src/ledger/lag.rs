//! How far a reader of the log is behind it.

use nemo_events::Position;

use super::Ledger;

/// How far a reader is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The log's end.
    pub head: Option<Position>,
    /// The difference of positions, as the store counts.
    pub positions: u64,
    /// The age of the first event that was not read, in microseconds.
    pub micros: u64,
}

impl Ledger {
    /// How far a reader who has got to `read` is behind; `None` if the store does not tell in time.
    pub async fn lag_behind(&self, read: Option<Position>) -> Option<Lag> {
        tokio::time::timeout(self.core.pace.authorize, self.lag(read)).await.ok().flatten()
    }

    async fn lag(&self, read: Option<Position>) -> Option<Lag> {
        let head = self.core.store.head().await.ok()?;
        if read >= head {
            return Some(Lag { head, positions: 0, micros: 0 });
        }
        let number = |position: Option<Position>| position.map_or(0, |position| position.0);
        let positions = number(head).saturating_sub(number(read));
        let unread = self.core.store.read_all(read, 1).await.ok()?;
        let age = unread.first().map_or(0, |record| self.now().micros_since(record.event.recorded_at));
        Some(Lag { head, positions, micros: u64::try_from(age).unwrap_or_default() })
    }
}
