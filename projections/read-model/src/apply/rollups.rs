//! Sums by quarter-hour, day and month of the calls' authorisation.
//!
//! A batch writes quarter-hours only. Once one is over it is added to its day and month, in one go for all
//! calls; a call of an earlier quarter-hour that ends later is added to all three. So what the tables hold
//! follows from the events, however they were batched.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, params_from_iter};

use super::open_call::OpenCall;
use crate::bucket::{DAY_SECS, Size};
use crate::error::{EventError, ReadModelError};
use crate::sums::{Sums, sum_columns};

/// A row of sums, but for its size and start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Account {
    key_no: i64,
    labels_revision: i64,
    route_no: i64,
}

/// What a batch adds to the sums, by quarter-hour.
#[derive(Debug, Default)]
pub(super) struct Rollups(HashMap<(i64, Account), Sums>);

const KEY: &str = "key_no, labels_revision, route_no";

static ON_CONFLICT: LazyLock<String> = LazyLock::new(|| {
    let sums: Vec<_> = sum_columns().map(|c| format!("{c} = {c} + excluded.{c}")).collect();
    format!("ON CONFLICT DO UPDATE SET {}", sums.join(", "))
});

static ADD: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<_> = sum_columns().collect();
    let values = vec!["?"; 5 + columns.len()].join(", ");
    let columns = columns.join(", ");
    format!("INSERT INTO rollups (size, start, {KEY}, {columns}) VALUES ({values}) {}", *ON_CONFLICT)
});

/// Adds quarter-hours that are over to what is larger, named by the start of each.
fn close(size: Size, start: &str) -> String {
    let columns = sum_columns().collect::<Vec<_>>().join(", ");
    let sums = sum_columns().map(|c| format!("sum({c})")).collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO rollups (size, start, {KEY}, {columns})
         SELECT {}, {start}, {KEY}, {sums} FROM rollups WHERE size = {} AND start >= ? AND start < ?
         GROUP BY 2, 3, 4, 5 {}",
        size.code(),
        Size::QuarterHour.code(),
        *ON_CONFLICT,
    )
}

static CLOSE_INTO_DAY: LazyLock<String> =
    LazyLock::new(|| close(Size::Day, &format!("start - start % {DAY_SECS}")));

static CLOSE_INTO_MONTH: LazyLock<String> =
    LazyLock::new(|| close(Size::Month, "unixepoch(start, 'unixepoch', 'start of month')"));

impl Rollups {
    /// Adds to the sums of the quarter-hour that the call was authorised in.
    pub(super) fn add(&mut self, call: &OpenCall, sums: &Sums) -> Result<(), EventError> {
        let OpenCall { key_no, labels_revision, route_no, .. } = *call;
        let account = Account { key_no, labels_revision, route_no };
        self.0.entry((call.quarter(), account)).or_default().add(sums)
    }

    /// Writes the batch's sums, then closes the quarter-hours that are over with it.
    pub(super) fn flush(self, db: &Connection, over: Range<i64>) -> Result<(), ReadModelError> {
        let mut add = Add(db.prepare_cached(&ADD)?);
        // In the order of the table, so that its pages are touched once.
        let rows: BTreeMap<(i64, Account), Sums> = self.0.into_iter().collect();
        for ((quarter, account), sums) in rows {
            add.row(Size::QuarterHour, quarter, account, &sums)?;
            if quarter < over.start {
                add.row(Size::Day, quarter, account, &sums)?;
                add.row(Size::Month, quarter, account, &sums)?;
            }
        }
        if !over.is_empty() {
            for close in [&CLOSE_INTO_DAY, &CLOSE_INTO_MONTH] {
                db.prepare_cached(close)?.execute([over.start, over.end])?;
            }
        }
        Ok(())
    }
}

/// Adds sums to a row, which it makes where there is none.
struct Add<'a>(CachedStatement<'a>);

impl Add<'_> {
    fn row(&mut self, size: Size, quarter: i64, account: Account, sums: &Sums) -> Result<(), ReadModelError> {
        let Account { key_no, labels_revision, route_no } = account;
        let key = [size.code(), size.start_of_secs(quarter), key_no, labels_revision, route_no];
        self.0.execute(params_from_iter(key.into_iter().chain(sums.columns())))?;
        Ok(())
    }
}
