//! From a time to a position, with clocks that differ.

use nemo_events::{EventRecord, Position, Timestamp};
use nemo_read_model::Reader;
use proptest::prelude::*;

use crate::applying::applied;
use crate::history::{History, time};
use crate::random::{self, steps};

/// The search as the documentation of `position_at` tells the caller to finish it.
fn position_at(reader: &Reader, records: &[EventRecord], at: Timestamp) -> Option<Position> {
    let window = reader.position_at(at).unwrap().value;
    let behind = records.iter().filter(|record| window.after.is_none_or(|after| record.position > after));
    let within = behind.take_while(|record| window.until.is_some_and(|until| record.position <= until));
    let last = within.filter(|record| record.event.recorded_at <= at).last();
    last.map(|record| record.position).or(window.after)
}

proptest! {
    #![proptest_config(random::cases(24))]

    #[test]
    fn the_position_at_a_time_is_the_last_event_recorded_by_then(steps in steps(120), offset in -70_i64..70) {
        let history = random::history(&steps);
        let place = applied(&history.records);
        let reader = place.model.reader().unwrap();
        for record in &history.records {
            let at = record.event.recorded_at.plus_secs(offset);
            let expected = history.records.iter().rev().find(|r| r.event.recorded_at <= at);
            prop_assert_eq!(position_at(&reader, &history.records, at), expected.map(|r| r.position));
        }
    }
}

#[test]
fn before_the_first_event_there_is_no_position() {
    let place = applied(&History::with_keys("2026-11-22T12:00:00Z", 1).records);
    let window = place.model.reader().unwrap().position_at(time("2026-11-22T11:59:59Z")).unwrap().value;
    assert_eq!((window.after, window.until), (None, None));
}
