//! What managers ask of keys and orgs, and what the gateway writes about itself.

use std::sync::Arc;

use nemo_events::gateway::PresentationsRefused;
use nemo_events::price::{PriceCard, PriceCardPublished};
use nemo_events::{GatewayEvent, KeyEvent, KeyId, OrgEvent, OrgId, PriceCardId, PriceEvent, Timestamp};
use nemo_projections::decide::{KeyCommand, OrgCommand, RecordRefusals, Revoke};
use nemo_projections::{OrgState, Refusal};

use super::Ledger;
use super::calls::{OnKey, within};
use super::command::{Command, Context, Done, ExecuteError};
use super::fold::{GatewayFold, GatewayState, KeyAccount, KeyFold, OrgFold, PriceFold};
use super::refusals::Taken;

/// A management command on a key; answers with the state that it led to.
struct Manage<C>(OnKey<C>);

impl<C: KeyCommand + Send + 'static> Command<KeyFold> for Manage<C> {
    type Answer = KeyAccount;

    fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        self.0.events(state, now)
    }

    fn written(&mut self) {
        self.0.written();
    }

    fn answer(&mut self, state: &KeyAccount, _events: &[KeyEvent], _now: Timestamp) -> KeyAccount {
        // Calls that ended are no part of what managers are told, and may be many.
        state.without_ended_calls()
    }
}

/// A management command on an org; answers with the state that it led to.
struct ManageOrg<C>(C);

impl<C: OrgCommand + Send + 'static> Command<OrgFold> for ManageOrg<C> {
    type Answer = Option<OrgState>;

    fn decide(&mut self, state: &Option<OrgState>, now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        self.0.decide(state.as_ref(), now)
    }

    fn answer(&mut self, state: &Option<OrgState>, _events: &[OrgEvent], _now: Timestamp) -> Self::Answer {
        // Slices of its keys are no part of what managers are told, and may be many.
        state.as_ref().map(OrgState::without_slices)
    }
}

struct Publish(PriceCardPublished);

impl Command<PriceFold> for Publish {
    type Answer = ();

    fn decide(
        &mut self,
        state: &std::collections::HashSet<PriceCardId>,
        _now: Timestamp,
    ) -> Result<Vec<PriceEvent>, Refusal> {
        Ok(if state.contains(&self.0.id) { Vec::new() } else { vec![self.0.clone().into()] })
    }

    fn answer(&mut self, _: &std::collections::HashSet<PriceCardId>, _: &[PriceEvent], _: Timestamp) {}
}

struct Tell(Vec<GatewayEvent>);

impl Command<GatewayFold> for Tell {
    type Answer = ();

    fn decide(&mut self, _state: &GatewayState, _now: Timestamp) -> Result<Vec<GatewayEvent>, Refusal> {
        Ok(self.0.clone())
    }

    fn answer(&mut self, _: &GatewayState, _: &[GatewayEvent], _: Timestamp) {}
}

impl Ledger {
    /// Executes a management command on a key.
    ///
    /// # Errors
    /// The refusal, or why there is no answer. A command that timed out may still happen.
    pub async fn manage_key<C: KeyCommand + Send + 'static>(
        &self,
        id: KeyId,
        command: C,
        context: Context,
    ) -> Result<Done<KeyAccount>, ExecuteError> {
        within(self.core.pace.manage, async {
            let account = self.key(id).await?;
            let command = Manage(OnKey { command, refused: self.refusals.take(id) });
            account.execute(command, context).await
        })
        .await
    }

    /// Revokes a key: once this returns no call is authorised with it any more, and those that were
    /// running on this node are being cut.
    ///
    /// # Errors
    /// As [`Ledger::manage_key`].
    pub async fn revoke_key(
        &self,
        id: KeyId,
        command: Revoke,
        context: Context,
    ) -> Result<Done<KeyAccount>, ExecuteError> {
        let done = self.manage_key(id, command, context).await?;
        self.running.cut(id);
        Ok(done)
    }

    /// Executes a management command on an org.
    ///
    /// # Errors
    /// As [`Ledger::manage_key`].
    pub async fn manage_org<C: OrgCommand + Send + 'static>(
        &self,
        id: OrgId,
        command: C,
        context: Context,
    ) -> Result<Done<Option<OrgState>>, ExecuteError> {
        let done = within(self.core.pace.manage, async {
            self.org(id).await?.execute(ManageOrg(command), context).await
        })
        .await?;
        if let Some(org) = &done.answer {
            self.take_back_after(id, org);
        }
        Ok(done)
    }

    /// Makes sure that a price card can be cited.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub async fn publish(&self, id: PriceCardId, card: &PriceCard) -> Result<(), ExecuteError> {
        if self.published.read().is_ok_and(|published| published.contains(&id)) {
            return Ok(());
        }
        let published = PriceCardPublished { id, card: card.clone() };
        within(self.core.pace.authorize, self.prices.execute(Publish(published), Context::system())).await?;
        if let Ok(mut published) = self.published.write() {
            published.insert(id);
        }
        Ok(())
    }

    pub(super) async fn tell(&self, events: Vec<GatewayEvent>) -> Result<(), ExecuteError> {
        within(self.core.pace.manage, self.gateway.execute(Tell(events), Context::system())).await.map(|_| ())
    }

    /// Writes down the refusals that wait. What cannot be written goes on waiting.
    pub async fn write_refusals(self: &Arc<Self>) {
        for id in self.refusals.keys() {
            if let Err(error) = self.write_refusals_of(id).await {
                tracing::warn!(key.id = %id, %error, "refusal counts are not written yet");
                if matches!(error, ExecuteError::Unavailable(_)) {
                    // The next one would have to wait as long for the same answer.
                    return;
                }
            }
        }
        self.write_of_operators().await;
        if let Some(taken) = self.refusals.take_strangers() {
            let work = self.gateway.execute(WriteStrangers(taken), Context::system());
            if let Err(error) = within(self.core.pace.manage, work).await {
                tracing::warn!(%error, "counts of unknown keys are not written yet");
            }
        }
    }

    async fn write_refusals_of(&self, id: KeyId) -> Result<(), ExecuteError> {
        within(self.core.pace.manage, async {
            let account = self.key(id).await?;
            let Some(taken) = self.refusals.take(id) else { return Ok(()) };
            account.execute(WriteRefusals(taken), Context::system()).await.map(|_| ())
        })
        .await
    }
}

/// Writes down refusals of a key.
struct WriteRefusals(Taken);

impl Command<KeyFold> for WriteRefusals {
    type Answer = ();

    fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let (since, refusals) = self.0.counts();
        let decided = RecordRefusals { since, refusals }.decide(state.key.as_ref(), now);
        if decided.is_err() {
            // There is no key to write them to, nor will there be.
            self.0.forget();
        }
        decided
    }

    fn answer(&mut self, _: &KeyAccount, _: &[KeyEvent], _: Timestamp) {}

    fn written(&mut self) {
        self.0.forget();
    }
}

/// Writes down what was presented and is no key of ours.
struct WriteStrangers(Taken);

impl Command<GatewayFold> for WriteStrangers {
    type Answer = ();

    fn decide(&mut self, _state: &GatewayState, _now: Timestamp) -> Result<Vec<GatewayEvent>, Refusal> {
        let (since, refusals) = self.0.counts();
        Ok(vec![PresentationsRefused { since, refusals }.into()])
    }

    fn answer(&mut self, _: &GatewayState, _: &[GatewayEvent], _: Timestamp) {}

    fn written(&mut self) {
        self.0.forget();
    }
}
