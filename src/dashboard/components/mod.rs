//! What pages are made of: functions from values to markup. All escape; none asks anybody anything.

mod budget_bar;
mod chart;
mod form;
mod key_label;
mod money;
mod notice;
mod pager;
mod status;
mod table;
mod time;

pub use budget_bar::{Spending, budget_bar};
pub use chart::{Chart, Moment, SERIES_MAX, Series};
pub use form::{Choice, Field, csrf, dialog_form, hidden, select, tick};
pub use key_label::{copyable, key_label, secret_hint};
pub use money::{count, one_call, rate, total};
pub use notice::{empty, no_match, notice, stale};
pub use pager::pager;
pub use status::{Tone, status};
pub use table::{Column, table};
pub use time::{absolute, ago, in_future};
