//! Keeps a link to the server: opens one, tries it now and then and whenever something failed, and puts
//! another in its place when it does not answer. What is in flight on the old one goes on until its own
//! time is up.

use std::sync::Arc;
use std::time::Duration;

use eventstore::{ClientSettings, Error};
use rand::RngExt;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::link::{Link, LinkError};
use super::{Shared, State, Tuning};

/// How often a link is tried that goes from node to node in search of the leader.
const HOPS: usize = 3;

pub(super) struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: ClientSettings,
    pub(super) hosts: String,
}

impl Supervisor {
    /// Until the store closes.
    pub(super) async fn run(self) {
        tokio::select! {
            () = self.shared.closing.cancelled() => {}
            () = self.supervise() => {}
        }
        self.shared.state.send_replace(State::Closed);
    }

    async fn supervise(&self) {
        let Tuning { first_pause, longest_pause, .. } = self.shared.tuning;
        let mut pause = first_pause;
        loop {
            match self.connect().await {
                Ok(link) => {
                    let link = Arc::new(link);
                    self.is_up(Arc::clone(&link));
                    pause = first_pause;
                    if self.watch(&link).await.is_ok() {
                        // Only to be replaced: at once, and as long as it takes it goes on serving.
                        continue;
                    }
                }
                Err(why) => self.is_away(&why),
            }
            sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2).min(longest_pause);
        }
    }

    /// A link that answers.
    async fn connect(&self) -> Result<Link, String> {
        let Tuning { timeout: patience, sessions, .. } = self.shared.tuning;
        let opened = timeout(patience, Link::open(self.settings.clone(), sessions)).await;
        let link = opened.map_err(|_| "the client cannot be set up in time".to_owned())??;
        self.probe(&link).await.map_err(|error| error.text())?;
        Ok(link)
    }

    /// Until the link fails, or should be replaced.
    async fn watch(&self, link: &Link) -> Result<(), ()> {
        loop {
            tokio::select! {
                () = link.suspected() => {}
                () = sleep(self.shared.tuning.check_every) => {}
            }
            if let Err(error) = self.probe(link).await {
                self.is_away(&error.text());
                return Err(());
            }
            if link.is_spoiled() {
                return Ok(());
            }
        }
    }

    /// The client itself goes over to the leader that a node names.
    async fn probe(&self, link: &Link) -> Result<(), LinkError> {
        let mut hops = 1;
        loop {
            match self.shared.tail.probe(&self.shared.look(link)).await {
                Err(LinkError::Client(Error::NotLeaderException(_))) if hops < HOPS => hops += 1,
                outcome => return outcome,
            }
        }
    }

    fn is_up(&self, link: Arc<Link>) {
        let before = self.shared.state.send_replace(State::Up(link));
        if !matches!(before, State::Up(_)) {
            info!(hosts = self.hosts, "the event store answers");
        }
    }

    fn is_away(&self, why: &str) {
        let before = self.shared.state.send_replace(State::Away(why.into()));
        match before {
            State::Away(ref before) if **before == *why => {}
            State::Up(_) | State::Connecting | State::Away(_) | State::Closed => {
                warn!(hosts = self.hosts, why, "the event store is not reachable; trying again");
            }
        }
    }
}

/// Between half of a pause and the whole, so that many who lost the same server do not come back together.
pub(super) fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    half.saturating_add(half.mul_f64(rand::rng().random::<f64>()))
}
