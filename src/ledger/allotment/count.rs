//! Counting what an org's keys spent before its budgets were in force.
//!
//! First every key is told that it needs slices from now on; from there on what it spends outside of them only falls,
//! as open calls end. Then the sums are written to the org's stream, and slices may be allotted. Whatever interrupts
//! it, counting again comes to the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use nemo_events::limits::WindowKind;
use nemo_events::org::WindowSpent;
use nemo_events::{Day, KeyEvent, KeyId, Nanos, OrgId, Position, Revision, StreamName, Timestamp};
use nemo_projections::decide::{CountSpend, KeyCommand, Notice};
use nemo_projections::{OrgState, Refusal};
use tracing::debug;

use super::OnOrg;
use crate::ledger::Ledger;
use crate::ledger::command::{Command, Context, ExecuteError};
use crate::ledger::fold::{KeyAccount, KeyFold};

/// Keys that are told at the same time.
const AT_ONCE: usize = 32;
/// Events that are read at once, where nobody knows the org's keys.
const PAGE: usize = 1_000;

/// Knows the keys of orgs.
#[async_trait]
pub trait KeysOfOrgs: Send + Sync {
    /// Every key of an org that was created at a position or before it.
    ///
    /// # Errors
    /// Text for the log: it cannot be told now.
    async fn keys_of(&self, org: OrgId, until: Position) -> Result<Vec<KeyId>, String>;
}

/// Sums by kind and first day of a window.
#[derive(Default)]
struct Spent {
    windows: BTreeMap<(WindowKind, Day), i64>,
    /// Some of it is held by open calls, and may come to less.
    some_is_held: bool,
}

/// Tells a key that it needs slices; answers with what it spent outside of them.
struct TellAndCount(Notice);

impl Command<KeyFold> for TellAndCount {
    type Answer = Spent;

    fn decide(&mut self, state: &KeyAccount, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal> {
        self.0.decide(state.key.as_ref(), now)
    }

    fn answer(&mut self, state: &KeyAccount, _events: &[KeyEvent], _now: Timestamp) -> Spent {
        let windows = state.key.as_ref().map(|key| key.slices.outside().all()).unwrap_or_default();
        let spent = |window: &nemo_projections::budget::WindowSpend| {
            let amount = window.settled.as_nanos().saturating_add(window.held.as_nanos());
            ((window.kind, Day::of(window.start)), amount)
        };
        let some_is_held = windows.iter().any(|window| window.open > 0);
        Spent { windows: windows.iter().map(spent).collect(), some_is_held }
    }
}

impl Ledger {
    /// Who knows the keys of orgs, so that the log need not be read for them.
    pub fn keys_are_known_to(&self, directory: Arc<dyn KeysOfOrgs>) {
        // Whoever was named first stays.
        let _ = self.directory.set(directory);
    }

    /// Waits until what was spent before an org's budgets is counted. The counting goes on if nobody waits.
    pub(super) async fn spend_counted(&self, org: OrgId) -> Result<(), ExecuteError> {
        let gone = || ExecuteError::Unavailable("the node is stopping".to_owned());
        let ledger = self.me.upgrade().ok_or_else(gone)?;
        let work = async move {
            let _one = ledger.counting.lock().await;
            let is_counted = ledger
                .org(org)
                .await?
                .settled(|state| state.as_ref().is_none_or(|org| org.allotted.is_counted()));
            if is_counted == Some(true) { Ok(()) } else { ledger.count_spend(org).await }
        };
        self.core.tasks.spawn_on(work, &self.core.runtime).await.map_err(|_| gone())?
    }

    /// Counts, or counts again: calls that were open then have ended, perhaps for less, perhaps for more.
    pub(in crate::ledger) async fn count_spend(&self, org: OrgId) -> Result<(), ExecuteError> {
        let org_account = self.org(org).await?;
        let since = org_account.glance(|state| state.as_ref().and_then(|org| org.allotted.since()));
        let Some(since) = since else { return Ok(()) };
        let keys = self.keys_of(org).await?;
        let each = stream::iter(keys).map(|key| self.tell_and_count(key, since));
        let counted: Vec<_> = each.buffer_unordered(AT_ONCE).collect().await;
        let mut sums = Spent::default();
        for spent in counted {
            let spent = spent?;
            sums.some_is_held |= spent.some_is_held;
            for (window, amount) in spent.windows {
                let sum = sums.windows.entry(window).or_default();
                *sum = sum.saturating_add(amount);
            }
        }
        crate::failpoint::reached("told-all-keys");
        let spent = sums.windows.into_iter().map(|((window, start), amount)| WindowSpent {
            window,
            start,
            amount: Nanos::from_nanos(amount),
        });
        let command = CountSpend { since, spent: spent.collect() };
        org_account.execute(OnOrg(command), Context::system()).await?;
        self.core.slack.counted(org, sums.some_is_held);
        Ok(())
    }

    /// Tells a key of the budgets with its first call. One that was made on a node that did not know of them yet may
    /// have spent outside of slices after that was counted: then it is counted again.
    pub(super) async fn tell_of_budgets(
        &self,
        key: KeyId,
        org: OrgId,
        since: Revision,
    ) -> Result<(), ExecuteError> {
        let spent = self.tell_and_count(key, since).await?;
        let is_counted =
            |state: &Option<OrgState>| state.as_ref().is_some_and(|org| org.allotted.is_counted());
        if spent.windows.is_empty() || !self.org(org).await?.glance(is_counted) {
            return Ok(());
        }
        let _one = self.counting.lock().await;
        self.count_spend(org).await
    }

    async fn tell_and_count(&self, key: KeyId, since: Revision) -> Result<Spent, ExecuteError> {
        let account = self.key(key).await?;
        Ok(account.execute(TellAndCount(Notice { since }), Context::system()).await?.answer)
    }

    /// Every key that exists by now. One that is created later has spent nothing, and is told with its first call.
    async fn keys_of(&self, org: OrgId) -> Result<Vec<KeyId>, ExecuteError> {
        let Some(until) = self.core.store.head().await.map_err(ExecuteError::from)? else {
            return Ok(Vec::new());
        };
        if let Some(directory) = self.directory.get() {
            match directory.keys_of(org, until).await {
                Ok(keys) => return Ok(keys),
                Err(why) => debug!(org.id = %org, why, "the log is read for the org's keys"),
            }
        }
        self.keys_by_the_log(org, until).await
    }

    async fn keys_by_the_log(&self, org: OrgId, until: Position) -> Result<Vec<KeyId>, ExecuteError> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.core.store.read_all(after, PAGE).await.map_err(ExecuteError::from)?;
            let Some(last) = page.last().map(|record| record.position) else { return Ok(keys) };
            for record in &page {
                let StreamName::Key(key) = record.event.stream else { continue };
                let (name, version) = (record.event.event_type.as_ref(), record.event.version);
                if name == "KeyCreated"
                    && let Ok(KeyEvent::KeyCreated(created)) =
                        KeyEvent::decode(name, version, &record.event.data)
                    && created.org == org
                {
                    keys.push(key);
                }
            }
            if last >= until {
                return Ok(keys);
            }
            after = Some(last);
        }
    }
}
