//! Folds that are kept for quick starts: given back as they were put in, or not at all.

use std::path::Path;

use nemo_events::{Digest, KeyId, Revision, Timestamp};
use nemo_read_model::{ReadModelError, Snapshot, SnapshotFile};

fn key(n: u32) -> KeyId {
    format!("{n:011}").parse().unwrap()
}

fn snapshot(key: KeyId, fold_version: u32, revision: u64, state: &[u8]) -> Snapshot {
    let head_hash = Digest::of(&revision.to_be_bytes());
    let recorded_at = Timestamp::from_micros(1_795_000_000_000_000);
    Snapshot {
        key,
        fold_version,
        revision: Revision(revision),
        head_hash,
        recorded_at,
        state: state.to_vec(),
    }
}

fn change(path: &Path, sql: &str) {
    assert_eq!(rusqlite::Connection::open(path).unwrap().execute(sql, []).unwrap(), 1, "{sql}");
}

#[test]
fn a_snapshot_is_given_back_to_the_fold_that_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = SnapshotFile::open(&dir.path().join("s")).unwrap();
    file.put(&snapshot(key(0), 1, 4, b"old"), &[]).unwrap();
    let new = snapshot(key(0), 2, 9, b"new");
    file.put(&new, &[]).unwrap();
    assert_eq!(file.latest(key(0), 1).unwrap(), None);
    assert_eq!(file.latest(key(0), 2).unwrap(), Some(new));
    assert_eq!(file.latest(key(1), 2).unwrap(), None);
    assert_eq!(file.reached(2).unwrap(), [(key(0), Revision(9))].into());
    assert!(file.reached(1).unwrap().is_empty());
}

#[test]
fn the_last_moment_at_or_before_a_revision_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut file = SnapshotFile::open(&path).unwrap();
    let moments = [snapshot(key(0), 1, 9, b"nine"), snapshot(key(0), 1, 19, b"nineteen")];
    file.put(&snapshot(key(0), 1, 19, b"whole"), &moments).unwrap();
    let file = SnapshotFile::open(&path).unwrap();
    let found = |revision| file.at_or_before(key(0), 1, Revision(revision)).unwrap();
    assert_eq!(found(8), None);
    assert_eq!(found(9), Some(moments[0].clone()));
    assert_eq!(found(18), Some(moments[0].clone()));
    assert_eq!(found(1_000), Some(moments[1].clone()));
    assert_eq!(file.at_or_before(key(1), 1, Revision(20)).unwrap(), None);
}

#[test]
fn a_row_in_which_anything_was_changed_is_as_good_as_none() {
    for change_to in [
        "state = x'00'",
        "revision = 5",
        "recorded_at = 7",
        "head_hash = zeroblob(32)",
        "digest = zeroblob(32)",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let good = snapshot(key(0), 1, 9, b"nine");
        SnapshotFile::open(&path).unwrap().put(&good, std::slice::from_ref(&good)).unwrap();
        for table in ["latest", "moments"] {
            change(&path, &format!("UPDATE {table} SET {change_to}"));
        }
        let file = SnapshotFile::open(&path).unwrap();
        assert_eq!(file.latest(key(0), 1).unwrap(), None, "{change_to}");
        assert_eq!(file.at_or_before(key(0), 1, Revision(50)).unwrap(), None, "{change_to}");
    }
}

#[test]
fn a_damaged_file_and_one_of_another_version_are_started_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let good = snapshot(key(0), 1, 9, b"nine");
    SnapshotFile::open(&path).unwrap().put(&good, &[]).unwrap();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let mut file = SnapshotFile::open(&path).unwrap();
    assert_eq!(file.latest(key(0), 1).unwrap(), None);
    file.put(&good, &[]).unwrap();
    drop(file);
    std::fs::write(&path, b"this was a database once, and now it is a text of some length").unwrap();
    assert_eq!(SnapshotFile::open(&path).unwrap().latest(key(0), 1).unwrap(), None);
}

#[test]
fn a_database_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    drop(other);
    assert!(matches!(SnapshotFile::open(&path), Err(ReadModelError::NotAReadModel(_))));
    change(&path, "INSERT INTO cats VALUES ('Tom')");
}
