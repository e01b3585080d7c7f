//! Comparing read models row by row, so that a rebuilt one shows whether the other is the fold of its log.
//!
//! Everything is compared, as all of it follows from the log. Two read models can be the same only at the same
//! position.

use nemo_events::{Digest, Position};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};

use crate::error::ReadModelError;
use crate::query::{Answer, Reader};
use crate::schema::{TABLES, Table};

const DOMAIN: &[u8] = b"nemo/read-model/v1";

/// What a read model holds, in one hash for each table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDigest {
    /// The tables, in the order of the schema.
    pub tables: Vec<TableDigest>,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// Its name.
    pub table: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// Hash over its rows in the order of their key.
    pub digest: Digest,
}

/// The first row in which a table differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row in the first read model; `None` where it has no more rows.
    pub first: Option<String>,
    /// The row in the second.
    pub second: Option<String>,
}

impl Reader {
    /// Hashes everything in it. Reads the whole file.
    ///
    /// # Errors
    /// A failing database.
    pub fn digest(&self) -> Result<Answer<ModelDigest>, ReadModelError> {
        self.answer(|db| {
            let tables = TABLES.iter().map(|table| table_digest(db, table)).collect::<Result<_, _>>()?;
            Ok(ModelDigest { tables })
        })
    }
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The first read model's position.
    pub first: Option<Position>,
    /// The second's. Where they are not the same, neither is the rest.
    pub second: Option<Position>,
    /// One for each table that differs; empty where the read models are the same.
    pub differences: Vec<Difference>,
}

/// Compares two read models. Reads both files as a whole, each in one transaction.
///
/// # Errors
/// A failing database.
pub fn compare(first: &Reader, second: &Reader) -> Result<Comparison, ReadModelError> {
    let first = first.answer(|a| {
        second.answer(|b| {
            let differences = TABLES.iter().map(|table| difference(a, b, table));
            differences.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
        })
    })?;
    let second = first.value;
    Ok(Comparison { first: first.position, second: second.position, differences: second.value })
}

fn select<'a>(db: &'a Connection, table: &Table) -> Result<Statement<'a>, ReadModelError> {
    Ok(db.prepare(&format!("SELECT * FROM {} ORDER BY {}", table.name, table.order))?)
}

fn table_digest(db: &Connection, table: &'static Table) -> Result<TableDigest, ReadModelError> {
    let mut query = select(db, table)?;
    let columns = query.column_count();
    let mut rows = query.query([])?;
    let (mut count, mut digest) = (0_u64, Digest::of_fields(DOMAIN, &[table.name.as_bytes()]));
    let mut content = Vec::new();
    while let Some(row) = rows.next()? {
        write_row(&mut content, row, columns)?;
        digest = Digest::of_fields(DOMAIN, &[digest.as_bytes(), &content]);
        count = count.saturating_add(1);
    }
    Ok(TableDigest { table: table.name, rows: count, digest })
}

fn difference(
    a: &Connection,
    b: &Connection,
    table: &'static Table,
) -> Result<Option<Difference>, ReadModelError> {
    let (mut a, mut b) = (select(a, table)?, select(b, table)?);
    let columns = a.column_count();
    let (mut rows_a, mut rows_b) = (a.query([])?, b.query([])?);
    let (mut content_a, mut content_b) = (Vec::new(), Vec::new());
    loop {
        let (row_a, row_b) = (rows_a.next()?, rows_b.next()?);
        if let (Some(row_a), Some(row_b)) = (row_a, row_b) {
            write_row(&mut content_a, row_a, columns)?;
            write_row(&mut content_b, row_b, columns)?;
            if content_a == content_b {
                continue;
            }
        }
        if row_a.is_none() && row_b.is_none() {
            return Ok(None);
        }
        let shown = |row: Option<&Row<'_>>| row.map(|row| show_row(row, columns)).transpose();
        return Ok(Some(Difference { table: table.name, first: shown(row_a)?, second: shown(row_b)? }));
    }
}

/// The row's values, each with its type and length, so that no two rows are written alike.
fn write_row(content: &mut Vec<u8>, row: &Row<'_>, columns: usize) -> Result<(), ReadModelError> {
    content.clear();
    for column in 0..columns {
        let (kind, bytes): (u8, &[u8]) = match row.get_ref(column)? {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(int) => {
                content.push(1);
                content.extend_from_slice(&int.to_be_bytes());
                continue;
            }
            ValueRef::Real(_) => return Err(ReadModelError::Damaged("a number is not an integer")),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        content.push(kind);
        content.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        content.extend_from_slice(bytes);
    }
    Ok(())
}

/// The row for people.
fn show_row(row: &Row<'_>, columns: usize) -> Result<String, ReadModelError> {
    let mut shown = Vec::with_capacity(columns);
    for column in 0..columns {
        let value = match row.get_ref(column)? {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(int) => int.to_string(),
            ValueRef::Real(_) => return Err(ReadModelError::Damaged("a number is not an integer")),
            ValueRef::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
            ValueRef::Blob(blob) => blob.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let name = row.as_ref().column_name(column)?.to_owned();
        shown.push(format!("{name}={value}"));
    }
    Ok(shown.join(" "))
}
