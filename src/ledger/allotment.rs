//! What happens between a key's stream and its org's, so that calls find a slice of the org's budgets to draw on:
//! the org allots, the key receives, calls draw, the key returns, the org reclaims. Decision 0023 says why.
//!
//! - Each step is one append to one stream, decided on that stream. Whatever interrupts, the next who needs the slice
//!   carries on: totals are carried, so nothing counts twice.
//! - An org's money is asked for only where a key's slice is too small; what is allotted then lasts for more calls.
//! - What this node knows of idle slices only says where to look first.

mod back;
mod count;
mod room;
mod slack;
mod tidy;

use std::sync::Arc;

use nemo_events::key::CallAuthorized;
use nemo_events::{Day, KeyEvent, KeyId, Nanos, OrgEvent, OrgId, Timestamp};
use nemo_projections::decide::{Allot, Authorize, KeyCommand, OrgCommand, Receive};
use nemo_projections::key::Slice;
use nemo_projections::org::SlicesNeeded;
use nemo_projections::refusal::{AllotmentNeeded, BudgetShort, SliceShort};
use nemo_projections::{OrgState, Refusal};

use super::Ledger;
use super::account::Account;
use super::calls::OnKey;
use super::command::{Command, Context, Done, ExecuteError};
use super::fold::{KeyAccount, KeyFold, OrgFold};
use super::room::Room;
pub use count::KeysOfOrgs;
pub use room::{OrgBudgetRoom, OrgBudgetsAnswer};
pub(super) use slack::Slack;

/// How often a call is decided anew because something had to happen first.
const TRIES: usize = 12;
/// A slice is made so many holds large, if there is room, so that most calls need no event of the org.
const HOLDS_AT_ONCE: i64 = 8;
/// A slice that was used up grows to as much again, up to so many holds.
const HOLDS_AT_MOST: i64 = 64;

/// What authorising a call answers with.
type Leave = Result<Done<Option<(CallAuthorized, Room)>>, ExecuteError>;

/// A pure command on an org that answers with what a key was granted of a day after it.
struct AllotOf(Allot);

impl Command<OrgFold> for AllotOf {
    type Answer = Nanos;

    fn decide(&mut self, state: &Option<OrgState>, now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        self.0.decide(state.as_ref(), now)
    }

    fn answer(&mut self, state: &Option<OrgState>, _events: &[OrgEvent], _now: Timestamp) -> Nanos {
        state.as_ref().map_or(Nanos::ZERO, |org| org.allotted.of(self.0.key, self.0.day).granted)
    }
}

/// A pure command on an org whose answer does not matter.
pub(super) struct OnOrg<C>(pub(super) C);

impl<C: OrgCommand + Send + 'static> Command<OrgFold> for OnOrg<C> {
    type Answer = ();

    fn decide(&mut self, state: &Option<OrgState>, now: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        self.0.decide(state.as_ref(), now)
    }

    fn answer(&mut self, _: &Option<OrgState>, _: &[OrgEvent], _: Timestamp) {}
}

/// A pure command on a key's slices; answers with the slice of a day after it.
struct OnSlice<C> {
    command: C,
    day: Day,
}

impl<C: KeyCommand + Send + 'static> Command<KeyFold> for OnSlice<C> {
    type Answer = Slice;

    fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        self.command.decide(state.key.as_ref(), now)
    }

    fn answer(&mut self, state: &KeyAccount, _: &[KeyEvent], _: Timestamp) -> Self::Answer {
        let empty = Slice::empty(self.day);
        state.key.as_ref().map_or(empty, |key| key.slices.of(self.day))
    }
}

impl Ledger {
    /// Authorises a call, and sees to whatever must happen in the org's stream before.
    pub(super) async fn authorize_on_slices(
        &self,
        account: &Arc<Account<KeyFold>>,
        mut command: Authorize,
        context: &Context,
    ) -> Leave {
        for _ in 0..TRIES {
            let asked = OnKey { refused: self.refusals.take(account.id()), command: command.clone() };
            let needed = match account.execute(asked, context.clone()).await {
                Err(ExecuteError::Refused(Refusal::Allotment(needed))) => needed,
                told => return told,
            };
            let org = self.org_of(account)?;
            self.provide(account, org, needed).await?;
            command.org = self.org_view(Some(org)).await?;
        }
        Err(contended())
    }

    /// What authorising a call would lead to now, as far as can be told without asking the org for money.
    pub(super) fn consider_slices(
        &self,
        account: &Arc<Account<KeyFold>>,
        needed: AllotmentNeeded,
        command: &mut Authorize,
    ) -> Result<(), ExecuteError> {
        let AllotmentNeeded::Slice(short) = needed else {
            command.org.slices = SlicesNeeded::Assumed;
            return Ok(());
        };
        let org = self.org_of(account)?;
        let org_account = self.orgs.live(org).ok_or_else(contended)?;
        let refused = org_account.glance(|state| {
            let state = state.as_ref()?;
            self.core.slack.why_short(org, state, account.id(), short)
        });
        match refused {
            None | Some(WhyShort::IdleElsewhere(_)) => {
                command.org.slices = SlicesNeeded::Assumed;
                Ok(())
            }
            Some(WhyShort::Held(short)) => Err(ExecuteError::Refused(Refusal::BudgetHeld(short))),
            Some(WhyShort::Spent(short)) => Err(ExecuteError::Refused(Refusal::BudgetExceeded(short))),
        }
    }

