//! Appends over a small pool of batch sessions, one at a time on each: a failed append ends its whole
//! session, so a conflict on one stream never makes another stream's append ambiguous.
//!
//! Unary appends are not used: the client leaves Nagle's algorithm on, which costs each of them 40 ms.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use eventstore::{BatchAppendClient, BatchAppendOptions, BatchWriteResult, EventData, StreamState};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::failure::{Verdict, of_append, text};
use super::link::{Link, LinkError};

/// The sessions of one link.
pub(super) struct Sessions {
    /// How many more appends may be in flight.
    room: Semaphore,
    idle: Mutex<Vec<BatchAppendClient>>,
}

/// What is appended.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) stream: String,
    pub(super) expected: StreamState,
    pub(super) events: Vec<EventData>,
}

impl Sessions {
    pub(super) const fn new(count: usize) -> Self {
        let count = if count == 0 { 1 } else { count };
        Self { room: Semaphore::const_new(count), idle: Mutex::new(Vec::new()) }
    }

    fn take_idle(&self) -> Option<BatchAppendClient> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, session: BatchAppendClient) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

impl Link {
    /// Appends once, within `patience`.
    pub(super) async fn append(
        &self,
        options: &BatchAppendOptions,
        batch: Batch,
        patience: Duration,
    ) -> Result<BatchWriteResult, Verdict> {
        let deadline = Instant::now() + patience;
        let too_late = || Verdict::NotWritten(format!("no session was free within {patience:?}"));
        let seat = timeout_at(deadline, self.sessions.room.acquire()).await.map_err(|_| too_late())?;
        let Ok(_seat) = seat else { return Err(Verdict::NotWritten("the link is closed".to_owned())) };
        while let Some(session) = self.sessions.take_idle() {
            match self.append_in(session, batch.clone(), deadline).await {
                // The session had ended while it was idle, the next one perhaps not.
                Err(Verdict::NotSent) => {}
                outcome => return outcome,
            }
        }
        let session = self.open_session(options, deadline).await?;
        self.append_in(session, batch, deadline).await
    }

    async fn open_session(
        &self,
        options: &BatchAppendOptions,
        deadline: Instant,
    ) -> Result<BatchAppendClient, Verdict> {
        let options = options.clone();
        let patience = deadline.saturating_duration_since(Instant::now());
        let opened = self.run(patience, async move |client| client.batch_append(&options).await).await;
        opened.map_err(|error| match error {
            LinkError::Silence(_) => Verdict::NotWritten("no session could be opened in time".to_owned()),
            other => Verdict::NotWritten(other.text()),
        })
    }

    async fn append_in(
        &self,
        session: BatchAppendClient,
        batch: Batch,
        deadline: Instant,
    ) -> Result<BatchWriteResult, Verdict> {
        let Batch { stream, expected, events } = batch;
        let sent = self.spawn(|_| async move {
            let answer = session.append_to_stream(stream, expected, events).await;
            (session, answer)
        });
        match timeout_at(deadline, sent).await {
            Ok(Ok((session, Ok(written)))) => {
                self.sessions.put_back(session);
                Ok(written)
            }
            Ok(Ok((_ended, Err(error)))) => {
                let verdict = of_append(&error);
                if !matches!(verdict, Verdict::Conflict | Verdict::TooLarge) {
                    tracing::debug!(error = text(&error), "an append failed");
                    self.suspect();
                }
                Err(verdict)
            }
            Ok(Err(_)) => Err(self.gave_up("the client gave up")),
            Err(_) => Err(self.gave_up("the server did not answer in time")),
        }
    }

    /// A session was left behind that ends only with the link.
    fn gave_up(&self, why: &str) -> Verdict {
        self.spoil();
        Verdict::Unknown(why.to_owned())
    }
}
