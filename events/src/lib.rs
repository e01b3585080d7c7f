//! The vocabulary of the Nemo ledger: ids, money, usage, events, their codec and their hash chain.
//!
//! Pure: no clock, no randomness, no I/O. Everything here is a value; what may follow from what is
//! decided in `nemo-projections`, where it is kept is decided in `nemo-store`.

#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod codec;
pub mod digest;
mod envelope;
pub mod gateway;
pub mod ids;
pub mod key;
pub mod limits;
mod money;
pub mod operator;
pub mod org;
pub mod price;
pub mod role;
#[cfg(feature = "schema")]
mod schema;
mod text;
pub mod time;
mod usage;

pub use codec::{CodecError, Upcast};
pub use digest::Digest;
pub use envelope::{Actor, ChainError, EventRecord, Metadata, Sealed, StreamHead};
pub use gateway::GatewayEvent;
pub use ids::{
    BootId, CallId, EventId, KeyId, LinkId, MasterKeyId, NodeId, OperatorId, OrgId, PasswordId, PepperId,
    Position, PriceCardId, RequestId, Revision, SessionId, StreamName,
};
pub use key::KeyEvent;
pub use money::{MoneyError, Nanos, Rate};
pub use operator::OperatorEvent;
pub use org::OrgEvent;
pub use price::PriceEvent;
pub use role::{Right, Role};
pub use time::{Day, Timestamp};
pub use usage::Usage;
