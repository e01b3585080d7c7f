//! A key as it was behind one of its events.

use nemo_events::Timestamp;
use nemo_projections::replay::{After, Change, Mark};
use serde::Deserialize;

use super::{Key, Known};

/// A key at a moment.
#[derive(Debug, Clone, Deserialize)]
pub struct KeyThen {
    /// The key as it was.
    pub key: Key,
    /// The last event that it reflects.
    pub revision: u64,
    /// When that was recorded.
    pub recorded_at: Timestamp,
    /// What the event changed; what nobody here knows is left out.
    #[serde(default)]
    pub changes: Vec<Known<Change>>,
    /// What was first seen when.
    #[serde(default)]
    pub marks: Vec<Known<Mark>>,
    /// What came after it.
    pub after: After,
    /// The key's last event by now.
    pub head: u64,
}
