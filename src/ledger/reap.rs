//! Ends calls that their owners left open: those of this node's earlier boots, and overdue ones.

use std::sync::Arc;

use nemo_events::key::ForfeitReason;
use nemo_events::{CallId, KeyId};
use nemo_projections::decide::{Forfeit, ForfeitCharge, Forfeiter};
use tracing::{info, warn};

use super::Ledger;
use super::calls::{OnKey, call_context_of_system};

/// An open call that nobody will end any more.
#[derive(Debug, Clone, Copy)]
pub struct Orphan {
    /// Its key.
    pub key: KeyId,
    /// The call.
    pub call: CallId,
}

impl Ledger {
    /// Ends a call of an earlier boot of this node: it died with the call open, so nobody knows what
    /// the provider did, and the whole hold is charged.
    pub async fn end_orphan(self: &Arc<Self>, orphan: Orphan) {
        self.forfeit(orphan, ForfeitReason::NodeDied, Forfeiter::Owner).await;
    }

    /// Ends a call that is overdue by more than 30 s, whoever made it.
    pub async fn end_overdue(self: &Arc<Self>, orphan: Orphan) {
        self.forfeit(orphan, ForfeitReason::DeadlinePassed, Forfeiter::Anybody).await;
    }

    async fn forfeit(self: &Arc<Self>, orphan: Orphan, reason: ForfeitReason, by: Forfeiter) {
        let Orphan { key, call } = orphan;
        let account = match self.key(key).await {
            Ok(account) => account,
            Err(error) => return warn!(key.id = %key, call.id = %call, %error, "cannot end an open call yet"),
        };
        let command =
            OnKey { command: Forfeit { call, charge: ForfeitCharge::Hold, reason, by }, refused: None };
        match account.execute(command, call_context_of_system(call)).await {
            Ok(done) => info!(key.id = %key, call.id = %call, cost_nanos = done.answer.charged.as_nanos(),
                "ended a call that was left open; its whole hold is charged until it is corrected"),
            Err(error) => warn!(key.id = %key, call.id = %call, %error, "cannot end an open call"),
        }
    }
}
