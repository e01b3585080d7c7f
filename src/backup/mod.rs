//! `nemo ledger backup`, `restore`, `accept-end`.
//!
//! A backup is a directory: the events up to a position in a ledger of its own (SQLite, as in a data directory),
//! and `backup.json`, which says what that ledger must be. It is read from the node that serves, over HTTP, or
//! from a stopped directory, by position, so that the load on the ledger does not matter.
//!
//! - Every event's hash and chain is checked on the way; then both ends are read again and compared.
//! - A backup is whole once `backup.json` is there, which is written last; until then the directory is called
//!   `….partial` and says `unfinished.json`. Given again, the same command goes on where it was interrupted.
//! - A backup that is continued stays what `backup.json` says: what was added counts once that is replaced.
//! - No node serves a backup or an unfinished restore, and nothing is restored over a ledger.
//! - Secrets are no part of a ledger, so none is in a backup.
//!
//! Map: `make` and `restore` the commands · `marks` the two files that say what a directory is · `remote_log`
//! a serving node's ledger as a store · `directory` opening one · `copying` the copy, with its words · `report`.

mod accept_end;
mod copying;
pub mod directory;
mod make;
pub mod marks;
pub mod remote_log;
mod report;
mod restore;

pub use accept_end::run as accept_end;
pub use make::run as make;
pub use report::print;
pub use restore::run as restore;

/// Said where a backup ends or begins, since nothing else reminds of them in time.
const SECRETS_APART: &str = "Peppers, master keys and provider keys are not in a backup";
