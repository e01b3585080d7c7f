//! Taking back: what keys have idle, when the org runs short, and all of it when the org is suspended, archived or
//! has less or no budgets from now on.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use nemo_events::{Day, KeyEvent, KeyId, Nanos, OrgEvent, OrgId, Timestamp};
use nemo_projections::decide::{CoverOverrun, Reclaim, Return};
use nemo_projections::key::Slice;
use nemo_projections::{OrgState, Refusal};
use tracing::warn;

use super::{OnOrg, OnSlice};
use crate::ledger::Ledger;
use crate::ledger::account::Account;
use crate::ledger::command::{Command, Context, ExecuteError};
use crate::ledger::fold::{KeyAccount, KeyFold, OrgFold};

/// Slices that are taken back within one request at most.
const WITHIN_A_REQUEST: usize = 16;
/// Keys that are taken back from at the same time.
const AT_ONCE: usize = 16;

impl Ledger {
    /// Takes back what is missing from the keys that have the most idle, as far as this node knows; of at most 16.
    pub(super) async fn take_back(
        &self,
        org: OrgId,
        org_account: &Arc<Account<OrgFold>>,
        except: KeyId,
        day: Day,
        missing: Nanos,
    ) -> Result<(), ExecuteError> {
        let slack = &self.core.slack;
        let mut from = slack.largest(org, except, WITHIN_A_REQUEST);
        let mut enough = 0_i64;
        // No more keys than it takes: half of what each has idle is let go, or what is missing.
        from.retain(|(_, idle)| {
            let wanted = enough < missing.as_nanos();
            enough = enough.saturating_add(idle.as_nanos());
            wanted
        });
        let mut keys: Vec<KeyId> = from.into_iter().map(|(key, _)| key).collect();
        if enough < missing.as_nanos() {
            let most = WITHIN_A_REQUEST.saturating_sub(keys.len());
            let unknown = org_account.glance(|state| {
                state.as_ref().map(|state| slack.unknown(org, state, Some(except), most)).unwrap_or_default()
            });
            keys.extend(unknown);
        }
        let each = stream::iter(keys).map(|key| self.take_back_from(key, org_account, day, Some(missing)));
        let done: Vec<_> = each.buffer_unordered(AT_ONCE).collect().await;
        done.into_iter().collect()
    }

    /// Takes back from one key: what is wanted of the day, and all of days that are over.
    async fn take_back_from(
        &self,
        key: KeyId,
        org_account: &Arc<Account<OrgFold>>,
        day: Day,
        wanted: Option<Nanos>,
    ) -> Result<(), ExecuteError> {
        let account = self.key(key).await?;
        for of in days_out(org_account, key) {
            let wanted = wanted.filter(|_| of >= day);
            self.settle_slice(&account, org_account, of, wanted).await?;
        }
        Ok(())
    }

    /// Carries everything that is under way for a slice, and takes back what is idle of it, or what is wanted of that.
    pub(super) async fn settle_slice(
        &self,
        account: &Arc<Account<KeyFold>>,
        org_account: &Arc<Account<OrgFold>>,
        day: Day,
        wanted: Option<Nanos>,
    ) -> Result<Slice, ExecuteError> {
        let key = account.id();
        // The org's events are carried only once they are durable: the answer waits for that.
        let granted = org_account.execute(LookAtGranted(key, day), Context::system()).await?.answer;
        let mut slice = self.receive(account, day, granted).await?;
        if slice.idle().is_negative() {
            slice = self.cover(account, org_account, &slice).await?;
        }
        if slice.idle() > Nanos::ZERO {
            let command = OnSlice { command: Return { day, wanted }, day };
            slice = account.execute(command, Context::system()).await?.answer;
            crate::failpoint::reached("returned");
        }
        let reclaim = Reclaim { key, day, total: slice.returned };
        org_account.execute(OnOrg(reclaim), Context::system()).await?;
        crate::failpoint::reached("reclaimed");
        Ok(slice)
    }

    /// What a key was charged beyond its slice is counted by the org, and received by the key.
    async fn cover(
        &self,
        account: &Arc<Account<KeyFold>>,
        org_account: &Arc<Account<OrgFold>>,
        slice: &Slice,
    ) -> Result<Slice, ExecuteError> {
        let (key, day) = (account.id(), slice.day);
        let Some(total) = slice.used_and_returned() else { return Ok(*slice) };
        org_account.execute(OnOrg(CoverOverrun { key, day, total }), Context::system()).await?;
        self.receive(account, day, total).await
    }

