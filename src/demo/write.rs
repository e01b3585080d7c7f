//! Writes a plan into the ledger, through the ledger's own commands and on a clock that is set from step to
//! step. What the ledger refuses is refused, and counted as it would be.
//!
//! Calls overlap as they would, and their commits are gathered: what happens to one key is decided the moment it
//! is asked for, and what happens to the next key does not wait until that is durable. Two things of one key
//! wait for each other, and so does what is minutes apart: positions in the log follow time as they would have.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use nemo_events::time::MICROS_PER_SEC;
use nemo_events::{Actor, CallId, KeyId, Timestamp};
use nemo_projections::Refusal;
use nemo_projections::decide::{Correct, PresentedSecret};

use super::asked;
use super::cast::Role;
use super::plan::{Act, Call, Step};
use crate::auth::secrets::Secrets;
use crate::auth::token::VirtualKeyText;
use crate::clock::{Clock as _, ManualClock};
use crate::ledger::{Authorized, Context, ExecuteError, Ledger};
use crate::providers::{Providers, Route};

/// How far apart things may be that become durable together.
const TOGETHER_MICROS: i64 = 5 * 60 * MICROS_PER_SEC;
/// Refusals are written down by the minute.
const MINUTE_SECS: i64 = 60;

/// What the ledger is asked next.
enum Todo {
    Act(Act),
    End(Box<Call>),
    WriteRefusals,
}

/// What became durable.
enum Landed {
    Leave(KeyId, CallId, Box<Authorized>),
    End(KeyId),
}

