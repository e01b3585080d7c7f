//! What a node writes about itself: that it started, with which secrets, and that it stopped.

use nemo_events::gateway::{NodeStarted, NodeStopped};
use nemo_events::{GatewayEvent, Timestamp};
use nemo_projections::Refusal;

use super::Ledger;
use super::calls::within;
use super::command::{Command, Context, ExecuteError};
use super::fold::{GatewayFold, GatewayState};

/// This node starts, if its secrets are the ledger's. Compared and written at one revision, and once for
/// each start, however often it is asked.
struct Start<I, E> {
    introduce: I,
    started: NodeStarted,
    mismatch: Option<E>,
}

impl<I, E> Command<GatewayFold> for Start<I, E>
where
    I: FnMut(&[GatewayEvent]) -> Result<Vec<GatewayEvent>, E> + Send + 'static,
    E: Send + 'static,
{
    type Answer = Result<(), E>;

    fn decide(&mut self, state: &GatewayState, _now: Timestamp) -> Result<Vec<GatewayEvent>, Refusal> {
        self.mismatch = None;
        if state.started == Some(self.started.boot) {
            return Ok(Vec::new());
        }
        match (self.introduce)(&state.secrets) {
            Ok(new) => Ok(new.into_iter().chain([self.started.clone().into()]).collect()),
            Err(mismatch) => {
                self.mismatch = Some(mismatch);
                Ok(Vec::new())
            }
        }
    }

    fn answer(&mut self, _: &GatewayState, _: &[GatewayEvent], _: Timestamp) -> Result<(), E> {
        self.mismatch.take().map_or(Ok(()), Err)
    }
}

impl Ledger {
    /// Whether nobody has ever started a node on this ledger. Known once it was read.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.gateway.revision().is_none()
    }

    /// What the ledger knows of the secrets that it was written with.
    #[must_use]
    pub fn known_secrets(&self) -> Vec<GatewayEvent> {
        self.gateway.glance(|state| state.secrets.clone())
    }

    /// Writes down that this node started, behind the events by which `introduce` adds secrets to those that
    /// the ledger knows; nothing, where it refuses. Asking again writes nothing twice.
    ///
    /// # Errors
    /// Where the ledger cannot be written; inside, what `introduce` says.
    pub async fn node_started<I, E>(&self, introduce: I) -> Result<Result<(), E>, ExecuteError>
    where
        I: FnMut(&[GatewayEvent]) -> Result<Vec<GatewayEvent>, E> + Send + 'static,
        E: Send + 'static,
    {
        let started = NodeStarted {
            node: self.node().clone(),
            boot: self.boot(),
            program: concat!("nemo ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let start = Start { introduce, started, mismatch: None };
        let done = within(self.core.pace.manage, self.gateway.execute(start, Context::system())).await?;
        Ok(done.answer)
    }

    /// Writes down that this node stopped in good order.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub async fn node_stopped(&self) -> Result<(), ExecuteError> {
        self.tell(vec![NodeStopped { node: self.node().clone(), boot: self.boot() }.into()]).await
    }
}