    /// Carries what a key has returned to its org.
    pub(super) async fn reclaim_all(
        &self,
        account: &Arc<Account<KeyFold>>,
        org_account: &Arc<Account<OrgFold>>,
    ) -> Result<(), ExecuteError> {
        let key = account.id();
        let returned: Vec<(Day, Nanos)> = account.glance(|state| {
            let slices =
                state.key.as_ref().map(|key| key.slices.all().map(|s| (s.day, s.returned)).collect());
            slices.unwrap_or_default()
        });
        for (day, total) in returned {
            let so_already = org_account.glance(|state| {
                state.as_ref().is_none_or(|org| org.allotted.of(key, day).reclaimed >= total)
            });
            if !so_already {
                // The key's events are carried only once they are durable.
                let durable = account.execute(LookAtSlice(day), Context::system()).await?.answer;
                let reclaim = Reclaim { key, day, total: durable.returned };
                org_account.execute(OnOrg(reclaim), Context::system()).await?;
            }
        }
        Ok(())
    }

    /// Begins to take back everything that is idle. Ends by itself.
    pub(in crate::ledger) fn take_back_everything(&self, org: OrgId) {
        let Some(ledger) = self.me.upgrade() else { return };
        self.spawn(async move {
            if let Err(error) = ledger.take_everything_back(org).await {
                warn!(org.id = %org, %error, "not all that is idle was taken back; it is at the day's end");
            }
        });
    }

    pub(in crate::ledger) async fn take_everything_back(&self, org: OrgId) -> Result<(), ExecuteError> {
        let org_account = self.org(org).await?;
        let keys = keys_out(&org_account);
        let each = stream::iter(keys).map(async |key| {
            let account = self.key(key).await?;
            for day in days_out(&org_account, key) {
                self.settle_slice(&account, &org_account, day, None).await?;
            }
            Ok(())
        });
        let done: Vec<Result<(), ExecuteError>> = each.buffer_unordered(AT_ONCE).collect().await;
        done.into_iter().collect()
    }

    /// Begins to look at the keys of an org that this node has not looked at since it started.
    pub(super) fn look_at_all(&self, org: OrgId) {
        let (Some(ledger), Some(org_account)) = (self.me.upgrade(), self.orgs.live(org)) else { return };
        let unknown = org_account.glance(|state| {
            let state = state.as_ref();
            state.map(|state| self.core.slack.unknown(org, state, None, usize::MAX)).unwrap_or_default()
        });
        if unknown.is_empty() {
            return;
        }
        self.spawn(async move {
            let each = stream::iter(unknown).map(|key| ledger.key(key));
            each.buffer_unordered(AT_ONCE).for_each(async |_| ()).await;
            ledger.lines.stir(org);
        });
    }
}

/// Answers with a slice as it is, once that is durable.
struct LookAtSlice(Day);

impl Command<KeyFold> for LookAtSlice {
    type Answer = Slice;

    fn decide(&mut self, _: &KeyAccount, _: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        Ok(Vec::new())
    }

    fn answer(&mut self, state: &KeyAccount, _: &[KeyEvent], _: Timestamp) -> Slice {
        state.key.as_ref().map_or(Slice::empty(self.0), |key| key.slices.of(self.0))
    }
}

/// Answers with what a key was granted of a day, once that is durable.
struct LookAtGranted(KeyId, Day);

impl Command<OrgFold> for LookAtGranted {
    type Answer = Nanos;

    fn decide(&mut self, _: &Option<OrgState>, _: Timestamp) -> Result<Vec<OrgEvent>, Refusal> {
        Ok(Vec::new())
    }

    fn answer(&mut self, state: &Option<OrgState>, _: &[OrgEvent], _: Timestamp) -> Nanos {
        state.as_ref().map_or(Nanos::ZERO, |org| org.allotted.of(self.0, self.1).granted)
    }
}

/// The days of which a key has anything out.
fn days_out(org: &Arc<Account<OrgFold>>, key: KeyId) -> Vec<Day> {
    org.glance(|state| {
        let Some(state) = state else { return Vec::new() };
        let days = state.allotted.days().map(|(day, _)| day);
        days.filter(|day| state.allotted.of(key, *day).out() > Nanos::ZERO).collect()
    })
}

/// The keys that have anything out of days that are not closed.
fn keys_out(org: &Arc<Account<OrgFold>>) -> Vec<KeyId> {
    org.glance(|state| {
        let Some(state) = state else { return Vec::new() };
        let open = state.allotted.days().filter(|(_, closed)| !closed);
        let keys = open.flat_map(|(day, _)| state.allotted.keys(day));
        let out = keys.filter(|(_, granted)| granted.out() > Nanos::ZERO).map(|(key, _)| key);
        let distinct: std::collections::BTreeSet<KeyId> = out.collect();
        distinct.into_iter().collect()
    })
}
