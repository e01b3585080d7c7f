//! Comparing: equal logs make equal read models, and a changed row is named.

use nemo_events::Digest;
use nemo_events::key::Evidence;
use nemo_read_model::compare;
use rusqlite::Connection;

use crate::applying::{applied, digest};
use crate::history::{Ask, History, key, usage};
use crate::random;

#[test]
fn a_changed_a_missing_and_a_doubled_row_are_found() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 2);
    let call = history.authorize(key(0), &Ask::default());
    history.settle(call, 5, usage(1, 1), Evidence::Reported);
    let good = applied(&history.records);
    for (change, table) in [
        ("UPDATE rollups SET cost = cost + 1", "rollups"),
        ("DELETE FROM calls", "calls"),
        ("INSERT INTO peppers VALUES ('p', x'00', 1, NULL)", "peppers"),
        ("UPDATE keys SET app = 'second' WHERE key_no = 2", "keys"),
    ] {
        let bad = applied(&history.records);
        Connection::open(bad.model.path()).unwrap().execute_batch(change).unwrap();
        let readers = (good.model.reader().unwrap(), bad.model.reader().unwrap());
        let found = compare(&readers.0, &readers.1).unwrap();
        assert_eq!(found.first, found.second);
        let tables: Vec<_> = found.differences.iter().map(|difference| difference.table).collect();
        assert_eq!(tables, [table]);
        assert_ne!(found.differences[0].first, found.differences[0].second);
        assert_ne!(digest(&good.model), digest(&bad.model));
    }
}

#[test]
fn equal_logs_make_equal_read_models() {
    let history = random::history(&[(31, 1, 5), (10, 0, 9), (31, 2, 7)]);
    let (one, other) = (applied(&history.records), applied(&history.records));
    let (one, other) = (one.model.reader().unwrap(), other.model.reader().unwrap());
    assert_eq!(compare(&one, &other).unwrap().differences, []);
}

/// Where this fails, applying the same events writes something else than before: raise `schema::VERSION`
/// and put the new hash here.
#[test]
fn a_fixed_history_makes_the_same_read_model_as_ever() {
    let steps: Vec<_> =
        (0..400_u32).map(|n| (((n * 11) % 37 % 32) as u8, n as usize * 13 % 89, n * 7919)).collect();
    let mut history = random::history(&steps);
    history.install_secrets();
    history.create_key(9, 1);
    let open = [0, 1, 2].map(|_| history.authorize(key(9), &Ask::default()));
    history.settle(open[1], 5, usage(1, 1), Evidence::Reported);
    let mut all = String::new();
    // The first table holds the last event's hash, which also depends on how events are written.
    for table in digest(&applied(&history.records).model).tables.iter().skip(1) {
        all.push_str(&format!("{} {} {}\n", table.table, table.rows, table.digest));
    }
    assert_eq!(
        Digest::of(all.as_bytes()).to_string(),
        "11b114334ab78a8d68f81f544064971949d65b32fdae4342fe674cd8a2bdfb6b",
        "\n{all}"
    );
}
