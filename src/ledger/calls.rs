//! The life of a call, as the ledger sees it: authorised, then ended exactly once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use nemo_events::key::{CallAuthorized, VoidReason};
use nemo_events::{Actor, CallId, Day, KeyEvent, KeyId, Nanos, OrgId, RequestId, Timestamp};
use nemo_projections::alerts;
use nemo_projections::decide::{
    Authorize, Forfeit, KeyCommand, Outlook, PresentedSecret, Settle, Void, authenticate, guard_address,
};
use nemo_projections::org::{OrgView, SlicesNeeded, Standing};
use nemo_projections::{OrgState, Refusal};

use super::Ledger;
use super::account::{Account, unattended};
use super::command::{Command, Context, Done, ExecuteError, Job};
use super::fold::{Fold, KeyAccount, KeyFold};
use super::refusals::Taken;
use super::room::{Room, room};
use crate::metrics::ledger::OpenCall;

/// What a caller is told with the end of a call.
#[derive(Debug, Clone)]
pub struct EndAnswer {
    /// What the call is charged now.
    pub charged: Nanos,
    /// What the key has left after it.
    pub room: Room,
}

/// Leave to send one call to its provider. There is no other way to get one than a durable
/// `CallAuthorized`, and whoever has one must end the call.
#[derive(Debug)]
pub struct Authorized {
    account: Arc<Account<KeyFold>>,
    event: CallAuthorized,
    room: Room,
    context: Context,
    open: OpenCall,
}

impl std::fmt::Debug for Account<KeyFold> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.id())
    }
}

/// A pure command on a key, with refusals of the key that wait to be written.
pub(super) struct OnKey<C> {
    pub(super) command: C,
    pub(super) refused: Option<Taken>,
}

impl<C: KeyCommand> OnKey<C> {
    /// What follows, behind the refusals if anything does and the key exists.
    pub(super) fn events(&self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let mut events = self.command.decide(state.key.as_ref(), now)?;
        if let Some(refused) = &self.refused
            && let Some(key) = &state.key
            && !events.is_empty()
        {
            let (since, refusals) = refused.counts();
            events.insert(0, alerts::calls_refused(key, since, refusals, now).into());
        }
        Ok(events)
    }

    /// The refusals are written, if there were any: whatever is written has them in front.
    pub(super) fn written(&mut self) {
        if let Some(refused) = &mut self.refused {
            refused.forget();
        }
    }
}

impl Command<KeyFold> for OnKey<Authorize> {
    type Answer = Option<(CallAuthorized, Room)>;

    fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        self.events(state, now)
    }

    fn answer(&mut self, state: &KeyAccount, events: &[KeyEvent], now: Timestamp) -> Self::Answer {
        events.iter().find_map(|event| match event {
            KeyEvent::CallAuthorized(event) => Some((event.clone(), room(state, now))),
            _ => None,
        })
    }

    fn written(&mut self) {
        Self::written(self);
    }

    /// Authorised, but the caller gave up: nothing was sent.
    fn undo(answer: &Self::Answer) -> Option<Box<dyn Job<KeyFold>>> {
        let (event, _) = answer.as_ref()?;
        let void = Void { call: event.call, reason: VoidReason::NotSent, status: None, duration_ms: 0 };
        let context = Context { actor: Actor::System, request: Some(event.request), call: Some(event.call) };
        Some(unattended(OnKey { command: void, refused: None }, context))
    }
}

/// Ends answer alike: what the call is charged, and what is left.
macro_rules! ends {
    ($($end:ty),*) => {$(
        impl Command<KeyFold> for OnKey<$end> {
            type Answer = EndAnswer;
            const MUST_HAPPEN: bool = true;

            fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
                self.events(state, now)
            }

            fn answer(&mut self, state: &KeyAccount, _events: &[KeyEvent], now: Timestamp) -> EndAnswer {
                end_answer(state, self.command.call, now)
            }

            fn written(&mut self) {
                Self::written(self);
            }
        }
    )*};
}

ends!(Settle, Void, Forfeit);

/// What a decision about a key needs of its org.
fn view(org: Option<&OrgState>, now: Timestamp) -> OrgView {
    let Some(org) = org else { return Standing::Archived.into() };
    let tightest = org.allotted.tightest(&org.budgets, Day::of(now));
    let slices = match org.allotted.since().zip(tightest) {
        Some((since, (_, free))) => SlicesNeeded::Yes { since, free },
        None => SlicesNeeded::No { as_of: Some(org.changed_at) },
    };
    OrgView { standing: org.standing, slices }
}

fn end_answer(state: &KeyAccount, call: CallId, now: Timestamp) -> EndAnswer {
    let key = state.key.as_ref();
    let charged = key.and_then(|key| key.ended_calls.get(&call)).map_or(Nanos::ZERO, |ended| ended.charged);
    EndAnswer { charged, room: room(state, now) }
}

