//! Applying events: in any batches, more than once, and not at all where one is wrong.

use nemo_events::{EventRecord, Position, Revision, StreamName};
use nemo_read_model::{EventError, ModelDigest, Origin, ReadModel, ReadModelError};
use proptest::prelude::*;

use crate::history::{Ask, History, key, usage};
use crate::random::{self, steps};

/// A read model in a directory of its own, which goes with it.
pub struct Place {
    pub model: ReadModel,
    _dir: tempfile::TempDir,
}

pub fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let opened = ReadModel::open(&dir.path().join("read-model.db")).unwrap();
    assert_eq!(opened.origin, Origin::New);
    Place { model: opened.model, _dir: dir }
}

pub fn applied(records: &[EventRecord]) -> Place {
    let mut place = place();
    place.model.apply(records).unwrap();
    place
}

pub fn digest(model: &ReadModel) -> ModelDigest {
    model.reader().unwrap().digest().unwrap().value
}

proptest! {
    #![proptest_config(random::cases(24))]

    #[test]
    fn any_batches_and_any_redelivery_make_what_one_batch_makes(
        steps in steps(250),
        cuts in prop::collection::vec((1_usize..40, 0_usize..30), 1..60),
    ) {
        let records = random::history(&steps).records;
        let rebuilt = applied(&records);
        let mut place = place();
        let (mut next, mut cuts) = (0, cuts.iter().cycle());
        while next < records.len() {
            let (more, again) = cuts.next().unwrap();
            let end = (next + more).min(records.len());
            place.model.apply(&records[next.saturating_sub(*again)..end]).unwrap();
            prop_assert_eq!(place.model.position(), Some(records[end - 1].position));
            next = end;
        }
        prop_assert_eq!(digest(&place.model), digest(&rebuilt.model));
    }
}

#[test]
fn an_event_that_cannot_be_decoded_stops_with_its_place_and_writes_nothing() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 1);
    let mut place = applied(&history.records);
    let before = digest(&place.model);
    let call = history.authorize(key(0), &Ask::default());
    history.append(StreamName::Key(key(0)), "KeyPainted", 1, b"{}".to_vec());
    let error = place.model.apply(&history.records).unwrap_err();
    let ReadModelError::Event { stream, revision, position, why } = error else { panic!("{error}") };
    assert_eq!((stream, revision), (StreamName::Key(key(0)), Revision(2)));
    assert_eq!(Some(position), history.records.last().map(|record| record.position));
    assert!(matches!(why, EventError::Codec(_)));
    assert_eq!(digest(&place.model), before);
    // What the failed batch had in memory is forgotten with it.
    history.records.pop();
    place.model.apply(&history.records).unwrap();
    let reader = place.model.reader().unwrap();
    assert!(reader.call(call).unwrap().value.is_some());
}

#[test]
fn an_event_that_could_not_have_been_decided_stops_the_fold() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 2);
    let call = history.authorize(key(0), &Ask::default());
    history.settle(call, 5, usage(1, 1), nemo_events::key::Evidence::Reported);
    let twice = history.records.last().unwrap().event.clone();
    let mut elsewhere = twice.clone();
    (elsewhere.stream, elsewhere.revision) = (StreamName::Key(key(1)), Revision(1));
    let mut again = twice.clone();
    again.revision = twice.revision.next();
    let mut skipped = twice.clone();
    skipped.revision = twice.revision.next().next();
    for event in [again, skipped, elsewhere] {
        let mut place = applied(&history.records);
        let position = Position(1000);
        let error = place.model.apply(&[EventRecord { position, event }]).unwrap_err();
        assert!(matches!(error, ReadModelError::Event { why: EventError::Corrupt(_), .. }), "{error:?}");
        assert!(!error.is_damage());
    }
}

#[test]
fn a_sum_of_money_beyond_64_bits_is_an_error_and_never_a_rounded_number() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 2);
    // Each key's own spend fits; what the gateway spent in all does not.
    for number in 0..2 {
        let call = history.authorize(key(number), &Ask::default());
        history.settle(call, i64::MAX, usage(1, 1), nemo_events::key::Evidence::Reported);
    }
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    assert!(reader.spend(&nemo_read_model::SpendQuery::default()).is_err());
    assert_eq!(reader.key(key(1)).unwrap().value.unwrap().spend, nemo_events::Nanos::MAX);

    // And a key's stream that folds no more is written by nobody; here it is written anyway.
    let mut event = history.records.last().unwrap().event.clone();
    let mut open = history.records[history.records.len() - 2].event.clone();
    let other = |text: &[u8]| String::from_utf8_lossy(text).replace("-000000000001\"", "-0000000000ff\"");
    for (event, revision) in [(&mut open, 3), (&mut event, 4)] {
        event.data = other(&event.data).into_bytes().into();
        event.revision = Revision(revision);
    }
    let mut place = place;
    let records = [(1001, open), (1002, event)];
    let records = records.map(|(position, event)| EventRecord { position: Position(position), event });
    let before = digest(&place.model);
    assert!(place.model.apply(&records).is_err());
    assert_eq!(digest(&place.model), before);
}
