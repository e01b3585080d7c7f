//! What can go wrong between a node and a server that has its ledger, at every point of an append: each event is
//! there once, each call is billed once, and callers are told what is so. Always against a simulated server, which
//! fails on demand. Where a server is merely not there: `server_store`.
//!
//! Map: `commands` one command and one fault at a time · `load` faults, and changes of the leader, under load ·
//! `outages` many, and what is left of them in the process.

mod commands;
#[cfg(feature = "failpoints")]
mod load;
mod outages;

use nemo_eventstoredb_simulator::{AppendFault, Code, LateAnswer, Refusal};

/// Every point at which an append can go wrong, in the order in which it comes by.
fn every_fault() -> Vec<AppendFault> {
    vec![
        AppendFault::CutBeforeReading,
        AppendFault::CutBeforeCommit,
        AppendFault::Silent,
        AppendFault::EndSession,
        AppendFault::Conflict,
        AppendFault::Refuse(Refusal::Busy),
        AppendFault::Refuse(Refusal::NotReady),
        AppendFault::Refuse(Refusal::Timeout),
        AppendFault::Refuse(Refusal::Unknown),
        AppendFault::Fail(Code::Unavailable),
        AppendFault::Fail(Code::DeadlineExceeded),
        AppendFault::CutAfterCommit,
        AppendFault::CutMidAnswer,
        AppendFault::SilentAfterCommit,
        AppendFault::LateCommit(LateAnswer::Timeout),
        AppendFault::LateCommit(LateAnswer::Cut),
        AppendFault::LateCommit(LateAnswer::Nothing),
    ]
}