/// Checks a presented secret; the answer waits like every other.
struct Authenticate {
    presented: PresentedSecret,
    org: Standing,
    address: IpAddr,
}

impl Command<KeyFold> for Authenticate {
    type Answer = u32;

    fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        let key = state.key.as_ref().ok_or(Refusal::InvalidKey)?;
        authenticate(key, &self.presented, self.org, now)?;
        guard_address(&key.limits, self.address).map(|()| Vec::new())
    }

    fn answer(&mut self, state: &KeyAccount, _events: &[KeyEvent], now: Timestamp) -> u32 {
        let key = state.key.as_ref();
        key.and_then(|key| authenticate(key, &self.presented, self.org, now).ok()).unwrap_or_default()
    }
}

/// Reads something off a state; the answer waits until what it reads is durable.
struct Look<L>(L);

impl<F: Fold, T, L> Command<F> for Look<L>
where
    T: Send + 'static,
    L: FnMut(&F::State, Timestamp) -> T + Send + 'static,
{
    type Answer = T;

    fn decide(&mut self, _state: &F::State, _now: Timestamp) -> Result<Vec<F::Event>, Refusal> {
        Ok(Vec::new())
    }

    fn answer(&mut self, state: &F::State, _events: &[F::Event], now: Timestamp) -> T {
        (self.0)(state, now)
    }
}

impl Ledger {
    /// Whether a key's org may be used, as this node knows it. A key without an org is none of ours.
    ///
    /// # Errors
    /// Where the org's stream cannot be read.
    pub async fn standing(&self, org: Option<OrgId>) -> Result<Standing, ExecuteError> {
        Ok(self.org_view(org).await?.standing)
    }

    /// A key's org as this node knows it: whether it may be used, and whether calls draw on slices of its budgets.
    ///
    /// # Errors
    /// Where the org's stream cannot be read.
    pub async fn org_view(&self, org: Option<OrgId>) -> Result<OrgView, ExecuteError> {
        let Some(org) = org else { return Ok(Standing::Active.into()) };
        within(self.core.pace.authorize, async {
            let account = self.org(org).await?;
            let now = self.now();
            let known = account.unless_lost(|org, durable| {
                let is_durable = org.as_ref().is_none_or(|org| Some(org.changed_at) <= durable);
                is_durable.then(|| view(org.as_ref(), now))
            });
            if let Some(view) = known.flatten() {
                return Ok(view);
            }
            let look = Look(|org: &Option<OrgState>, now| view(org.as_ref(), now));
            Ok(account.execute(look, Context::system()).await?.answer)
        })
        .await
    }

    /// Checks a presented secret and that its key may be used, and from there; answers with the secret's version.
    ///
    /// # Errors
    /// The refusal, or why there is no answer.
    pub async fn authenticate(
        &self,
        account: &Arc<Account<KeyFold>>,
        presented: PresentedSecret,
        address: IpAddr,
    ) -> Result<u32, ExecuteError> {
        self.keys.keep(account).await;
        let org = self.standing(account.glance(|state| state.key.as_ref().map(|key| key.org))).await?;
        let command = Authenticate { presented, org, address };
        let work = account.execute(command, Context::system());
        Ok(within(self.core.pace.authorize, work).await?.answer)
    }

