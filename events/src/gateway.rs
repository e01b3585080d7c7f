//! Events of the `gateway` stream: nodes, master keys, peppers, strings that are no key of ours.

use serde::{Deserialize, Serialize};

use crate::codec::event_stream;
use crate::digest::Digest;
use crate::ids::{BootId, MasterKeyId, NodeId, PepperId};
use crate::key::RefusalCount;
use crate::time::Timestamp;

event_stream! {
    /// What can happen to the gateway.
    pub enum GatewayEvent {
        NodeStarted = 1,
        NodeStopped = 1,
        MasterKeyInstalled = 1,
        MasterKeyRetired = 1,
        PepperAdded = 1,
        PepperRetired = 1,
        PresentationsRefused = 1,
    }
}

/// A node's process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStarted {
    /// The node.
    pub node: NodeId,
    /// This start of it.
    pub boot: BootId,
    /// The program's version.
    pub program: String,
}

/// A node's process stopped in good order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStopped {
    /// The node.
    pub node: NodeId,
    /// Which start of it ended.
    pub boot: BootId,
}

/// A master key came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasterKeyInstalled {
    /// The key's public id.
    pub master_key: MasterKeyId,
    /// A hash that tells this key's digest from another's, and opens nothing.
    pub fingerprint: Digest,
    /// The master key that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<MasterKeyId>,
}

/// A master key was given its end. It may still lie ahead, while whoever uses the key changes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasterKeyRetired {
    /// The key's public id.
    pub master_key: MasterKeyId,
    /// From this moment on it is refused.
    pub valid_until: Timestamp,
    /// It was given away: what was done with it needs a look.
    pub leaked: bool,
}

/// A pepper came into use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepperAdded {
    /// The pepper's id.
    pub pepper: PepperId,
    /// A hash that tells this pepper from another, and opens nothing.
    pub fingerprint: Digest,
}

/// A pepper went out of use: secrets that are digested under it are refused from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepperRetired {
    /// The pepper's id.
    pub pepper: PepperId,
}

/// Strings that are no virtual key of ours were presented as one; counted, never kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresentationsRefused {
    /// The first one's moment.
    pub since: Timestamp,
    /// The counts.
    pub refusals: Vec<RefusalCount>,
}
