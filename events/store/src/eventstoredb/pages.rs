//! Pages of recorded events, read over a link within a time.

use std::time::Duration;

use eventstore::{
    Client, Credentials, ReadAllOptions, ReadStream, ReadStreamOptions, RecordedEvent, StreamPosition,
};
use tokio::time::{Instant, timeout_at};

use super::link::{Link, LinkError};

/// A page has no more bytes than this and one event.
const PAGE_BYTES: usize = 32 << 20;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) events: Vec<RecordedEvent>,
    /// Whether there was nothing more at that time; if not, there may be.
    pub(super) ended: bool,
}

/// Where to read all streams.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Start,
    /// An event's position: inclusive going forwards, exclusive going backwards.
    At(u64),
    /// Going backwards.
    End,
}

impl Link {
    /// Reads up to `limit` events of one stream; of a missing one, none.
    pub(super) async fn read_stream(
        &self,
        stream: String,
        options: ReadStreamOptions,
        limit: usize,
        patience: Duration,
    ) -> Result<Page, LinkError> {
        let options = options.max_count(limit);
        let open = async move |client: Client| client.read_stream(stream, &options).await;
        match self.page(open, limit, patience).await {
            Err(LinkError::Client(eventstore::Error::ResourceNotFound)) => {
                Ok(Page { events: Vec::new(), ended: true })
            }
            outcome => outcome,
        }
    }

    /// Reads up to `limit` events of all streams.
    pub(super) async fn read_all(
        &self,
        options: ReadAllOptions,
        limit: usize,
        patience: Duration,
    ) -> Result<Page, LinkError> {
        let options = options.max_count(limit);
        let open = async move |client: Client| client.read_all(&options).await;
        self.page(open, limit, patience).await
    }

    /// What came before the time was up counts, if anything came.
    async fn page<F>(
        &self,
        open: impl FnOnce(Client) -> F + Send + 'static,
        limit: usize,
        patience: Duration,
    ) -> Result<Page, LinkError>
    where
        F: Future<Output = eventstore::Result<ReadStream>> + Send + 'static,
    {
        let deadline = Instant::now() + patience;
        // The page's own deadline comes first; the link's is for a client that does not yield.
        let read = self.run(patience.saturating_mul(2), |client| async move {
            let Ok(opened) = timeout_at(deadline, open(client)).await else { return Ok(None) };
            fill(opened?, limit, deadline).await
        });
        match read.await? {
            Some(page) => Ok(page),
            None => {
                self.suspect();
                Err(LinkError::Silence(patience))
            }
        }
    }
}

async fn fill(mut stream: ReadStream, limit: usize, deadline: Instant) -> eventstore::Result<Option<Page>> {
    let (mut page, mut bytes) = (Page::default(), 0);
    while page.events.len() < limit && bytes < PAGE_BYTES {
        match timeout_at(deadline, stream.next()).await {
            Ok(next) => match next?.and_then(|resolved| resolved.event) {
                Some(event) => {
                    bytes += event.data.len() + event.custom_metadata.len();
                    page.events.push(event);
                }
                None => {
                    page.ended = true;
                    break;
                }
            },
            Err(_) if page.events.is_empty() => return Ok(None),
            Err(_) => break,
        }
    }
    Ok(Some(page))
}

/// Options of a read of all streams.
pub(super) fn all(place: Place, way: crate::Direction, login: Option<&Credentials>) -> ReadAllOptions {
    let at = match place {
        Place::Start => StreamPosition::Start,
        Place::At(commit) => StreamPosition::Position(eventstore::Position { commit, prepare: commit }),
        Place::End => StreamPosition::End,
    };
    let options = ReadAllOptions::default().position(at);
    let options = match way {
        crate::Direction::Forwards => options.forwards(),
        crate::Direction::Backwards => options.backwards(),
    };
    match login {
        Some(login) => options.authenticated(login.clone()),
        None => options,
    }
}
