//! What managers are shown: the JSON shapes of `/api`. Field names are stable; money is a decimal
//! string of dollars, times are RFC 3339 in UTC, ids are text. No digest of a secret is in any of them.

mod key;
mod key_room;
mod key_use;
mod org;
mod org_room;
mod rows;
mod spend;

#[cfg(test)]
mod tests;

pub(crate) use key::Key;
pub(crate) use key_room::BudgetUse;
pub(crate) use org::{KeysOutside, Org};
pub(crate) use org_room::OrgBudgetUse;
pub(crate) use rows::{CallRow, KeyRow, OrgRow};
pub(crate) use spend::{SpendRow, SpendTotal};
