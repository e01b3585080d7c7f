//! What is done about slices now and then: those of past days are taken back and their days closed, and what an
//! interruption left under way is carried. And what follows from a key's events at once.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use nemo_events::limits::WindowKind;
use nemo_events::{Day, EventRecord, KeyEvent, KeyId, Metadata, Nanos, OrgId};
use nemo_projections::OrgState;
use nemo_projections::decide::{CloseDay, CoverOverrun, Reclaim};
use tracing::warn;

use super::OnOrg;
use crate::ledger::Ledger;
use crate::ledger::account::Account;
use crate::ledger::command::{Context, ExecuteError};
use crate::ledger::fold::{KeyFold, OrgFold};

/// Keys that are looked at at the same time.
const AT_ONCE: usize = 4;
/// So long after midnight a day is not closed: other nodes' clocks may be a little behind.
const AFTER_MIDNIGHT_SECS: i64 = 60;

impl Ledger {
    /// Takes back what is left of past days, for every org in memory, and closes the days of which nothing is.
    pub async fn tidy_allotments(&self) {
        for org_account in self.orgs.in_memory() {
            let org = org_account.id();
            let has_budgets =
                org_account.glance(|org| org.as_ref().is_some_and(|org| org.allotted.since().is_some()));
            // Once in any case: an interruption may have kept an overrun from being counted, and whoever counts
            // looks at every key.
            if has_budgets && !self.core.slack.is_counted(org) {
                self.count_again(org);
            }
            if let Err(error) = self.tidy_allotments_of(org, &org_account).await {
                warn!(org.id = %org, %error, "slices of past days are not back yet");
            }
        }
    }

    async fn tidy_allotments_of(
        &self,
        org: OrgId,
        org_account: &Arc<Account<OrgFold>>,
    ) -> Result<(), ExecuteError> {
        // A node that died in the middle of taking back left the rest out.
        if let Some(state) = org_account.glance(|state| self.with_idle_out(org, state.as_ref())) {
            self.take_back_after(org, &state);
        }
        let today = Day::of(self.now().plus_secs(AFTER_MIDNIGHT_SECS.saturating_neg()));
        for day in past_days(org_account, today) {
            let slack = &self.core.slack;
            let keys = keys_of(org_account, day);
            let todo = keys.into_iter().filter(|key| !slack.is_settled(org, day, *key));
            let each = stream::iter(todo).map(async |key| {
                let account = self.key(key).await?;
                let slice = self.settle_slice(&account, org_account, day, None).await?;
                let is_settled = slice.open == 0 && slice.idle() == Nanos::ZERO;
                if is_settled {
                    slack.settle(org, day, key);
                }
                Ok(is_settled)
            });
            let done: Vec<Result<bool, ExecuteError>> = each.buffer_unordered(AT_ONCE).collect().await;
            if done.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().all(|settled| settled) {
                org_account.execute(OnOrg(CloseDay { day }), Context::system()).await?;
                slack.closed(org, day);
            }
        }
        Ok(())
    }

    /// The org without its slices, if keys have any of them idle, as far as this node knows.
    fn with_idle_out(&self, id: OrgId, org: Option<&OrgState>) -> Option<OrgState> {
        let (org, slack) = (org?, &self.core.slack);
        let idle = slack.sums(id, WindowKind::Total, Day::of(self.now()), None).idle > 0;
        (idle || !slack.unknown(id, org, None, 1).is_empty()).then(|| org.without_slices())
    }

    /// What a key's event means for its org: what was returned is reclaimed, an overrun counts.
    pub(in crate::ledger) fn follow_slices(&self, account: &Arc<Account<KeyFold>>, record: &EventRecord) {
        let (name, data) = (record.event.event_type.as_ref(), &record.event.data);
        let overrun = name == "CallSettled" && contains(data, br#""over_hold":true"#);
        if name != "AllotmentReturned" && !overrun {
            return;
        }
        // Every node sees it; whoever wrote it acts.
        let ours = serde_json::from_slice::<Metadata>(&record.event.metadata)
            .is_ok_and(|metadata| metadata.boot == self.core.boot);
        let Some(org) = account.glance(|state| state.key.as_ref().map(|key| key.org)).filter(|_| ours) else {
            return;
        };
        let Some(org_account) = self.orgs.live(org) else { return };
        let key = account.id();
        if let Ok(KeyEvent::AllotmentReturned(e)) = KeyEvent::decode(name, record.event.version, data) {
            let reclaim = Reclaim { key, day: e.day, total: e.total };
            return org_account.submit_unattended(OnOrg(reclaim), Context::system());
        }
        let (overdrawn, has_outside) = account.glance(|state| {
            let Some(key) = &state.key else { return (Vec::new(), false) };
            let overdrawn = key.slices.all().filter(|slice| slice.idle().is_negative()).copied();
            (overdrawn.collect(), !key.slices.outside().all().is_empty())
        });
        for slice in overdrawn {
            if let Some(total) = slice.used_and_returned() {
                let cover = CoverOverrun { key, day: slice.day, total };
                org_account.submit_unattended(OnOrg(cover), Context::system());
            }
        }
        if has_outside {
            self.count_again(org);
        }
    }

    /// A call that draws on no slice cost more than it held, perhaps after that was counted.
    fn count_again(&self, org: OrgId) {
        let Some(ledger) = self.me.upgrade() else { return };
        self.spawn(async move {
            let _one = ledger.counting.lock().await;
            if let Err(error) = ledger.count_spend(org).await {
                warn!(org.id = %org, %error, "what was spent outside of slices is not counted again yet");
            }
        });
    }
}

fn contains(data: &[u8], text: &[u8]) -> bool {
    data.windows(text.len()).any(|part| part == text)
}

fn past_days(org: &Arc<Account<OrgFold>>, today: Day) -> Vec<Day> {
    org.glance(|state| {
        let Some(state) = state else { return Vec::new() };
        let open = state.allotted.days().filter(|(day, closed)| *day < today && !closed);
        open.map(|(day, _)| day).collect()
    })
}

fn keys_of(org: &Arc<Account<OrgFold>>, day: Day) -> Vec<KeyId> {
    org.glance(|state| {
        let Some(state) = state else { return Vec::new() };
        state.allotted.keys(day).map(|(key, _)| key).collect()
    })
}
