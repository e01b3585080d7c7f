//! What a subscriber holds: the receiving end of a bounded channel of pages.

use nemo_events::EventRecord;
use tokio::sync::mpsc;

use crate::ReadError;

/// What travels to a subscriber: events in order, or why there are no more.
pub(crate) type Delivery = Result<Vec<EventRecord>, ReadError>;

/// Pages that may wait for a slow subscriber.
const PAGES_AHEAD: usize = 2;

/// A running delivery of all events. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    receiver: mpsc::Receiver<Delivery>,
}

impl Subscription {
    /// A subscription and the end that feeds it; sending waits while the subscriber is behind.
    pub(crate) fn channel() -> (mpsc::Sender<Delivery>, Self) {
        let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
        (sender, Self { receiver })
    }

    /// The next events, at least one; `None` once the store is closed. Cancel-safe.
    ///
    /// # Errors
    /// After an error the delivery is over; subscribe again from the last position handled.
    pub async fn next(&mut self) -> Option<Result<Vec<EventRecord>, ReadError>> {
        self.receiver.recv().await
    }
}