    fn org_of(&self, account: &Arc<Account<KeyFold>>) -> Result<OrgId, ExecuteError> {
        let org = account.glance(|state| state.key.as_ref().map(|key| key.org));
        org.ok_or(ExecuteError::Refused(Refusal::InvalidKey))
    }

    /// Makes the next step that a call needs.
    async fn provide(
        &self,
        account: &Arc<Account<KeyFold>>,
        org: OrgId,
        needed: AllotmentNeeded,
    ) -> Result<(), ExecuteError> {
        match needed {
            // Somebody else wrote to the org's stream, and the key knows of it before this node does.
            AllotmentNeeded::LaterView => self.org(org).await?.read().await,
            AllotmentNeeded::Notice(since) => self.tell_of_budgets(account.id(), org, since).await,
            AllotmentNeeded::Count(_) => self.spend_counted(org).await,
            AllotmentNeeded::Slice(short) => self.widen(account, org, short).await,
            AllotmentNeeded::AnotherDay(_) => {
                Err(ExecuteError::Unavailable("the clocks of the nodes do not agree on the day".to_owned()))
            }
        }
    }

    /// Makes a slice large enough for a call, or says why it cannot be.
    async fn widen(
        &self,
        account: &Arc<Account<KeyFold>>,
        org: OrgId,
        short: SliceShort,
    ) -> Result<(), ExecuteError> {
        let org_account = self.org(org).await?;
        let (key, day) = (account.id(), short.day);
        // What the key has returned, and nobody carried yet, is money too.
        self.reclaim_all(account, &org_account).await?;
        let mut taken_back = false;
        loop {
            let allot = allot_for(key, short);
            match org_account.execute(AllotOf(allot), Context::system()).await {
                Ok(Done { answer: total, .. }) => {
                    crate::failpoint::reached("allotted");
                    self.receive(account, day, total).await?;
                    crate::failpoint::reached("received");
                    return Ok(());
                }
                Err(ExecuteError::Refused(Refusal::BudgetExceeded(budget))) if !taken_back => {
                    taken_back = true;
                    let missing = missing(&org_account, &budget, short);
                    self.take_back(org, &org_account, key, day, missing).await?;
                }
                Err(ExecuteError::Refused(Refusal::BudgetExceeded(budget))) => {
                    return Err(ExecuteError::Refused(self.why_not(org, &org_account, key, short, budget)));
                }
                // What was spent before is to be counted first, or there are no budgets any more.
                Err(ExecuteError::Refused(Refusal::Allotment(AllotmentNeeded::Count(_)))) => {
                    return self.spend_counted(org).await;
                }
                Err(ExecuteError::Refused(Refusal::Allotment(AllotmentNeeded::LaterView))) => return Ok(()),
                Err(ExecuteError::Refused(Refusal::Allotment(_))) => return Err(contended()),
                Err(error) => return Err(error),
            }
        }
    }

    /// A key takes up what its org has allotted to it.
    async fn receive(
        &self,
        account: &Arc<Account<KeyFold>>,
        day: Day,
        total: Nanos,
    ) -> Result<Slice, ExecuteError> {
        let command = OnSlice { command: Receive { day, total }, day };
        Ok(account.execute(command, Context::system()).await?.answer)
    }

    /// Held by calls in flight, or idle with more keys than one request looks at: it may come free. Spent: it will not.
    fn why_not(
        &self,
        org: OrgId,
        org_account: &Arc<Account<OrgFold>>,
        key: KeyId,
        short: SliceShort,
        budget: BudgetShort,
    ) -> Refusal {
        let why = org_account.glance(|state| {
            let state = state.as_ref()?;
            self.core.slack.why_short(org, state, key, short)
        });
        match why {
            // It came free meanwhile: whoever waits is asked again at once.
            None => Refusal::BudgetHeld(BudgetShort { needed: short.hold, ..budget }),
            Some(WhyShort::IdleElsewhere(short)) => {
                self.look_at_all(org);
                Refusal::BudgetHeld(short)
            }
            Some(WhyShort::Held(short)) => Refusal::BudgetHeld(short),
            Some(WhyShort::Spent(short)) => Refusal::BudgetExceeded(short),
        }
    }
}

/// Why an org has too little for a call.
pub(super) enum WhyShort {
    /// Other keys have it idle, or may have: they were not looked at since this node started.
    IdleElsewhere(BudgetShort),
    /// It is held by open calls.
    Held(BudgetShort),
    /// It is spent.
    Spent(BudgetShort),
}

fn allot_for(key: KeyId, short: SliceShort) -> Allot {
    let SliceShort { day, received, idle, hold } = short;
    let need = hold.as_nanos().saturating_sub(idle.as_nanos());
    let several = hold.as_nanos().saturating_mul(HOLDS_AT_ONCE);
    let most = hold.as_nanos().saturating_mul(HOLDS_AT_MOST);
    let wish = received.as_nanos().clamp(several.min(most), most).max(need);
    Allot { key, day, received, need: Nanos::from_nanos(need), wish: Nanos::from_nanos(wish) }
}

/// What the tightest budget lacks for a call.
fn missing(org: &Arc<Account<OrgFold>>, budget: &BudgetShort, short: SliceShort) -> Nanos {
    let free = org.glance(|state| {
        let tightest = state.as_ref().and_then(|org| org.allotted.tightest(&org.budgets, short.day));
        tightest.map_or(Nanos::ZERO, |(_, free)| free)
    });
    Nanos::from_nanos(budget.needed.as_nanos().saturating_sub(free.as_nanos()))
}

fn contended() -> ExecuteError {
    ExecuteError::Unavailable("the org's budgets are asked for by too many at once".to_owned())
}
