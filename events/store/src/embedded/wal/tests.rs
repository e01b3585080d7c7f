//! The reader of the log against logs that SQLite wrote.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const FRAME: usize = 4120;

/// A log of three transactions of several frames each, and where each ends.
struct Log {
    _dir: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    ends: [u32; 3],
}

fn log() -> Log {
    let dir = tempfile::tempdir().unwrap();
    let db = Connection::open(dir.path().join("db")).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x);")
        .unwrap();
    // A generation that is over: its frames stay in the file behind those of the next.
    for _ in 0..4 {
        db.execute("INSERT INTO t SELECT randomblob(900) FROM (VALUES (1),(2),(3),(4),(5),(6))", []).unwrap();
    }
    db.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
    let path = dir.path().join("db-wal");
    let ends = [(); 3].map(|()| {
        db.execute("INSERT INTO t SELECT randomblob(900) FROM (VALUES (1),(2),(3),(4),(5),(6))", []).unwrap();
        inspect(&path).unwrap().committed
    });
    let bytes = fs::read(&path).unwrap();
    let copy = dir.path().join("copy");
    Log { _dir: dir, path: copy, bytes, ends }
}

impl Log {
    fn frame(number: u32) -> usize {
        HEADER_LEN + (number as usize - 1) * FRAME
    }

    fn inspect(&self, change: impl FnOnce(&mut Vec<u8>)) -> Result<WalReport, OpenError> {
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        fs::write(&self.path, bytes).unwrap();
        inspect(&self.path)
    }
}

#[test]
fn a_healthy_log_ends_where_its_generation_ends() {
    let log = log();
    let frames = (log.bytes.len() - HEADER_LEN) / FRAME;
    assert!(frames > log.ends[2] as usize, "frames of the generation before are still there");
    assert_eq!(log.inspect(|_| {}).unwrap(), WalReport { committed: log.ends[2], suspect: None });
}

#[test]
fn damage_before_the_last_transaction_is_refused_with_its_place() {
    let log = log();
    for frame in 1..=log.ends[1] {
        for byte in [0, 3, 9, 14, 17, 23, 24, 2000, 4119] {
            let refused = log.inspect(|bytes| bytes[Log::frame(frame) + byte] ^= 4);
            let Err(OpenError::DamagedWal { frame: found, offset, .. }) = refused else {
                // In the last frame of its transaction this may look like the end of one.
                assert_eq!(frame, log.ends[1], "byte {byte}: {refused:?}");
                continue;
            };
            assert_eq!((found, offset as usize), (frame, Log::frame(frame)), "byte {byte}");
        }
    }
}

#[test]
fn damage_in_the_last_transaction_is_suspect() {
    let log = log();
    for frame in log.ends[1] + 1..=log.ends[2] {
        let report = log.inspect(|bytes| bytes[Log::frame(frame) + 100] ^= 1).unwrap();
        let place = Place { frame, offset: Log::frame(frame) as u64 };
        assert_eq!(report, WalReport { committed: log.ends[1], suspect: Some(place) });
    }
}

#[test]
fn a_transaction_that_was_cut_off_is_no_damage() {
    let log = log();
    for cut in [1, 23, 24, 4119, FRAME, FRAME + 1, 2 * FRAME] {
        let end = Log::frame(log.ends[2] + 1) - cut;
        assert_eq!(log.inspect(|bytes| bytes.truncate(end)).unwrap().committed, log.ends[1], "cut {cut}");
    }
}

#[test]
fn a_damaged_header_is_refused_if_any_frame_follows() {
    let log = log();
    for byte in 0..HEADER_LEN {
        let refused = log.inspect(|bytes| bytes[byte] ^= 1);
        assert!(matches!(refused, Err(OpenError::DamagedWal { frame: 0, .. })), "byte {byte}: {refused:?}");
    }
    for len in [0, 1, 31, 32, 33, 100] {
        let report = log.inspect(|bytes| {
            bytes[5] ^= 1;
            bytes.truncate(len);
        });
        assert_eq!(report.unwrap(), WalReport::default());
    }
}

#[test]
fn remains_of_a_transaction_that_failed_are_no_damage() {
    let log = log();
    // A failed transaction wrote all frames of the third but the last, then a shorter one took its place.
    let report = log.inspect(|bytes| {
        let last = Log::frame(log.ends[2]);
        bytes[last..last + FRAME].fill(0);
        bytes[Log::frame(log.ends[1] + 1)..][..FRAME].fill(7);
    });
    assert_eq!(report.unwrap().committed, log.ends[1]);
}
