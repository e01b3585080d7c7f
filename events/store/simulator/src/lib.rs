//! EventStoreDB's protocol over loopback, with faults on demand; for tests.
//!
//! A [`Simulator`] is a server, or a cluster of them, as its official client sees it: real gRPC over real sockets,
//! compiled from the `.proto` files that this client ships. It keeps one log, in memory or in a file, and follows
//! the rules of the real server's sources where they matter to a client (version 24.6, the last under a free
//! licence): expected versions and idempotent appends, sparse positions, pages, filters, checkpoints, events of its
//! own in `$all`, size limits, not-leader redirects, deadlines. Where the real one is unforgiving, so is this.
//!
//! ```no_run
//! # async fn example() {
//! use nemo_eventstoredb_simulator::{AppendFault, Options, Simulator};
//!
//! let server = Simulator::start(Options::default());
//! let _client_settings = server.connection_string();          // esdb://127.0.0.1:…?tls=false
//! server.next_append(AppendFault::CutAfterCommit);            // the next acknowledgement is lost
//! server.until("it arrived", |counts| counts.faults == 1).await;
//! server.stop();                                              // connections are cut, new ones refused
//! server.start_again();                                       // on the same port, with what was committed
//! # }
//! ```
//!
//! Map: `simulator` what a test says · `faults` what can go wrong · `counters` what has happened · `node`, `wire`
//! sockets · `routes`, `streams`, `discovery` the services · `log` the rules.
//!
//! Not simulated: persistent subscriptions, projections, users, deletions of streams, links, access control lists.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "for tests: where it is wrong about these, they fail, and should"
)]
#![allow(clippy::result_large_err, reason = "tonic's status, which its services return, is large")]

mod call;
mod counters;
mod cut_body;
mod discovery;
mod faults;
mod filter;
mod log;
mod node;
mod options;
pub mod protocol;
mod routes;
mod shared;
mod simulator;
mod statuses;
mod streams;
mod wire;

pub use counters::Counts;
pub use faults::{AppendFault, Calls, LateAnswer, ReadFault, Refusal};
pub use options::Options;
pub use simulator::{Simulator, StoredEvent};
pub use tonic::Code;
