//! A ledger as it was at a position: what came later does not show. For copies and backups of a ledger that
//! goes on growing meanwhile.

use std::sync::Arc;

use async_trait::async_trait;
use nemo_events::{EventRecord, Position, Revision, Sealed, StreamName};

use crate::{AppendError, Direction, EventStore, Expected, ReadError, Subscription};

/// Another store, up to a position and to be read only.
pub struct UpTo {
    store: Arc<dyn EventStore>,
    end: Position,
}

impl UpTo {
    /// The store up to this position, inclusive.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, end: Position) -> Self {
        Self { store, end }
    }

    fn cut(&self, mut page: Vec<EventRecord>) -> Vec<EventRecord> {
        page.retain(|record| record.position <= self.end);
        page
    }
}

#[async_trait]
impl EventStore for UpTo {
    async fn append(&self, _expected: Expected, _events: Vec<Sealed>) -> Result<Position, AppendError> {
        Err(AppendError::Invalid("the past takes no events"))
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        let (mut found, mut from) = (Vec::new(), from);
        loop {
            let page = self.store.read_stream(stream, from, direction, limit).await?;
            let before = page.last().and_then(|last| last.event.revision.0.checked_sub(1));
            found.extend(self.cut(page));
            found.truncate(limit);
            // Backwards, a whole page may be too late; what is earlier comes behind it.
            match before {
                Some(before) if direction == Direction::Backwards && found.len() < limit => {
                    from = Revision(before);
                }
                _ => return Ok(found),
            }
        }
    }

    async fn read_all(&self, after: Option<Position>, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        if after >= Some(self.end) {
            return Ok(Vec::new());
        }
        Ok(self.cut(self.store.read_all(after, limit).await?))
    }

    async fn head(&self) -> Result<Option<Position>, ReadError> {
        Ok(self.store.head().await?.map(|head| head.min(self.end)))
    }

    async fn subscribe_all(&self, _after: Option<Position>) -> Result<Subscription, ReadError> {
        Err(ReadError::Unavailable("the past is not followed".to_owned()))
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use super::*;
    use crate::MemoryStore;
    use crate::contract::Script;

    async fn two_streams() -> Arc<dyn EventStore> {
        let store = Arc::new(MemoryStore::new());
        let (mut one, mut other) = (Script::of_key(1), Script::of_key(2));
        for _ in 0..10 {
            for script in [&mut one, &mut other] {
                script.write(&*store, 1).await;
            }
        }
        store
    }

    #[tokio::test]
    async fn what_came_later_shows_nowhere() {
        let whole = two_streams().await;
        let all = whole.read_all(None, 100).await.unwrap();
        let end = all[6].position;
        let past = UpTo::new(Arc::clone(&whole), end);
        assert_eq!(past.head().await.unwrap(), Some(end));
        assert_eq!(past.read_all(None, 100).await.unwrap(), all[..7]);
        assert_eq!(past.read_all(Some(all[4].position), 1).await.unwrap(), all[5..6]);
        assert!(past.read_all(Some(end), 100).await.unwrap().is_empty());
        let stream = &all[0].event.stream;
        let forwards = past.read_stream(stream, Revision(0), Direction::Forwards, 100).await.unwrap();
        assert_eq!(forwards.len(), 4);
        let backwards = past.read_stream(stream, Revision(9), Direction::Backwards, 2).await.unwrap();
        let revisions: Vec<_> = backwards.iter().map(|record| record.event.revision.0).collect();
        assert_eq!(revisions, [3, 2]);
    }

    #[tokio::test]
    async fn the_past_takes_nothing() {
        let past = UpTo::new(two_streams().await, Position(3));
        let next = Script::of_key(3).next(1);
        assert!(matches!(past.append(next.expected, next.events).await, Err(AppendError::Invalid(_))));
        assert!(past.subscribe_all(None).await.is_err());
    }
}
