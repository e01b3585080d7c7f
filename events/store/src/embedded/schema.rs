//! The database's form: one table by position, and a view for people.

use std::path::Path;

use rusqlite::Connection;

use super::error::OpenError;

/// "Nemo" in the file header, so that `file` and auditors can tell what it is.
const APPLICATION_ID: i64 = 0x4e65_6d6f;
const SCHEMA_VERSION: i64 = 1;

/// Data and metadata are TEXT where they are UTF-8, as JSON is, and BLOB otherwise: verbatim in any case.
const TABLE: &str = "CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    revision INTEGER NOT NULL,
    id BLOB NOT NULL,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    data ANY NOT NULL,
    metadata ANY NOT NULL,
    prev_hash BLOB NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (stream, revision)
) STRICT";

const VIEW: &str = "CREATE VIEW events_readable AS
SELECT position, stream, revision, lower(hex(id)) AS id, type, version,
    strftime('%Y-%m-%dT%H:%M:%S', recorded_at / 1000000, 'unixepoch')
        || printf('.%06dZ', recorded_at % 1000000) AS recorded_at,
    data, metadata, lower(hex(prev_hash)) AS prev_hash, lower(hex(hash)) AS hash
FROM events";

/// Everything that `sqlite_schema` must say, in its order.
const EXPECTED: [(&str, &str, Option<&str>); 3] = [
    ("table", "events", Some(TABLE)),
    ("index", "sqlite_autoindex_events_1", None),
    ("view", "events_readable", Some(VIEW)),
];

/// Writes the schema into an empty database.
pub(super) fn create(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    transaction.execute_batch(&format!(
        "{TABLE}; {VIEW}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    ))?;
    transaction.commit()
}

/// Whether nothing was ever written to the database. A schema that got lost leaves pages behind.
pub(super) fn is_empty(db: &Connection) -> rusqlite::Result<bool> {
    let pages: u32 = db.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let entries: u32 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(pages <= 1 && entries == 0)
}

/// Checks that the header and the schema are what [`create`] wrote: a flipped bit there could make
/// SQLite place the next append over what is stored.
pub(super) fn check(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let expected = [
        ("application_id", APPLICATION_ID),
        ("user_version", SCHEMA_VERSION),
        ("page_size", 4096),
        ("auto_vacuum", 0),
        ("freelist_count", 0),
    ];
    for (name, value) in expected {
        let found: i64 = db.pragma_query_value(None, name, |row| row.get(0)).map_err(reading)?;
        if found != value {
            return Err(not_a_ledger(path, format!("{name} is {found}, not {value}")));
        }
    }
    let journal: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(reading)?;
    if journal != "wal" {
        return Err(not_a_ledger(path, format!("its journal mode is {journal}, not wal")));
    }
    if db.is_readonly(c"main").map_err(reading)? {
        return Err(not_a_ledger(path, "its header forbids writing".to_owned()));
    }
    check_schema(db, path)
}

fn check_schema(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let mut statement =
        db.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY rowid").map_err(reading)?;
    let mut rows = statement.query([]).map_err(reading)?;
    for (kind, name, sql) in EXPECTED {
        let same = match rows.next().map_err(reading)? {
            Some(row) => {
                row.get_ref(0).map_err(reading)?.as_str() == Ok(kind)
                    && row.get_ref(1).map_err(reading)?.as_str() == Ok(name)
                    && row.get_ref(2).map_err(reading)?.as_str_or_null() == Ok(sql)
            }
            None => false,
        };
        if !same {
            return Err(not_a_ledger(path, format!("its schema is not the ledger's at {name}")));
        }
    }
    match rows.next().map_err(reading)? {
        None => Ok(()),
        Some(_) => Err(not_a_ledger(path, "its schema has more than the ledger's".to_owned())),
    }
}

fn reading(source: rusqlite::Error) -> OpenError {
    OpenError::Sqlite { doing: "read the ledger's schema", source }
}

fn not_a_ledger(path: &Path, what: String) -> OpenError {
    OpenError::NotALedger { path: path.to_owned(), what }
}
