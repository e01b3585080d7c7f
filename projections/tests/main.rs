//! Decisions and folds of a key's and an org's stream, from single examples to random histories.
//!
//! `decide_*` go through each command and each refusal at its edge; `fold_*` say what no decision could
//! have written; `histories` compares all of it with `reference`, a second ledger that shares no code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect should fail loudly"
)]

mod decide_access;
mod decide_addresses;
mod decide_alerts;
mod decide_bounds;
mod decide_budgets;
mod decide_calendar;
mod decide_correct;
mod decide_create;
mod decide_end;
mod decide_holds;
mod decide_late;
mod decide_manage;
mod decide_operator;
mod decide_order;
mod decide_org;
mod decide_output_limit;
mod decide_rates;
mod decide_repeat;
mod decide_secrets;
mod fold_corrupt;
mod fold_golden;
mod fold_memory;
mod histories;
mod rates;
mod reference;
mod slices;
mod support;
