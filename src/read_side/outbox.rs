//! What is to be told outside, for whoever sends it: read as it comes, and waited for without asking.

use std::sync::Arc;

use nemo_events::{EventRecord, Position};
use nemo_projections::notice::{EVENT_TYPES, NoticeKind};
use nemo_read_model::{Answer, Backlog, OutboxRow};
use tokio::sync::watch;

use super::{Shared, Unread};

/// The outbox of the read model.
#[derive(Clone)]
pub struct Outbox(pub(super) Arc<Shared>);

/// Tells that there may be more in the outbox.
pub(super) struct Bell(watch::Sender<()>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Bell {
    /// Events were applied.
    pub(super) fn note(&self, records: &[EventRecord]) {
        if records.iter().any(|record| EVENT_TYPES.contains(&record.event.event_type.as_ref())) {
            self.0.send_replace(());
        }
    }
}

impl Outbox {
    /// Changes whenever there may be more.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.bell.0.subscribe()
    }

    /// The first events of some kinds behind a position, oldest first, and the position up to which there are no
    /// others.
    ///
    /// # Errors
    /// See [`Unread`].
    pub async fn after(
        &self,
        position: Option<Position>,
        kinds: Arc<[NoticeKind]>,
        most: usize,
    ) -> Result<Answer<Vec<OutboxRow>>, Unread> {
        self.0.read(move |reader| reader.outbox(position, &kinds, most)).await
    }

    /// How many events of some kinds wait behind a position, and since when.
    ///
    /// # Errors
    /// See [`Unread`].
    pub async fn backlog(
        &self,
        position: Option<Position>,
        kinds: Arc<[NoticeKind]>,
    ) -> Result<Backlog, Unread> {
        Ok(self.0.read(move |reader| reader.outbox_backlog(position, &kinds)).await?.value)
    }
}
