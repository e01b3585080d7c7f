//! The read model against histories of real events, and against sums worked out naively from them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that is wrong about these fails"
)]
#![allow(unreachable_pub, reason = "the modules of a test are private to it")]

mod applying;
mod calls;
mod comparing;
mod crash;
mod directories;
mod history;
mod naive;
mod opening;
mod overview;
mod random;
mod snapshots;
mod spend;
mod times;
