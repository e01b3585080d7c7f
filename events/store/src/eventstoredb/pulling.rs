//! The server's subscription to all streams, taken page by page. Runs in the link's runtime, and ends with
//! the server's subscription or with the link: whoever follows subscribes again.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use eventstore::{Client, RecordedEvent, SubscribeToAllOptions, SubscriptionEvent};
use tokio::sync::mpsc::Sender;

use super::tripwire;

/// Limits of one page.
const PAGE_EVENTS: usize = 512;
const PAGE_BYTES: usize = 1 << 20;

/// What a subscription brings.
#[derive(Debug)]
pub(super) enum Pulled {
    /// Events in order.
    Events(Vec<RecordedEvent>),
    /// Nothing of the ledger's up to here.
    Passed(u64),
    /// The end, with the server's reason if it gave one.
    Ended(Option<eventstore::Error>),
}

/// Pulls until the subscription ends or nobody takes any more.
pub(super) async fn pull(client: Client, options: SubscribeToAllOptions, pages: Sender<Pulled>) {
    let mut subscription = client.subscribe_to_all(&options).await;
    let mut page = Page::default();
    loop {
        // Dropped before it is done, this future would take the subscription with it.
        let mut next = pin!(subscription.next_subscription_event());
        let event = match poll_fn(|cx| Poll::Ready(tripwire::poll(next.as_mut(), cx))).await {
            Poll::Ready(event) => event,
            Poll::Pending => {
                if page.send(&pages).await.is_err() {
                    return;
                }
                poll_fn(|cx| tripwire::poll(next.as_mut(), cx)).await
            }
        };
        let going = match event {
            Some(Ok(SubscriptionEvent::EventAppeared(resolved))) => {
                if page.take(resolved.event) {
                    page.send(&pages).await
                } else {
                    Ok(())
                }
            }
            Some(Ok(SubscriptionEvent::Checkpoint(position))) => match page.send(&pages).await {
                Ok(()) => pages.send(Pulled::Passed(position.commit)).await.map_err(drop),
                gone => gone,
            },
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => return page.end(&pages, Some(error)).await,
            None => return page.end(&pages, None).await,
        };
        if going.is_err() {
            return;
        }
    }
}

#[derive(Default)]
struct Page {
    events: Vec<RecordedEvent>,
    bytes: usize,
}

impl Page {
    /// Whether it is full now.
    fn take(&mut self, event: Option<RecordedEvent>) -> bool {
        if let Some(event) = event {
            self.bytes += event.data.len() + event.custom_metadata.len();
            self.events.push(event);
        }
        self.events.len() >= PAGE_EVENTS || self.bytes >= PAGE_BYTES
    }

    async fn send(&mut self, pages: &Sender<Pulled>) -> Result<(), ()> {
        if self.events.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        pages.send(Pulled::Events(std::mem::take(&mut self.events))).await.map_err(drop)
    }

    async fn end(mut self, pages: &Sender<Pulled>, why: Option<eventstore::Error>) {
        if self.send(pages).await.is_ok() {
            // Whoever followed may be gone; then nobody needs the reason.
            let _ = pages.send(Pulled::Ended(why)).await;
        }
    }
}
