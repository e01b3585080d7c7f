//! Events of the `operators` stream: people who log in, their sessions, and what they read.
//!
//! No password, no digest of one, no code of a link and no token of a session is ever in an event. A password
//! is named by an id; whoever knows the secrets directory finds its hash there.

use serde::{Deserialize, Serialize};

use crate::codec::event_stream;
use crate::ids::{KeyId, LinkId, OperatorId, PasswordId, SessionId};
use crate::role::Role;
use crate::time::Timestamp;

event_stream! {
    /// What can happen to people who log in.
    pub enum OperatorEvent {
        OperatorLinkIssued = 1,
        OperatorCreated = 1,
        OperatorPasswordSet = 1,
        OperatorRoleGranted = 1,
        OperatorRemoved = 1,
        SessionStarted = 1,
        SessionsEnded = 1,
        LoginsFailed = 1,
        LedgerRead = 1,
        LedgerExported = 1,
    }
}

/// A link was made with which one person, once, chooses a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorLinkIssued {
    /// Tells the link from others, and opens nothing.
    pub link: LinkId,
    /// What it is for.
    #[serde(rename = "for")]
    pub purpose: LinkPurpose,
    /// From then on it leads nowhere.
    pub valid_until: Timestamp,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LinkPurpose {
    /// Another person becomes an operator.
    Invitation {
        /// In this role.
        role: Role,
    },
    /// An operator chooses another password.
    Password {
        /// Which.
        operator: OperatorId,
    },
}

/// A person became an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorCreated {
    /// The operator's id.
    pub operator: OperatorId,
    /// The name that they chose, and log in with.
    pub name: String,
    /// Their role.
    pub role: Role,
    /// The link that they came by; the first operator's was made by the start of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
}

/// An operator chose a password. Their sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorPasswordSet {
    /// Who.
    pub operator: OperatorId,
    /// Which of the hashes in the secrets directory counts from now on.
    pub password: PasswordId,
    /// The link that they came by, if they had forgotten the password before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
}

/// An operator got another role. Their sessions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorRoleGranted {
    /// Who.
    pub operator: OperatorId,
    /// Their role from now on.
    pub role: Role,
}

/// An operator was removed, for good. Their sessions have ended; what they did stays attributed to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorRemoved {
    /// Who.
    pub operator: OperatorId,
    /// Why, in the words of whoever did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An operator logged in. The session ends with the node's process at the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionStarted {
    /// Who.
    pub operator: OperatorId,
    /// Tells the session from others, and opens nothing.
    pub session: SessionId,
    /// From where, as far as it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Sessions were ended by somebody. That a session was idle for too long, or too old, is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsEnded {
    /// Whose; everybody's without it, and then links that were made before lead nowhere either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorId>,
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
}

/// Logins failed; counted, with neither the password nor a name that is nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginsFailed {
    /// The first one's moment.
    pub since: Timestamp,
    /// The counts.
    pub failures: Vec<LoginFailureCount>,
}

/// How often logins failed in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginFailureCount {
    /// Whose name was given; `None` for a name that nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorId>,
    /// The code of the refusal.
    pub code: String,
    /// From where; `None` where there were too many addresses to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How often.
    pub count: u64,
}

/// An operator, the actor of this event, looked at histories in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerRead {
    /// The first time.
    pub since: Timestamp,
    /// What was looked at, and how often.
    pub reads: Vec<ReadCount>,
}

/// An operator, the actor of this event, took events or reports away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerExported {
    /// The first time.
    pub since: Timestamp,
    /// What was taken, and how often.
    pub reads: Vec<ReadCount>,
}

/// How often something was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadCount {
    /// Whose history; `None` for the ledger as a whole, and for whatever was too much to name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// How many requests read it.
    pub count: u64,
}
