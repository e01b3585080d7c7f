//! Decisions: one file per command. Each takes the state, the command and the time, and returns the
//! events that follow, or a named refusal. An empty list means: what was wanted is so already.

mod authorize;
mod correct;
mod end;
mod manage;
mod operator;
mod org;
mod org_budgets;
mod outlook;
mod slices;

pub use authorize::{Authorize, PresentedSecret, Priced, authenticate, guard_address, model_matches};
pub use correct::{Correct, ForgottenCall};
pub use end::{Forfeit, ForfeitCharge, Forfeiter, Settle, Void};
pub use manage::{
    Block, ClearModel, Create, RecordRefusals, Relabel, RenewDigest, RetireSecret, Revoke, Rotate, SetLimits,
    Unblock, validate_labels, validate_limits,
};
pub use operator::{
    EndSessions, Found, GrantRole, IssueLink, Join, Newcomer, PasswordProof, RemoveOperator, SetPassword,
    StartSession,
};
pub use org::{ArchiveOrg, CreateOrg, RenameOrg, ResumeOrg, SetOrgLimits, SuspendOrg};
pub use org_budgets::{Allot, CloseDay, CountSpend, CoverOverrun, Reclaim, SetOrgBudgets};
pub use outlook::{Outlook, Size};
pub use slices::{Notice, Receive, Return};

use nemo_events::{KeyEvent, OperatorEvent, OrgEvent, Timestamp};

use crate::{KeyState, Operators, OrgState, Refusal};

/// Something that may be asked of a key.
pub trait KeyCommand {
    /// What follows from it.
    ///
    /// # Errors
    /// The refusal, by name.
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Result<Vec<KeyEvent>, Refusal>;
}

/// Something that may be asked of an org.
pub trait OrgCommand {
    /// What follows from it.
    ///
    /// # Errors
    /// The refusal, by name.
    fn decide(&self, state: Option<&OrgState>, now: Timestamp) -> Result<Vec<OrgEvent>, Refusal>;
}

/// Something that may be asked of the people who log in.
pub trait OperatorCommand {
    /// What follows from it.
    ///
    /// # Errors
    /// The refusal, by name.
    fn decide(&self, state: &Operators, now: Timestamp) -> Result<Vec<OperatorEvent>, Refusal>;
}
