//! Events of an org's stream, `org-<uuid>`: its name, the limits of its keys, whether they may call, and what
//! of its budgets it has allotted to them.

use serde::{Deserialize, Serialize};

use crate::codec::event_stream;
use crate::ids::{KeyId, Revision};
use crate::limits::{Budget, KeyLimits, WindowKind};
use crate::money::Nanos;
use crate::time::Day;

event_stream! {
    /// What can happen to an org.
    pub enum OrgEvent {
        OrgCreated = 1,
        OrgRenamed = 1,
        OrgLimitsSet = 1,
        OrgBudgetsSet = 1,
        OrgSuspended = 1,
        OrgResumed = 1,
        OrgArchived = 1,
        SpendCounted = 1,
        BudgetAllotted = 1,
        AllotmentReclaimed = 1,
        AllotmentsClosed = 1,
    }
}

/// What new keys of an org start from, and what none of them may exceed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct OrgLimits {
    /// A new key that says nothing about its limits gets these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_defaults: Option<KeyLimits>,
    /// No key's limits may be wider than these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_bounds: Option<KeyLimits>,
}

/// An org came into being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgCreated {
    /// What people call it.
    pub name: String,
    /// Limits for its keys.
    #[serde(default)]
    pub limits: OrgLimits,
}

/// The org got another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgRenamed {
    /// Its name from now on.
    pub name: String,
}

/// The limits for the org's keys were replaced, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgLimitsSet {
    /// All of them from now on.
    pub limits: OrgLimits,
}

/// The org's own budgets were replaced, all of them; none means that only those of its keys bind. While there are
/// any, its keys call on slices of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgBudgetsSet {
    /// All of them from now on, at most one for each kind of window.
    pub budgets: Vec<Budget>,
}

/// The org was suspended: its keys are refused until it is resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgSuspended {
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The org was resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgResumed {}

/// The org was archived, for good; its keys are revoked one by one after this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgArchived {
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What calls of one window came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpent {
    /// The window's kind.
    pub window: WindowKind,
    /// Its first day; 1970-01-01 for the total.
    pub start: Day,
    /// What they were charged, and what those hold that were open.
    pub amount: Nanos,
}

/// What the org's keys had spent before its budgets were in force was counted, so that it counts against them.
/// From here on slices may be allotted. A later count replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendCounted {
    /// Revision of the event that put budgets in force.
    pub since: Revision,
    /// The sums over all keys, of calls that draw on no slice.
    pub spent: Vec<WindowSpent>,
}

/// A key may draw on the org's budgets: it was given a slice of a day, or a larger one. Counts as spent until it
/// is reclaimed. The key takes it up with `AllotmentReceived`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetAllotted {
    /// The key.
    pub key: KeyId,
    /// The day that it may be spent on.
    pub day: Day,
    /// All that the key was ever allotted of that day, this included.
    pub total: Nanos,
}

/// The org has back what a key returned of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllotmentReclaimed {
    /// The key.
    pub key: KeyId,
    /// The day of the slice.
    pub day: Day,
    /// All that came back of that day, this included.
    pub total: Nanos,
}

/// After its end every slice of a day was looked at: nothing of it is idle or under way, and no call that draws on
/// it is open. Only corrections still move it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllotmentsClosed {
    /// The day.
    pub day: Day,
}
