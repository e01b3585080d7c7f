//! What somebody asks who looks into a key's past: its state at any moment, and its events, filtered. Pages, the API
//! and the command line all ask here. Reads only; decides nothing.

mod activity;
mod replay;

pub use activity::{Activity, ActivityFilter, Entry, Look, OfCall, activity};
pub use replay::{Replay, ReplayError, replay};