/// A ledger, and what is on its way into it.
pub(super) struct Writer<'a> {
    pub(super) ledger: &'a Arc<Ledger>,
    pub(super) clock: &'a ManualClock,
    pub(super) secrets: &'a Secrets,
    pub(super) providers: &'a Providers,
    /// The full keys that were made, for whoever calls with them later.
    pub(super) keys: HashMap<KeyId, VirtualKeyText>,
    agenda: BTreeMap<(Timestamp, usize), Todo>,
    landing: FuturesUnordered<BoxFuture<'static, Result<Landed, ExecuteError>>>,
    /// The keys that something is on its way to.
    busy: HashSet<KeyId>,
    /// When the first of what is on its way happened.
    oldest: Timestamp,
    until: Timestamp,
    leave: HashMap<CallId, Box<Authorized>>,
    unconfirmed: Vec<(Timestamp, KeyId, CallId)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        ledger: &'a Arc<Ledger>,
        clock: &'a ManualClock,
        secrets: &'a Secrets,
        providers: &'a Providers,
    ) -> Self {
        Self {
            ledger,
            clock,
            secrets,
            providers,
            keys: HashMap::new(),
            agenda: BTreeMap::new(),
            landing: FuturesUnordered::new(),
            busy: HashSet::new(),
            oldest: Timestamp::EPOCH,
            until: Timestamp::EPOCH,
            leave: HashMap::new(),
            unconfirmed: Vec::new(),
        }
    }

    /// Writes all of it, which is over before `until`; `tell` hears of every moment that is reached. Refusals of the
    /// last minute are counted and not written yet.
    pub(super) async fn write(
        &mut self,
        plan: Vec<Step>,
        until: Timestamp,
        mut tell: impl FnMut(Timestamp),
    ) -> anyhow::Result<()> {
        self.until = until;
        for Step { at, act } in plan {
            self.put(at, Todo::Act(act));
        }
        while let Some(((at, _), todo)) = self.agenda.pop_first() {
            tell(at);
            while !self.landing.is_empty() && at.micros_since(self.oldest) > TOGETHER_MICROS {
                self.land().await?;
            }
            match todo {
                Todo::Act(act) => self.act(at, act).await?,
                Todo::End(call) => self.end(at, &call).await?,
                Todo::WriteRefusals => {
                    self.clock.set(at);
                    self.ledger.write_refusals().await;
                }
            }
        }
        while !self.landing.is_empty() {
            self.land().await?;
        }
        Ok(())
    }

    fn put(&mut self, at: Timestamp, todo: Todo) {
        let mut number = 0;
        while self.agenda.contains_key(&(at, number)) {
            number += 1;
        }
        self.agenda.insert((at, number), todo);
    }

    async fn act(&mut self, at: Timestamp, act: Act) -> anyhow::Result<()> {
        self.clock.set(at);
        match act {
            Act::CreateKey(role) => self.create_key(role).await,
            Act::Rotate(role, overlap_secs) => self.rotate(role, overlap_secs).await,
            Act::CorrectUnconfirmed(reason) => self.correct_unconfirmed(at, reason).await,
            Act::Manage(change) => asked::change(self.ledger, self.context(), change).await,
            Act::Strangers(address, count) => {
                let address = address.to_string();
                (0..count).for_each(|_| self.ledger.count_stranger("invalid_api_key", Some(&address)));
                self.ledger.write_refusals().await;
                Ok(())
            }
            Act::Call(call) => self.begin(at, call).await,
        }
    }

    /// Asks for leave. A call that is refused is over; one that is not ends later.
    async fn begin(&mut self, at: Timestamp, call: Box<Call>) -> anyhow::Result<()> {
        let route = self.route(&call, at)?;
        self.ledger.publish(route.card_id, &route.card).await?;
        let key = call.role.key()?;
        self.come_to_rest(key).await?;
        let account = self.ledger.key(key).await?;
        let org = self.ledger.org_view(Some(call.role.org.id())).await?;
        let presented = account.glance(|account| presented(account.key.as_ref(), call.secret_version));
        let command = asked::authorize(&call, &route, presented, org);
        let id = call.id;
        let (ledger, asker) = (Arc::clone(self.ledger), Arc::clone(&account));
        let mut asked = async move { ledger.authorize(&asker, command).await }.boxed();
        let answer = match (&mut asked).now_or_never() {
            Some(answer) => answer,
            None if account.glance(|account| account.key.as_ref().is_some_and(|key| key.knows_call(id))) => {
                self.put(call.over_at(at), Todo::End(call));
                let leave = asked.map(move |leave| Ok(Landed::Leave(key, id, Box::new(leave?))));
                self.on_its_way(key, leave.boxed()).await;
                return Ok(());
            }
            None => asked.await,
        };
        match answer {
            Ok(leave) => {
                self.leave.insert(id, Box::new(leave));
                self.put(call.over_at(at), Todo::End(call));
            }
            Err(ExecuteError::Refused(refusal)) => self.refused(at, key, &call, &refusal),
            Err(error) => return Err(error).context("an invented call cannot be written"),
        }
        Ok(())
    }

    fn refused(&mut self, at: Timestamp, key: KeyId, call: &Call, refusal: &Refusal) {
        self.ledger.count_refusal(key, refusal, Some(&call.address.to_string()));
        let minute = at.as_micros() / (MINUTE_SECS * MICROS_PER_SEC);
        let next = Timestamp::EPOCH.plus_secs(minute.saturating_add(1).saturating_mul(MINUTE_SECS));
        // Nothing may be written ahead of the present.
        if next < self.until && !self.agenda.contains_key(&(next, 0)) {
            self.put(next, Todo::WriteRefusals);
        }
    }

    async fn end(&mut self, at: Timestamp, call: &Call) -> anyhow::Result<()> {
        let key = call.role.key()?;
        self.come_to_rest(key).await?;
        let leave = self.leave.remove(&call.id).context("an invented call has no leave")?;
        if asked::stays_unconfirmed(call) {
            self.unconfirmed.push((at, key, call.id));
        }
        let end = asked::end(call.clone(), leave, self.route(call, at)?);
        let mut end = end.map(move |end| end.map(|_| Landed::End(key))).boxed();
        self.clock.set(at);
        match (&mut end).now_or_never() {
            Some(ended) => drop(ended?),
            None => self.on_its_way(key, end).await,
        }
        Ok(())
    }

    async fn create_key(&mut self, role: &'static Role) -> anyhow::Result<()> {
        let id = role.key()?;
        let text = VirtualKeyText::generate_for(&id)?;
        let command = asked::create(role, self.secrets.peppers().seal(&text, 1));
        self.ledger.manage_key(id, command, self.context()).await?;
        self.keys.insert(id, text);
        Ok(())
    }

    /// Gives a key a new secret, which from then on is known here.
    pub(super) async fn rotate(&mut self, role: &'static Role, overlap_secs: u32) -> anyhow::Result<()> {
        let id = role.key()?;
        let text = VirtualKeyText::generate_for(&id)?;
        let command = asked::rotate(self.secrets.peppers().seal(&text, 1), overlap_secs);
        self.ledger.manage_key(id, command, self.context()).await?;
        self.keys.insert(id, text);
        Ok(())
    }

    /// Corrects those of the last day: older ones the key's fold has forgotten.
    async fn correct_unconfirmed(&mut self, at: Timestamp, reason: &str) -> anyhow::Result<()> {
        let a_day_ago = at.plus_secs(-24 * 3_600);
        for (_, key, call) in
            std::mem::take(&mut self.unconfirmed).into_iter().filter(|(at, ..)| *at > a_day_ago)
        {
            let command = Correct {
                call,
                charged: nemo_events::Nanos::ZERO,
                reason: reason.to_owned(),
                forgotten: None,
            };
            self.ledger.manage_key(key, command, self.context()).await?;
        }
        Ok(())
    }

    async fn on_its_way(&mut self, key: KeyId, work: BoxFuture<'static, Result<Landed, ExecuteError>>) {
        if self.landing.is_empty() {
            self.oldest = self.clock.now();
        }
        self.busy.insert(key);
        self.landing.push(work);
        // Lets it get to the store before whatever comes next.
        tokio::task::yield_now().await;
    }

    /// Waits until nothing is on its way to a key.
    async fn come_to_rest(&mut self, key: KeyId) -> anyhow::Result<()> {
        while self.busy.contains(&key) {
            self.land().await?;
        }
        Ok(())
    }

    /// Waits until something is durable.
    async fn land(&mut self) -> anyhow::Result<()> {
        let landed = self.landing.next().await.context("nothing is on its way")?;
        match landed.context("an invented call cannot be written")? {
            Landed::Leave(key, call, leave) => {
                self.busy.remove(&key);
                self.leave.insert(call, leave);
            }
            Landed::End(key) => {
                self.busy.remove(&key);
            }
        }
        Ok(())
    }

    fn route(&self, call: &Call, at: Timestamp) -> anyhow::Result<Route> {
        let route = self.providers.route(call.model, at);
        route.map_err(|why| anyhow::anyhow!("the demo cannot price {}: {}", call.model, Refusal::Price(why)))
    }

    /// Managers use the master key.
    fn context(&self) -> Context {
        let id = self.secrets.master_keys().current().id().clone();
        Context { actor: Actor::MasterKey { id }, request: None, call: None }
    }
}

/// What a caller with a secret of this key presents: what is kept of the secret is what is compared.
fn presented(key: Option<&nemo_projections::KeyState>, version: Option<u32>) -> PresentedSecret {
    let secrets = key.map(|key| key.secrets.as_slice()).unwrap_or_default();
    let secret = match version {
        Some(version) => secrets.iter().find(|kept| kept.secret.version == version),
        None => secrets.last(),
    };
    let digests = secret.map(|kept| (kept.secret.pepper.clone(), kept.secret.digest));
    PresentedSecret { digests: digests.into_iter().collect() }
}
