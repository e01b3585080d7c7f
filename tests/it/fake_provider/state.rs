//! What the connections of one provider share, and what the test reads. No lock is held across an await.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::{broadcast, watch};

use super::bill::Books;
use super::lock;
use super::peer::RawRequest;
use super::phase::{Gates, Phase, PhaseReached};
use super::request::SeenRequest;
use super::script::Script;

/// Shared by the test and all connections.
#[derive(Debug)]
pub(super) struct State {
    pub(super) address: SocketAddr,
    pub(super) keys: Mutex<Vec<String>>,
    pub(super) script: Script,
    pub(super) books: Arc<Books>,
    pub(super) gates: Gates,
    /// While true, connections close as soon as they are idle.
    pub(super) refusing: watch::Sender<bool>,
    pub(super) phases: broadcast::Sender<PhaseReached>,
    /// Ticks whenever anything that a test can read has changed.
    pub(super) changed: watch::Sender<()>,
    pub(super) redirects_followed: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) open: Counter,
    pub(super) idle: Counter,
    requests: Mutex<Vec<Arc<SeenRequest>>>,
}

impl State {
    pub(super) fn new(address: SocketAddr, key: &str) -> State {
        State {
            address,
            keys: Mutex::new(vec![key.to_owned()]),
            script: Script::default(),
            books: Arc::default(),
            gates: Gates::default(),
            refusing: watch::Sender::new(false),
            phases: broadcast::Sender::new(4096),
            changed: watch::Sender::new(()),
            redirects_followed: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            open: Counter::default(),
            idle: Counter::default(),
            requests: Mutex::default(),
        }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Arc<SeenRequest>> {
        lock(&self.requests).clone()
    }

    pub(super) fn request_count(&self) -> usize {
        lock(&self.requests).len()
    }

    /// Keeps a request that was fully read.
    pub(super) fn saw(&self, raw: RawRequest) -> Arc<SeenRequest> {
        let RawRequest { method, path, headers, head, body } = raw;
        let mut requests = lock(&self.requests);
        let index = requests.len() as u64;
        let seen = Arc::new(SeenRequest { index, method, path, headers, head, body, at: Instant::now() });
        requests.push(Arc::clone(&seen));
        seen
    }

    pub(super) fn announce(&self, request: u64, user: Option<String>, phase: Phase) {
        // Nobody has to listen.
        let _ = self.phases.send(PhaseReached { request, user, phase, at: Instant::now() });
        self.tick();
    }

    pub(super) fn tick(&self) {
        self.changed.send_replace(());
    }
}

/// Counts guards that are alive.
#[derive(Debug, Default)]
pub(super) struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(&self.0))
    }
}

/// One of a [`Counter`]'s count, until dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
