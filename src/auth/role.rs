//! What people who log in may do. The words are the ledger's own: roles stand in its events.

pub use nemo_events::{Right, Role};
