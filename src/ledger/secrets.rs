//! What the gateway writes about its secrets while it serves.

use nemo_events::{GatewayEvent, Timestamp};
use nemo_projections::Refusal;

use super::Ledger;
use super::calls::within;
use super::command::{Command, Context, ExecuteError};
use super::fold::{GatewayFold, GatewayState};
use crate::auth::secrets::Fingerprints;
use crate::secrets_match::{SecretsMismatch, compare};

/// Writes down what is new about the secrets; nothing, if another node was first.
struct Introduce {
    ours: Fingerprints,
    mismatch: Option<SecretsMismatch>,
}

impl Command<GatewayFold> for Introduce {
    type Answer = Result<(), SecretsMismatch>;

    fn decide(&mut self, state: &GatewayState, _now: Timestamp) -> Result<Vec<GatewayEvent>, Refusal> {
        let compared = compare(&state.secrets, &self.ours);
        self.mismatch = compared.as_ref().err().cloned();
        Ok(compared.unwrap_or_default())
    }

    fn answer(&mut self, _: &GatewayState, _: &[GatewayEvent], _: Timestamp) -> Self::Answer {
        self.mismatch.take().map_or(Ok(()), Err)
    }
}

impl Ledger {
    /// Compares secrets with those that the ledger was written with, and writes down what is new about
    /// them. `Ok(Ok(()))` means that the ledger knows them, durably.
    ///
    /// # Errors
    /// Where the ledger cannot be written; within, the [`SecretsMismatch`].
    pub async fn introduce(&self, ours: Fingerprints) -> Result<Result<(), SecretsMismatch>, ExecuteError> {
        let command = Introduce { ours, mismatch: None };
        let work = self.gateway.execute(command, Context::system());
        Ok(within(self.core.pace.manage, work).await?.answer)
    }
}
