//! Opening a ledger: every check that must pass before the first append, in order.
//!
//! Lock; our own look at the WAL, before SQLite drops what it does not like; form; watermark, while a
//! refusal still leaves everything as it was found; a complete checkpoint; every event and the index.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use nemo_events::{Digest, Position};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::watch;

use super::checkpoint::{Checkpoints, truncate};
use super::connect::{read_failed, writer};
use super::error::OpenError;
use super::files::{failed, length, private_dir, private_file, sync_dir};
use super::heads::Heads;
use super::lock::DirLock;
use super::options::{Options, WatermarkRule};
use super::pool::Pool;
use super::reads::Reads;
use super::row::signed;
use super::scan::scan;
use super::wal::{self, WalReport};
use super::watermark::{Found, Mark, Watermark};
use super::writer::Writer;
use super::{EmbeddedStore, schema};
use crate::ReadError;

pub(super) struct Opened {
    pub(super) writer: Writer,
    pub(super) reads: Reads,
}

/// Where things are.
struct Place {
    dir: PathBuf,
    database: PathBuf,
    wal: PathBuf,
}

pub(super) fn open(dir: &Path, options: Options) -> Result<Opened, OpenError> {
    let started = Instant::now();
    private_dir(dir)?;
    let dir = dir.canonicalize().map_err(failed("find", dir))?;
    let lock = DirLock::acquire(&dir)?;
    let database = dir.join(EmbeddedStore::FILE_NAME);
    let place = Place { wal: dir.join(format!("{}-wal", EmbeddedStore::FILE_NAME)), database, dir };

    let report = wal::inspect(&place.wal)?;
    let found = Watermark::read(&place.dir)?;
    let db = open_database(&place, &report, &found, options.max_pages)?;
    let head = last_event(&db)?;
    check_watermark(&db, &place, &report, found, head, options.watermark)?;
    if let Some(at) = report.suspect {
        // Not acknowledged: the watermark would know it, but for a power loss in the last seconds.
        tracing::warn!(
            frame = at.frame,
            byte = at.offset,
            "dropping an unfinished transaction from the log's end"
        );
    }
    truncate(&db).map_err(sqlite("move the write-ahead log into the database"))?;
    check_length(&db, &place.database)?;
    let (heads, last) = scan(&place.database, head, &options.on_progress)?;
    let watermark = Watermark::create(&place.dir, last)?;

    let heads = Arc::new(Heads::new(heads));
    let (durable, watch) = watch::channel(head);
    tracing::info!(
        dir = %place.dir.display(), events = last.position.0, streams = heads.len(),
        recovered_frames = report.committed, duration_ms = started.elapsed().as_millis() as u64, "ledger opened"
    );
    let pool = Arc::new(Pool::new(place.database, options.readers));
    let reads = Reads { pool, heads: Arc::clone(&heads), durable: watch };
    let checkpoints = Checkpoints::new(options.checkpoint_frames);
    let Options { on_fatal, on_commit, on_phase, .. } = options;
    let wal_path = place.wal;
    let writer = Writer {
        db,
        wal_path,
        heads,
        durable,
        last,
        watermark,
        checkpoints,
        on_fatal,
        on_commit,
        on_phase,
        lock,
    };
    Ok(Opened { writer, reads })
}

/// Opens the database, which recovers the WAL; creates it only where there never was one.
fn open_database(
    place: &Place,
    report: &WalReport,
    found: &Found,
    max_pages: Option<u32>,
) -> Result<Connection, OpenError> {
    if length(&place.database)? == 0 {
        refuse_to_replace(place, report, found)?;
    }
    drop(private_file(&place.database)?);
    if place.wal.exists() {
        drop(private_file(&place.wal)?);
    }
    let mut db = writer(&place.database).map_err(sqlite("open the ledger"))?;
    if let Some(pages) = max_pages {
        let set = db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()));
        set.map_err(sqlite("limit the ledger"))?;
    }
    if schema::is_empty(&db).map_err(sqlite("read the ledger"))? {
        refuse_to_replace(place, report, found)?;
        schema::create(&mut db).map_err(sqlite("create the ledger"))?;
        sync_dir(&place.dir)?;
    }
    schema::check(&db, &place.database)?;
    Ok(db)
}

/// Where the database is missing, a log or a watermark says that it should not be.
fn refuse_to_replace(place: &Place, report: &WalReport, found: &Found) -> Result<(), OpenError> {
    let watermark = match found {
        Found::Mark(mark) => mark.position,
        Found::Missing | Found::Damaged => Position(0),
    };
    if watermark == Position(0) && report.committed == 0 {
        return Ok(());
    }
    Err(OpenError::Missing { path: place.database.clone() })
}

fn last_event(db: &Connection) -> Result<Option<Position>, OpenError> {
    let last: Option<i64> =
        db.query_row("SELECT max(position) FROM events", [], |row| row.get(0)).map_err(read_failed)?;
    Ok(last.and_then(|position| u64::try_from(position).ok()).map(Position))
}

/// Whether the ledger reaches at least as far as it is known to have reached.
fn check_watermark(
    db: &Connection,
    place: &Place,
    report: &WalReport,
    found: Found,
    head: Option<Position>,
    rule: WatermarkRule,
) -> Result<(), OpenError> {
    let mark = match (found, head) {
        (Found::Mark(mark), _) => mark,
        (Found::Missing | Found::Damaged, None) => Mark::NONE,
        (found, Some(head)) => {
            let what = if found == Found::Missing { "missing" } else { "damaged" };
            if rule == WatermarkRule::Require {
                return Err(OpenError::Watermark { path: Watermark::path(&place.dir), what, head });
            }
            tracing::warn!(%head, "the watermark is {what}; taking the ledger's end for granted, as told");
            Mark::NONE
        }
    };
    if mark == Mark::NONE {
        return Ok(());
    }
    if head < Some(mark.position) {
        let suspect = match report.suspect {
            Some(at) => {
                format!("frame {} of {}, at byte {}, is damaged", at.frame, place.wal.display(), at.offset)
            }
            None => format!("the end of {} or of its log is missing", place.database.display()),
        };
        return Err(OpenError::Truncated { head, watermark: mark.position, suspect });
    }
    check_marked_event(db, mark)
}

fn check_marked_event(db: &Connection, mark: Mark) -> Result<(), OpenError> {
    let sql = "SELECT hash FROM events WHERE position = ?1";
    let hash: Option<[u8; 32]> =
        db.query_row(sql, [signed(mark.position.0)], |row| row.get(0)).optional().map_err(read_failed)?;
    if hash.map(Digest::from_bytes) == Some(mark.hash) {
        return Ok(());
    }
    let place = format!("position {}", mark.position);
    Err(ReadError::Damaged { place, what: "it is not the event that the watermark names".to_owned() }.into())
}

/// With an empty WAL, the header's page count is the file's.
fn check_length(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let pages: u32 =
        db.pragma_query_value(None, "page_count", |row| row.get(0)).map_err(sqlite("read the ledger"))?;
    let expected = u64::from(pages) * 4096;
    let found = length(path)?;
    if found == expected {
        return Ok(());
    }
    let what = format!("it has {found} bytes, its header says {expected}");
    Err(ReadError::Damaged { place: path.display().to_string(), what }.into())
}

/// An error of SQLite with what was tried; damage is called damage.
fn sqlite(doing: &'static str) -> impl Fn(rusqlite::Error) -> OpenError {
    move |source| OpenError::Sqlite { doing, source }
}
