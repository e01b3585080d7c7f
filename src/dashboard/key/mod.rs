//! `/keys/{id}`: one key. What it is and has left, replay over every moment of its life, what it cost, and all that
//! happened to it.
//!
//! Where is …? From address to page: `page.rs`. What is asked for in the address: `query.rs`. The state at a moment:
//! `replay.rs`; what is left: `headroom.rs`; cost over time: `cost.rs`; events: `activity.rs`, in words `event.rs`, as a
//! file `csv.rs`.

mod activity;
mod cost;
mod csv;
mod event;
mod headroom;
mod page;
mod query;
mod replay;

pub(super) use csv::download;
pub(super) use page::{fragment, show};
