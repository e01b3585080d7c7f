//! Delivering all events to one subscriber: catch up in pages, then wait for the head to move.
//!
//! Only what [`Source::page`] returns is delivered, and sources return durable events only.

use async_trait::async_trait;
use nemo_events::{EventRecord, Position};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::ReadError;
use crate::subscription::Delivery;

/// Where a subscription reads from.
#[async_trait]
pub(crate) trait Source: Send + Sync + 'static {
    /// The next durable events behind `after`, in order; empty at the end.
    async fn page(&self, after: Option<Position>) -> Result<Vec<EventRecord>, ReadError>;
}

/// One delivery: until the subscriber goes, the store closes, or a read fails.
pub(crate) struct Follower<S> {
    pub(crate) source: S,
    pub(crate) after: Option<Position>,
    pub(crate) head: watch::Receiver<Option<Position>>,
    pub(crate) closing: CancellationToken,
    pub(crate) subscriber: mpsc::Sender<Delivery>,
}

impl<S: Source> Follower<S> {
    pub(crate) async fn run(mut self) {
        let closing = self.closing.clone();
        tokio::select! {
            () = closing.cancelled() => {}
            () = self.deliver() => {}
        }
    }

    async fn deliver(&mut self) {
        loop {
            let after = self.after;
            // `None` is before every position, so this waits until the head is beyond `after`.
            let moved = tokio::select! {
                () = self.subscriber.closed() => return,
                moved = self.head.wait_for(|head| *head > after) => moved.is_ok(),
            };
            if !moved {
                return;
            }
            let page = self.source.page(after).await;
            match &page {
                Ok(events) => match events.last() {
                    Some(last) => self.after = Some(last.position),
                    None => continue,
                },
                Err(_) => {
                    // The subscriber may be gone already; then nobody needs the reason.
                    let _ = self.subscriber.send(page).await;
                    return;
                }
            }
            if self.subscriber.send(page).await.is_err() {
                return;
            }
        }
    }
}
