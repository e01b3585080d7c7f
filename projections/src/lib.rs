//! What the log means and what may follow from it: pure folds and decisions.
//!
//! `evolve` turns events into state and never refuses; `decide` turns a state and a command into
//! events or a named refusal. No clock, no randomness, no I/O: `now` is a parameter.

#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

pub mod alerts;
pub mod attribution;
pub mod bounds;
pub mod budget;
pub mod decide;
pub mod hold;
pub mod key;
pub mod network;
pub mod notice;
pub mod operator;
pub mod org;
pub mod price;
pub mod rate;
pub mod refusal;
pub mod repeat;
pub mod replay;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use key::KeyState;
pub use operator::Operators;
pub use org::OrgState;
pub use refusal::Refusal;

/// Goes up whenever `evolve` changes what it makes of the same events, so that snapshots of older
/// folds are not used. A golden-fold test forces this.
pub const FOLD_VERSION: u32 = 5;

/// A sequence of events that no decision could have written: the log is damaged or from a newer
/// program. A fold stops here and never skips.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be folded: {0}")]
pub struct CorruptLog(pub &'static str);

/// Where and when an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The event's number in its stream.
    pub revision: nemo_events::Revision,
    /// When it was decided.
    pub time: nemo_events::Timestamp,
}
