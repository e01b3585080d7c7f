//! The only code that knows Nemo's query database: what lists, pages and reports are read from.
//!
//! The read model is a fold of the log in one SQLite file. It decides nothing and may be deleted at any
//! time: it is rebuilt from the log. One [`ReadModel`] writes, any number of [`Reader`]s answer, each
//! answer with the position that it reflects. Everything here blocks: run it on threads of its own.
//!
//! - Events at or below the position are skipped, so delivering them again is harmless.
//! - A batch is one transaction: after a crash the position and everything else agree.
//! - An event that cannot be read, or that no decision could have written, stops with its place.
//! - Money is an integer of nano-dollars; the tables are strict, so a sum that does not fit is an error.
//! - Spend is booked where its call was *authorised* (time and labels), so that it agrees with budgets.
//!
//! Where is …? Tables: `schema.rs`. Opening: `file.rs`, `model.rs`. From events to rows: `apply/`. Questions:
//! `query/`. Comparing two read models: `compare.rs`. Folds of keys for quick starts: `snapshots.rs`, a file of its own.

mod apply;
mod bucket;
mod caps;
mod columns;
mod compare;
mod error;
mod file;
mod model;
mod names;
mod page;
mod query;
mod schema;
mod snapshots;
mod sums;

pub use caps::{CapLevel, CapUse, WindowSpends};
pub use compare::{Comparison, Difference, ModelDigest, TableDigest, compare};
pub use error::{EventError, ReadModelError};
pub use model::{Head, Opened, Origin, ReadModel, Recreated};
pub use names::CallEnd;
pub use page::{Cursor, Limit, Order, Page, PageRequest};
pub use query::{
    Answer, Backlog, CallRow, CapAlert, CapAlerts, ClaimRow, ClosestCap, Counted, DaysCompared, Deed,
    EndedCall, Every, Group, GroupBy, JobDay, JobSums, KeyCounts, KeyFilter, KeyOutside, KeyRow, KeysOutside,
    LabelRevision, MasterKeyRow, NodeRow, OpenCallRow, OrgFilter, OrgRow, OrgSpend, OrgUse, OutboxRow,
    OverCause, Overview, OverviewQuery, PepperRow, PriceCardRow, Reader, RefusalQuery, RefusalRow,
    RefusalSize, RefusalsOf, RefusalsPer, SecretRow, Spend, SpendFilter, SpendQuery, SpendRow, TimeWindow,
};
pub use snapshots::{Snapshot, SnapshotFile};
pub use sums::SpendSums;
