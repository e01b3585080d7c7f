//! The executor under everything that can go wrong: slow, failing, lying stores, other writers, askers
//! who go away, clocks that jump. One file for each promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod accounts;
mod allotment;
mod answers;
mod books;
mod budget;
mod clock;
mod conflicts;
mod correct;
mod damage;
mod edges;
mod follow;
mod history;
mod lag;
mod model;
mod probe;
mod refusals;
mod revoke;
mod sizes;
mod snapshots;
mod support;
mod unavailable;
mod unknown;
