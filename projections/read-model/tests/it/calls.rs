//! Calls by key and by id, and the open ones that a reaper looks for.

use nemo_events::key::{Ending, Evidence, ForfeitReason, VoidReason};
use nemo_events::{Nanos, Revision};
use nemo_read_model::{CallEnd, Limit, PageRequest, ReadModelError, Reader};

use crate::applying::{applied, place};
use crate::history::{Ask, History, boot, key, node, time, usage};

#[test]
fn calls_of_a_key_come_open_ones_first_and_then_by_their_ends() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 2);
    let calls: Vec<_> = (0..6).map(|_| history.authorize(key(0), &Ask::default())).collect();
    history.authorize(key(1), &Ask::default());
    for number in [2, 1, 5] {
        history.settle(calls[number], 7, usage(1, 1), Evidence::Reported);
    }
    // One event at a time, so that every call goes through the table of open calls.
    let mut place = place();
    for record in &history.records {
        place.model.apply(std::slice::from_ref(record)).unwrap();
    }
    let reader = place.model.reader().unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = PageRequest { after, limit: Limit::at_most(2) };
        let page = reader.calls_of_key(key(0), &page).unwrap().value;
        seen.extend(page.rows.iter().map(|row| (row.call, row.ended.is_some())));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected = [4, 3, 0, 5, 1, 2].map(|number| (calls[number], [1, 2, 5].contains(&number)));
    assert_eq!(seen, expected);
    let first = PageRequest { after: None, limit: Limit::at_most(5) };
    let after = reader.calls_of_key(key(0), &first).unwrap().value.next;
    let of_another_key = PageRequest { after, limit: Limit::default() };
    assert!(matches!(reader.calls_of_key(key(1), &of_another_key), Err(ReadModelError::InvalidCursor)));
}

#[test]
fn a_call_is_found_by_its_id_with_where_it_began_and_ended() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 1);
    let ask = Ask { model: "alias", claims: &["nightly"], ..Ask::default() };
    let (settled, voided) = (history.authorize(key(0), &ask), history.authorize(key(0), &Ask::default()));
    let (lost, open) =
        (history.authorize(key(0), &Ask::default()), history.authorize(key(0), &Ask::default()));
    history.now = time("2026-11-22T12:00:05Z");
    history.settle(settled, 70, usage(10, 5), Evidence::Estimated);
    history.void(voided);
    history.forfeit(lost, 90);
    history.correct(lost, 30, Some(usage(3, 1)));
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let call = |id| reader.call(id).unwrap().value.unwrap();

    let row = call(settled);
    assert_eq!((row.model.as_str(), row.provider_model.as_str()), ("alias", "gpt"));
    assert_eq!(
        (row.authorized_revision, row.claims.as_slice()),
        (Revision(1), ["nightly".to_owned()].as_slice())
    );
    assert_eq!(row.authorized_at, time("2026-11-22T12:00:00Z"));
    let end = row.ended.unwrap();
    assert_eq!((end.revision, end.at), (Revision(5), time("2026-11-22T12:00:05Z")));
    assert_eq!(end.end, CallEnd::Settled { evidence: Evidence::Estimated, ending: Ending::Completed });
    assert_eq!((end.cost, end.usage, end.status), (Nanos::from_nanos(70), usage(10, 5), Some(200)));
    assert_eq!((end.first_byte_ms, end.duration_ms), (Some(120), Some(900)));
    let position = |revision: u64| {
        let found = history.records.iter().find(|r| r.event.revision == Revision(revision));
        found.map(|record| record.position)
    };
    assert_eq!(Some(end.position), position(5));

    let end = call(voided).ended.unwrap();
    assert_eq!(end.end, CallEnd::Voided { reason: VoidReason::ProviderRefused });
    let end = call(lost).ended.unwrap();
    assert_eq!(end.end, CallEnd::Forfeited { reason: ForfeitReason::NodeDied });
    assert_eq!((end.cost, end.corrected_revision), (Nanos::from_nanos(30), Some(Revision(8))));
    assert_eq!(call(open).ended, None);
}

#[test]
fn the_reaper_finds_calls_of_earlier_starts_and_calls_past_their_deadline() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 1);
    let authorize = |history: &mut History| history.authorize(key(0), &Ask::default());
    history.start_node("n1", 1);
    let (old, done) = (authorize(&mut history), authorize(&mut history));
    history.start_node("n2", 2);
    let other = authorize(&mut history);
    history.now = time("2026-11-22T13:00:00Z");
    history.start_node("n1", 3);
    let new = authorize(&mut history);
    history.void(done);
    let mut place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let ids = |page: nemo_read_model::Page<nemo_read_model::OpenCallRow>| -> Vec<_> {
        page.rows.iter().map(|row| row.call).collect()
    };
    let all = PageRequest::default();
    let earlier = |reader: &Reader, page: &PageRequest| {
        reader.open_calls_of_earlier_boots(&node("n1"), boot(3), page).unwrap().value
    };
    assert_eq!(ids(earlier(&reader, &all)), [old]);
    assert_eq!(ids(reader.overdue(time("2026-11-22T12:10:00Z"), &all).unwrap().value), [old, other]);
    assert_eq!(ids(reader.overdue(time("2026-11-22T12:09:59Z"), &all).unwrap().value), []);
    let first = reader.open_calls(&PageRequest { after: None, limit: Limit::at_most(2) }).unwrap().value;
    let rest = PageRequest { after: first.next.clone(), limit: Limit::at_most(2) };
    assert_eq!(ids(first), [old, other]);
    assert_eq!(ids(reader.open_calls(&rest).unwrap().value), [new]);
    history.forfeit(old, 5);
    place.model.apply(&history.records).unwrap();
    assert_eq!(ids(earlier(&reader, &all)), []);
}