    /// Reads something off a key's state, once it is durable.
    ///
    /// # Errors
    /// Where the stream cannot be read or stays undecided.
    pub async fn look<T: Send + 'static>(
        &self,
        id: KeyId,
        look: impl FnMut(&KeyAccount, Timestamp) -> T + Send + 'static,
    ) -> Result<Done<T>, ExecuteError> {
        within(self.core.pace.authorize, async {
            self.key(id).await?.execute(Look(look), Context::system()).await
        })
        .await
    }

    /// What a key has left, once all of that is durable.
    ///
    /// # Errors
    /// Where the stream stays undecided.
    pub async fn room(&self, account: &Arc<Account<KeyFold>>) -> Result<Room, ExecuteError> {
        let work = account.execute(Look(room), Context::system());
        Ok(within(self.core.pace.authorize, work).await?.answer)
    }

    /// Authorises a call: `Ok` means that its hold is durable.
    ///
    /// # Errors
    /// The refusal, or why there is no answer; after 2 s without one nothing will be sent, and what
    /// becomes durable later is voided.
    pub async fn authorize(
        &self,
        account: &Arc<Account<KeyFold>>,
        command: Authorize,
    ) -> Result<Authorized, ExecuteError> {
        let context = call_context(account.id(), command.request, command.call);
        let (metrics, began) = (&self.core.metrics, Instant::now());
        let work = self.authorize_on_slices(account, command, &context);
        let done = within(self.core.pace.authorize, work).await;
        metrics.authorize.took(began.elapsed());
        let done = done?;
        let Some((event, room)) = done.answer else {
            return Err(ExecuteError::Unavailable("the call id was used before".to_owned()));
        };
        let open = metrics.opened(event.hold.amount);
        Ok(Authorized { account: Arc::clone(account), event, room, context, open })
    }

    /// What authorising a call would lead to now. Nothing comes of it.
    ///
    /// # Errors
    /// The refusal, or why there is no answer.
    pub async fn consider(
        &self,
        account: &Arc<Account<KeyFold>>,
        mut command: Authorize,
    ) -> Result<CallAuthorized, ExecuteError> {
        let decided = async |command: Authorize| {
            let look = move |state: &KeyAccount, now| command.decide(state.key.as_ref(), now);
            let work = account.execute(Look(look), Context::system());
            within(self.core.pace.authorize, work).await?.answer.map_err(ExecuteError::Refused)
        };
        let events = match decided(command.clone()).await {
            Err(ExecuteError::Refused(Refusal::Allotment(needed))) => {
                self.consider_slices(account, needed, &mut command)?;
                decided(command).await?
            }
            decided => decided?,
        };
        let authorized = events.into_iter().find_map(|event| match event {
            KeyEvent::CallAuthorized(event) => Some(event),
            _ => None,
        });
        authorized.ok_or_else(|| ExecuteError::Unavailable("the call id was used before".to_owned()))
    }

    /// How a call looks that would be refused now; nothing of a key that there is not.
    ///
    /// # Errors
    /// Where the stream stays undecided.
    pub async fn outlook(
        &self,
        account: &Arc<Account<KeyFold>>,
        command: Authorize,
    ) -> Result<Option<Outlook>, ExecuteError> {
        let look = move |state: &KeyAccount, now| state.key.as_ref().map(|key| command.outlook(key, now));
        let work = account.execute(Look(look), Context::system());
        Ok(within(self.core.pace.authorize, work).await?.answer)
    }

    /// Counts a refusal of a key, to be written with its next event or at the minute's end.
    pub fn count_refusal(&self, key: KeyId, refusal: &Refusal, address: Option<&str>) {
        self.core.metrics.refused(refusal.code());
        self.refusals.count(key, refusal.code(), address, self.now());
    }

    /// Counts a presented string that is no key of ours.
    pub fn count_stranger(&self, code: &'static str, address: Option<&str>) {
        self.core.metrics.refused(code);
        self.refusals.count_stranger(code, address, self.now());
    }
}

impl Authorized {
    /// What was authorised.
    #[must_use]
    pub const fn event(&self) -> &CallAuthorized {
        &self.event
    }

    /// What the key has left, this call's hold taken off.
    #[must_use]
    pub const fn room(&self) -> Room {
        self.room
    }

    /// Ends the call with what it used. Tries until the end is durable.
    ///
    /// # Errors
    /// Only where the ledger is damaged or the node is stopping without a store.
    pub async fn settle(&self, settle: Settle) -> Result<EndAnswer, ExecuteError> {
        self.end(settle).await
    }

    /// Ends a call that cost nothing. Tries until the end is durable.
    ///
    /// # Errors
    /// As [`Authorized::settle`].
    pub async fn void(&self, void: Void) -> Result<EndAnswer, ExecuteError> {
        self.end(void).await
    }

    /// Ends a call of which nobody knows what it cost. Tries until the end is durable.
    ///
    /// # Errors
    /// As [`Authorized::settle`].
    pub async fn forfeit(&self, forfeit: Forfeit) -> Result<EndAnswer, ExecuteError> {
        self.end(forfeit).await
    }

    async fn end<C>(&self, command: C) -> Result<EndAnswer, ExecuteError>
    where
        OnKey<C>: Command<KeyFold, Answer = EndAnswer>,
    {
        let command = OnKey { command, refused: None };
        let began = Instant::now();
        let done = self.account.execute(command, self.context.clone()).await?;
        self.open.close();
        self.account.metrics().end.took(began.elapsed());
        Ok(done.answer)
    }
}

pub(super) fn call_context(key: KeyId, request: RequestId, call: CallId) -> Context {
    Context { actor: Actor::VirtualKey { id: key }, request: Some(request), call: Some(call) }
}

/// Bounds a wait. What is asked may still happen afterwards; nobody will be told.
pub(super) async fn within<T>(
    patience: std::time::Duration,
    work: impl Future<Output = Result<T, ExecuteError>>,
) -> Result<T, ExecuteError> {
    match tokio::time::timeout(patience, work).await {
        Ok(result) => result,
        Err(_) => Err(ExecuteError::Unavailable("the store did not answer in time".to_owned())),
    }
}

pub(super) const fn call_context_of_system(call: CallId) -> Context {
    Context { actor: Actor::System, request: None, call: Some(call) }
}
