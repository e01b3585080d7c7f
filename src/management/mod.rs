//! `/api`: what managers ask, as JSON. Handlers parse, execute a command or ask the read model, and
//! map the answer; what is allowed is decided in `nemo-projections`.
//!
//! - Every handler takes an [`Asked`](asked::Asked) first: nothing here is open to anybody but a manager.
//! - A write answers with the `position` it reached; a read takes it as `min_position` and waits for it.
//! - What is told of *one* key or org comes from its own account and is the truth; lists come from the
//!   read model and say as of which position.
//! - Every route is in the table of `routes.rs`, with what is told of it.
//! - A full key is in the answers of `key_secrets.rs` and nowhere else.

pub(crate) mod asked;
mod calls;
mod events;
pub(crate) mod failures;
mod history;
pub(crate) mod input;
pub(crate) mod key_secrets;
pub(crate) mod keys;
mod master_key_events;
mod operators;
pub(crate) mod org_removal;
pub(crate) mod orgs;
pub(crate) mod overview;
pub(crate) mod prices;
mod reload;
pub(crate) mod replay;
mod routes;
pub(crate) mod secrets;
pub(crate) mod shapes;
mod spend;
pub(crate) mod status;
pub(crate) mod webhooks;

pub use self::routes::routes;
