//! A glance at a stopped ledger's database, for whoever looks at a directory without taking it over.

use std::path::Path;

use nemo_events::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::EmbeddedStore;

impl EmbeddedStore {
    /// When the last event of a stopped ledger was recorded, as far as its database file alone tells: what
    /// stands in the log beside it is not looked at. `None` where there is no event, or nobody can tell.
    ///
    /// Nothing is written, locked or made, whoever runs it; so nothing may write meanwhile. Nothing is checked
    /// either: no decision may rest on it.
    #[must_use]
    pub fn glance_at_last(dir: &Path) -> Option<Timestamp> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(immutable(&dir.join(Self::FILE_NAME))?, flags).ok()?;
        let sql = "SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1";
        db.query_row(sql, [], |row| row.get(0)).ok().map(Timestamp::from_micros)
    }
}

/// The file as a URI by which SQLite takes no locks and makes no files.
fn immutable(path: &Path) -> Option<String> {
    let path = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Some(format!("file:{path}?immutable=1"))
}
