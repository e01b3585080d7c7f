//! The file: whose it is, making it, setting SQLite up, putting it out of the way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::ReadModelError;
use crate::schema::{APPLICATION_ID, CREATE, VERSION};

/// Pages of 4 KiB in the WAL from which a commit copies it into the file.
const CHECKPOINT_PAGES: i64 = 4096;
/// The most that a reset of the WAL waits for readers.
const BUSY_TIMEOUT: Duration = Duration::from_millis(200);

/// What is at a path.
pub(crate) enum Found {
    /// No file, or an empty one.
    Nothing,
    /// A read model of this version.
    Good(Connection),
    /// A read model of another.
    OtherVersion,
}

/// Looks at a file. One that is of something else stays as it is.
pub(crate) fn look(path: &Path) -> Result<Found, ReadModelError> {
    if !path.try_exists().map_err(ReadModelError::File)? {
        return Ok(Found::Nothing);
    }
    let connection = Connection::open(path)?;
    match Marks::read(&connection)? {
        marks if marks.is_empty() => Ok(Found::Nothing),
        Marks { application_id: APPLICATION_ID, version: VERSION, .. } if same_schema(&connection)? => {
            set_up(&connection)?;
            Ok(Found::Good(connection))
        }
        Marks { application_id: APPLICATION_ID, .. } => Ok(Found::OtherVersion),
        Marks { .. } => Err(ReadModelError::NotAReadModel(path.to_owned())),
    }
}

/// Makes the tables in a file that is empty or not there.
pub(crate) fn create(path: &Path) -> Result<Connection, ReadModelError> {
    let mut connection = Connection::open(path)?;
    set_up(&connection)?;
    let transaction = connection.transaction()?;
    for statement in CREATE.iter() {
        transaction.execute(statement, [])?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(connection)
}

/// What tells whose database a file is.
pub(crate) struct Marks {
    pub(crate) application_id: i32,
    pub(crate) version: i32,
    tables: i64,
}

impl Marks {
    pub(crate) fn read(connection: &Connection) -> Result<Self, ReadModelError> {
        let one = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let small = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
        Ok(Self {
            application_id: small("PRAGMA application_id")?,
            version: small("PRAGMA user_version")?,
            tables: one("SELECT count(*) FROM sqlite_schema")?,
        })
    }

    /// Whether nobody has put anything into the file.
    pub(crate) const fn is_empty(&self) -> bool {
        self.tables == 0 && self.application_id == 0
    }
}

fn set_up(connection: &Connection) -> Result<(), ReadModelError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    let settings: [(&str, &str); 5] = [
        ("journal_mode", "WAL"),
        ("synchronous", "NORMAL"),
        ("temp_store", "MEMORY"),
        ("cache_size", "-32768"),
        ("journal_size_limit", "16777216"),
    ];
    for (name, value) in settings {
        connection.pragma_update(None, name, value)?;
    }
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(())
}

fn same_schema(connection: &Connection) -> Result<bool, ReadModelError> {
    let mut query =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")?;
    let found: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found == *CREATE)
}

/// How long the WAL is.
pub(crate) fn wal_bytes(path: &Path) -> u64 {
    std::fs::metadata(sibling(path, "-wal")).map_or(0, |file| file.len())
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Removes a read model with what SQLite keeps beside it.
pub(crate) fn remove(path: &Path) -> Result<(), ReadModelError> {
    // The file itself first: SQLite drops a WAL that has no file, but would trust a file without its WAL.
    for file in [path.to_owned(), sibling(path, "-wal"), sibling(path, "-shm")] {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ReadModelError::File(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Keeps what cannot be read, in place of what was kept before.
pub(crate) fn move_aside(path: &Path) -> Result<(), ReadModelError> {
    std::fs::rename(path, sibling(path, ".damaged")).map_err(ReadModelError::File)?;
    remove(path)
}
