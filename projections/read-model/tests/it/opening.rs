//! Opening: what is of no use is replaced and said so, what belongs to somebody else is left alone.

use std::fs;

use nemo_read_model::{Origin, ReadModel, ReadModelError, Reader, Recreated};
use rusqlite::Connection;

use crate::applying::{applied, digest, place};
use crate::history::History;

#[test]
fn a_read_model_is_found_again_where_it_was() {
    let history = History::with_keys("2026-11-22T12:00:00Z", 2);
    let place = applied(&history.records);
    let (before, path) = (digest(&place.model), place.model.path().to_owned());
    drop(place.model);
    let opened = ReadModel::open(&path).unwrap();
    assert_eq!(opened.origin, Origin::Existing);
    assert_eq!(digest(&opened.model), before);
    let last = history.records.last().unwrap();
    let head = opened.model.head().unwrap();
    assert_eq!((head.position, head.hash), (last.position, last.event.hash));
    assert_eq!(head.recorded_at, last.event.recorded_at);
}

#[test]
fn a_corrupt_file_is_moved_aside_and_started_anew() {
    let place = applied(&History::with_keys("2026-11-22T12:00:00Z", 2).records);
    let path = place.model.path().to_owned();
    drop(place.model);
    // The pages of the schema and of everything else, behind a header that still reads well.
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..].fill(0x5a);
    for garbage in
        [bytes.as_slice(), b"this is no database, but it is long enough to be one".repeat(20).as_slice()]
    {
        fs::write(&path, garbage).unwrap();
        let opened = ReadModel::open(&path).unwrap();
        assert_eq!(opened.origin, Origin::Recreated(Recreated::Damaged));
        assert_eq!(opened.model.position(), None);
        assert_eq!(fs::read(path.with_extension("db.damaged")).unwrap(), garbage);
    }
}

#[test]
fn a_file_of_another_version_is_started_anew() {
    let place = applied(&History::with_keys("2026-11-22T12:00:00Z", 2).records);
    let path = place.model.path().to_owned();
    drop(place.model);
    let spoil = ["PRAGMA user_version = 99", "ALTER TABLE keys ADD COLUMN colour TEXT"];
    for sql in spoil {
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        if sql.contains("user_version") {
            assert!(matches!(Reader::open(&path), Err(ReadModelError::NotAReadModel(_))));
        }
        let opened = ReadModel::open(&path).unwrap();
        assert_eq!(opened.origin, Origin::Recreated(Recreated::OtherVersion), "{sql}");
        assert_eq!(opened.model.position(), None);
    }
}

#[test]
fn a_database_of_something_else_is_never_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE events (position INTEGER)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(ReadModel::open(&path), Err(ReadModelError::NotAReadModel(_))));
    assert!(matches!(ReadModel::discard(&path), Err(ReadModelError::NotAReadModel(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_discarded_read_model_starts_from_nothing() {
    let place = applied(&History::with_keys("2026-11-22T12:00:00Z", 2).records);
    let path = place.model.path().to_owned();
    drop(place.model);
    ReadModel::discard(&path).unwrap();
    let opened = ReadModel::open(&path).unwrap();
    assert_eq!((opened.origin, opened.model.position()), (Origin::New, None));
}

#[test]
fn an_empty_read_model_answers_without_a_position() {
    let place = place();
    let reader = place.model.reader().unwrap();
    assert_eq!(reader.position().unwrap(), None);
    let spend = reader.spend(&nemo_read_model::SpendQuery::default()).unwrap();
    assert_eq!((spend.position, spend.value.rows.len()), (None, 0));
}

#[test]
fn readers_on_other_threads_see_each_batch_as_a_whole() {
    let history = History::with_keys("2026-11-22T12:00:00Z", 60);
    let mut place = place();
    let reader = place.model.reader().unwrap();
    let last = history.records.last().map(|record| record.position);
    let watching = std::thread::spawn(move || {
        loop {
            let orgs = reader.org(crate::history::org(0)).unwrap();
            // The org comes first, then one key with every event, two positions apart.
            let keys = orgs.value.map_or(0, |org| org.keys);
            assert_eq!(orgs.position.map_or(0, |p| (p.0 - 3) / 2), keys);
            if orgs.position == last {
                break;
            }
        }
    });
    for batch in history.records.chunks(2) {
        place.model.apply(batch).unwrap();
    }
    watching.join().unwrap();
}
