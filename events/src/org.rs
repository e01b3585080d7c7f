//! Events of an org's stream, `org-<uuid>`: its name, the limits of its keys, whether they may call.

use serde::{Deserialize, Serialize};

use crate::codec::event_stream;
use crate::limits::KeyLimits;

event_stream! {
    /// What can happen to an org.
    pub enum OrgEvent {
        OrgCreated = 1,
        OrgRenamed = 1,
        OrgLimitsSet = 1,
        OrgSuspended = 1,
        OrgResumed = 1,
        OrgArchived = 1,
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
