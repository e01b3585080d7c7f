//! One connection: a client with a runtime of its own.
//!
//! The client starts tasks that nothing else ends: its connection's state machine holds its own sender, and
//! a batch session that was given up waits for a reply for ever. So each client lives in a runtime that
//! dies with it, tasks, sockets and all. Everything that touches the client runs there, by [`Link::spawn`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eventstore::{Client, ClientSettings};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{short, text};
use super::sessions::Sessions;

/// Threads of one link for looking up names.
const LOOKUP_THREADS: usize = 2;

/// Why something done over a link has no result.
#[derive(Debug)]
pub(super) enum LinkError {
    /// What the client says.
    Client(eventstore::Error),
    /// Nothing came in time.
    Silence(Duration),
    /// The client panicked, or the link is gone.
    Lost,
}

impl LinkError {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Client(error) => text(error),
            Self::Silence(patience) => format!("no answer within {patience:?}"),
            Self::Lost => "the client gave up".to_owned(),
        }
    }
}

pub(super) struct Link {
    client: Client,
    handle: Handle,
    /// Taken when the link is dropped.
    runtime: Option<Runtime>,
    pub(super) sessions: Sessions,
    /// Something failed in a way that may be the link's fault.
    suspicion: Notify,
    /// Something was left behind in the client that ends only with it.
    spoiled: AtomicBool,
}

impl Link {
    /// A client that has not connected yet.
    pub(super) async fn open(settings: ClientSettings, sessions: usize) -> Result<Self, String> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(LOOKUP_THREADS)
            .thread_name("eventstoredb")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let handle = runtime.handle().clone();
        let mut guard = RuntimeGuard(Some(runtime));
        let inside = handle.clone();
        // It reads certificates, and panics if they are malformed.
        let client = handle.spawn(async move { Client::with_runtime_handle(inside, settings) }).await;
        let client = client
            .map_err(|_| "the client cannot be set up; is the CA file sound?".to_owned())?
            .map_err(|error| short(&error.to_string()))?;
        Ok(Self {
            client,
            handle,
            runtime: guard.0.take(),
            sessions: Sessions::new(sessions),
            suspicion: Notify::new(),
            spoiled: AtomicBool::new(false),
        })
    }

    /// Runs something with the client until it is done, the handle is dropped, or the link is.
    pub(super) fn spawn<T, F>(&self, work: impl FnOnce(Client) -> F) -> AbortOnDropHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        AbortOnDropHandle::new(self.handle.spawn(work(self.client.clone())))
    }

    /// The same, for a while only.
    pub(super) async fn run<T, F>(
        &self,
        patience: Duration,
        work: impl FnOnce(Client) -> F,
    ) -> Result<T, LinkError>
    where
        T: Send + 'static,
        F: Future<Output = eventstore::Result<T>> + Send + 'static,
    {
        let outcome = match tokio::time::timeout(patience, self.spawn(work)).await {
            Ok(Ok(Ok(done))) => return Ok(done),
            Ok(Ok(Err(error))) => LinkError::Client(error),
            Ok(Err(_)) => LinkError::Lost,
            Err(_) => LinkError::Silence(patience),
        };
        self.suspect();
        Err(outcome)
    }

    /// Asks for the link to be tried.
    pub(super) fn suspect(&self) {
        self.suspicion.notify_one();
    }

    pub(super) async fn suspected(&self) {
        self.suspicion.notified().await;
    }

    /// Asks for another link to take this one's place.
    pub(super) fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
        self.suspect();
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(RuntimeGuard(self.runtime.take()));
    }
}

/// Ends a runtime without waiting for it, as must be done within another one.
struct RuntimeGuard(Option<Runtime>);

impl Drop for RuntimeGuard {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
