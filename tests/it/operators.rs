//! People who sign in: how they come, prove who they are, what they may do, and what is written down of it.

mod attribution;
mod forms;
mod login;
mod roles;
mod sessions;
mod setup;
