//! What an org has left, and setting its budgets.

use nemo_events::limits::{Budget, WindowKind};
use nemo_events::{Day, Nanos, OrgId, Timestamp};
use nemo_projections::OrgState;
use nemo_projections::budget::window_end;
use nemo_projections::decide::SetOrgBudgets;
use nemo_projections::org::{Standing, first_day};
use tracing::warn;

use crate::ledger::Ledger;
use crate::ledger::calls::within;
use crate::ledger::command::{Context, Done, ExecuteError};

/// One budget of an org: its limit is what is spent, held, idle and free together. What is free is below zero where
/// the limit was lowered below the rest, or a provider reported too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrgBudgetRoom {
    /// Which budget.
    pub window: WindowKind,
    /// Its limit.
    pub limit: Nanos,
    /// What calls were charged, and what slices of keys hold or have idle that this node has not looked at.
    pub spent: Nanos,
    /// Holds of open calls.
    pub held: Nanos,
    /// What keys have in their slices and do not use.
    pub idle: Nanos,
    /// What can be allotted.
    pub free: Nanos,
    /// When the window ends; never for the total.
    pub resets_at: Option<Timestamp>,
}

/// What setting an org's budgets, suspending or archiving it led to.
#[derive(Debug, Clone)]
pub struct OrgBudgetsAnswer {
    /// The org.
    pub org: OrgState,
    /// What each budget has left.
    pub room: Vec<OrgBudgetRoom>,
    /// What is still out with keys today, idle or held; what is idle of it is being taken back if the org has less
    /// now than is out.
    pub still_out: Nanos,
    /// Whether what was spent before is counted. Until it is, calls are told that the ledger is not available.
    pub is_counted: bool,
}

impl Ledger {
    /// Replaces an org's own budgets, counts what its keys spent before if they are the first, and begins to take back
    /// what is out above them.
    ///
    /// # Errors
    /// As [`Ledger::manage_key`].
    pub async fn set_org_budgets(
        &self,
        id: OrgId,
        budgets: Vec<Budget>,
        context: Context,
    ) -> Result<Done<OrgBudgetsAnswer>, ExecuteError> {
        let done = self.manage_org(id, SetOrgBudgets { budgets }, context).await?;
        // It goes on by itself, and calls wait for it: that it takes long is no reason to say that nothing was set.
        if let Err(error) = within(self.core.pace.manage, self.spend_counted(id)).await {
            warn!(org.id = %id, %error, "what the org's keys spent before its budgets is not counted yet");
        }
        let (revision, position) = (done.revision, done.position);
        let answer = self.org_budgets(id).await?;
        Ok(Done { answer, revision, position })
    }

    /// What an org's budgets have left, by its own stream and what this node knows of its keys.
    ///
    /// # Errors
    /// Where the org's stream cannot be read, or there is no such org.
    pub async fn org_budgets(&self, id: OrgId) -> Result<OrgBudgetsAnswer, ExecuteError> {
        let account = within(self.core.pace.manage, self.org(id)).await?;
        let today = Day::of(self.now());
        let seen = account.glance(|state| {
            let org = state.as_ref()?;
            let still_out = self.core.slack.sums(id, WindowKind::Day, today, None);
            Some(OrgBudgetsAnswer {
                org: org.without_slices(),
                room: org.budgets.iter().map(|budget| self.room_of(id, org, budget, today)).collect(),
                still_out: Nanos::from_nanos(still_out.idle.saturating_add(still_out.held)),
                is_counted: org.allotted.is_counted(),
            })
        });
        seen.ok_or(ExecuteError::Refused(nemo_projections::Refusal::OrgUnknown(id)))
    }

    fn room_of(&self, id: OrgId, org: &OrgState, budget: &Budget, today: Day) -> OrgBudgetRoom {
        let kind = budget.window;
        let sums = self.core.slack.sums(id, kind, today, None);
        let used = org.allotted.used(kind, today);
        let spent = used.as_nanos().saturating_sub(sums.idle).saturating_sub(sums.held);
        OrgBudgetRoom {
            window: kind,
            limit: budget.limit,
            spent: Nanos::from_nanos(spent),
            held: Nanos::from_nanos(sums.held),
            idle: Nanos::from_nanos(sums.idle),
            free: org.allotted.free(budget, today),
            resets_at: window_end(kind, first_day(kind, today).start()),
        }
    }

    /// Begins to take back what is out, if an org has no use for it any more or less than is out.
    pub(in crate::ledger) fn take_back_after(&self, id: OrgId, org: &OrgState) {
        let today = Day::of(self.now());
        let has_too_much_out = org.budgets.iter().any(|b| org.allotted.free(b, today).is_negative());
        let out = org.allotted.out(WindowKind::Total, today) > Nanos::ZERO;
        if out && (has_too_much_out || org.standing != Standing::Active || org.budgets.is_empty()) {
            self.take_back_everything(id);
        }
    }
}
