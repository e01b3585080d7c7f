//! Nemo as its callers, its managers and its providers meet it: the real program over real sockets, a scripted
//! provider behind it, and nothing but its public surface in between. One file for each story; names are
//! sentences. `harness.rs` starts the program, `fake_provider` is where its calls go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that is wrong about these fails, and should"
)]

mod breaker;
mod browser;
mod canary;
mod chat;
mod cli;
mod concurrency;
#[cfg(feature = "failpoints")]
mod crash;
mod dashboard;
mod demo;
mod deploy;
mod disk;
mod dry_run;
mod ends;
mod errors;
mod events_reference;
mod fake_provider;
mod fallback;
mod flood;
mod harness;
mod hiding;
mod holds;
mod idempotency;
#[path = "../bench/made/mod.rs"]
mod made;
mod metrics;
mod new_user;
mod openapi;
mod operators;
mod org_bounds;
mod org_headroom;
mod overview;
mod own_calls;
mod reference;
mod reload;
mod replay;
mod restart;
mod revocation;
mod rotation;
mod sdk;
mod secrets;
mod server_store;
mod store_faults;
mod stream;
mod tidy;
mod tls;
mod traces;
mod waiting;
mod webhooks;
