//! The simulator as the official client meets it, and, where that client hides something, as plain gRPC does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that is wrong about these fails, and should"
)]

mod appends;
mod client;
mod faults;
mod plain;
mod reads;
mod servers;
mod subscriptions;
