//! Who is asking: key texts, their digests, and the two extractors that routes take.
//!
//! A [`Caller`](caller::Caller) holds a virtual key and can only make calls; a
//! [`Manager`](manager::Manager) holds the master key, or is a person who is logged in, and can only manage.
//! Neither can be made from the other, nor outside of this module. What a person may do their
//! [`Role`](role::Role) says, and [`guard`] asks it.

pub mod address;
pub mod caller;
pub mod guard;
pub mod in_force;
pub mod links;
pub mod manager;
pub mod master_keys;
pub mod misses;
pub mod password;
pub mod pepper;
pub mod provider_key;
pub mod role;
pub mod secret_files;
pub mod secrets;
pub mod session;
pub mod sessions;
pub mod store_password;
pub mod throttle;
pub mod token;
pub mod webhook_secret;
