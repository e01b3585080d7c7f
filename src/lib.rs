//! Nemo's server. Where things are: `docs/architecture.md`.

pub mod app;
pub mod auth;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod failpoint;
pub mod health;
pub mod inference;
pub mod ledger;
pub mod management;
pub mod metrics;
pub mod providers;
pub mod proxy;
pub mod read_side;
pub mod request_id;
pub mod routes;
pub mod secrets_match;
pub mod secrets_watch;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod verify;
pub mod welcome;
