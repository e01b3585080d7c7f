//! Lists of keys, orgs, price cards, nodes, secrets.

use nemo_events::gateway::{MasterKeyRetired, PepperAdded, PepperRetired};
use nemo_events::key::Labels;
use nemo_events::limits::{Budget, KeyLimits, WindowKind};
use nemo_events::{Digest, MasterKeyId, Nanos, PepperId, Revision};
use nemo_projections::key::Status;
use nemo_read_model::{
    Counted, Cursor, KeyFilter, Limit, Order, OrgFilter, PageRequest, ReadModelError, Reader,
};

use crate::applying::applied;
use crate::history::{Ask, History, boot, key, labels, node, org, time};

fn page(after: Option<Cursor>, limit: usize) -> PageRequest {
    PageRequest { after, limit: Limit::at_most(limit) }
}

fn found(reader: &Reader, filter: &KeyFilter) -> Vec<u64> {
    let page = reader.keys(filter, &PageRequest::default()).unwrap().value;
    page.rows.iter().map(|row| row.key.digits().parse().unwrap()).collect()
}

#[test]
fn keys_come_in_pages_that_neither_repeat_nor_leave_out() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 7);
    let mut place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    for (order, expected) in
        [(Order::OldestFirst, [0, 1, 2, 3, 4, 5, 6]), (Order::NewestFirst, [6, 5, 4, 3, 2, 1, 0])]
    {
        let filter = KeyFilter { order, ..KeyFilter::default() };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let answer = reader.keys(&filter, &page(after, 3)).unwrap();
            assert_eq!(answer.position, place.model.position());
            seen.extend(answer.value.rows.iter().map(|row| row.key.digits().parse::<u64>().unwrap()));
            // A key that is created meanwhile moves nothing.
            after = answer.value.next.map(|cursor| cursor.to_string().parse().unwrap());
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
    let first = reader.keys(&KeyFilter::default(), &page(None, 3)).unwrap().value;
    history.create_key(7, 0);
    place.model.apply(&history.records).unwrap();
    let second = reader.keys(&KeyFilter::default(), &page(first.next.clone(), 3)).unwrap().value;
    assert_eq!(second.rows.first().map(|row| row.key), Some(key(3)));
    assert!(matches!(
        reader.orgs(&OrgFilter::default(), &page(first.next, 3)),
        Err(ReadModelError::InvalidCursor)
    ));
}

#[test]
fn keys_are_counted_as_they_are_filtered_and_their_environments_told_once() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 4);
    for (number, env) in [(0, "prod"), (1, "dev"), (2, "prod")] {
        history.relabel(key(number), Labels { env: Some(env.to_owned()), ..labels("a", &[]) });
    }
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let count = |filter: &KeyFilter| reader.count_keys(filter).unwrap().value;
    assert_eq!(count(&KeyFilter::default()), Counted::Exactly(4));
    let prod = KeyFilter { env: Some("prod".to_owned()), ..KeyFilter::default() };
    assert_eq!(count(&prod), Counted::Exactly(2));
    assert_eq!(reader.environments().unwrap().value, ["dev", "prod"]);
}

#[test]
fn keys_are_found_by_what_is_known_of_them() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 4);
    history.create_org(1);
    history.create_key(4, 1);
    history.relabel(key(2), labels("50%_off", &["night", "b"]));
    history.block(key(1));
    history.rotate(key(3), true);
    history.rotate(key(3), false);
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let none = KeyFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let search = |text: &str| found(&reader, &KeyFilter { search: Some(text.to_owned()), ..none() });
    assert_eq!(found(&reader, &KeyFilter { org: Some(org(1)), ..none() }), [4]);
    assert_eq!(found(&reader, &KeyFilter { status: Some(Status::Blocked), ..none() }), [1]);
    assert_eq!(found(&reader, &KeyFilter { tag: text("night"), ..none() }), [2]);
    assert_eq!(found(&reader, &KeyFilter { app: text("first"), tag: text("a"), ..none() }), [4, 3, 1, 0]);
    assert_eq!(search("50%_O"), [2]);
    assert_eq!(search("%"), [2], "a wildcard is a character like others");
    assert_eq!(search("key_00000000003"), [3]);
    assert_eq!(search("0003"), [3], "the last four of a current secret");
    assert_eq!(search("0002"), [3, 2], "and of an earlier one");
    assert_eq!(search("nothing"), [0; 0]);
}

#[test]
fn a_key_s_row_follows_its_events() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 1);
    let budgets =
        vec![Budget { window: WindowKind::Day, limit: Nanos::from_nanos(5), alert_at_percent: None }];
    let expires_at = Some(time("2027-01-01T00:00:00Z"));
    history.set_limits(key(0), KeyLimits { budgets, expires_at, ..KeyLimits::default() });
    history.now = time("2026-11-22T13:00:00Z");
    history.rotate(key(0), true);
    history.relabel(key(0), labels("second", &[]));
    history.now = time("2026-11-22T14:00:00Z");
    history.authorize(key(0), &Ask::default());
    history.now = time("2026-11-22T15:00:00Z");
    history.revoke(key(0));
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let row = reader.key(key(0)).unwrap().value.unwrap();
    let state = history.state(key(0));
    assert_eq!((row.org, row.status, &row.labels), (state.org, state.status, &state.labels));
    assert_eq!((&row.limits, row.labels_revision), (&state.limits, state.labels_revision));
    assert_eq!((row.expires_at, row.secret_version), (expires_at, 2));
    assert_eq!(row.last_four, state.current_secret().unwrap().last_four);
    assert_eq!(
        (row.created_at, row.changed_at),
        (time("2026-11-22T12:00:00Z"), time("2026-11-22T15:00:00Z"))
    );
    assert_eq!((row.revision, row.last_used_at), (Revision(5), Some(time("2026-11-22T14:00:00Z"))));
    let secrets = reader.key_secrets(key(0)).unwrap().value;
    let secrets: Vec<_> = secrets.iter().map(|s| (s.version, s.leaked, s.valid_until)).collect();
    assert_eq!(secrets, [(1, true, Some(time("2026-11-22T13:00:00Z"))), (2, false, None)]);
    let revisions = reader.label_revisions(key(0)).unwrap().value;
    let apps: Vec<_> = revisions.iter().map(|r| (r.revision, r.labels.app.as_deref())).collect();
    assert_eq!(apps, [(Revision(0), Some("first")), (Revision(3), Some("second"))]);
    assert_eq!(reader.key(key(9)).unwrap().value, None);
}

#[test]
fn orgs_know_their_keys_and_names() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 3);
    history.create_org(1);
    history.rename_org(1, "Another");
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let orgs = reader.orgs(&OrgFilter::default(), &PageRequest::default()).unwrap().value;
    let orgs: Vec<_> = orgs.rows.iter().map(|row| (row.name.as_str(), row.keys, row.revision)).collect();
    assert_eq!(orgs, [("Another", 0, Revision(1)), ("Org 0", 3, Revision(0))]);
    let search = Some("nOTH".to_owned());
    let filter = OrgFilter { search, ..OrgFilter::default() };
    assert_eq!(reader.orgs(&filter, &PageRequest::default()).unwrap().value.rows.len(), 1);
    assert_eq!(reader.org(org(0)).unwrap().value.map(|row| row.keys), Some(3));
}

#[test]
fn price_cards_nodes_and_secrets_are_the_latest_of_each() {
    let mut history = History::starting("2026-11-22T12:00:00Z");
    history.install_secrets();
    let card = history.publish_card("gpt");
    history.publish_card("mini");
    history.publish_card("gpt");
    history.start_node("n1", 1);
    history.start_node("n2", 2);
    history.stop_node("n1", 1);
    history.start_node("n1", 3);
    history.stop_node("n1", 1);
    history.stop_node("n2", 2);
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let cards = reader.price_cards(&PageRequest::default()).unwrap().value.rows;
    assert_eq!(cards.iter().map(|row| row.card.model.as_str()).collect::<Vec<_>>(), ["mini", "gpt"]);
    let found = reader.price_card(card).unwrap().value.unwrap();
    assert_eq!(found.card.id().unwrap(), card, "the stored card is the one that is cited");
    let nodes = reader.nodes().unwrap().value;
    let nodes: Vec<_> = nodes.iter().map(|row| (&row.node, row.boot, row.stopped_at)).collect();
    assert_eq!(nodes, [(&node("n1"), boot(3), None), (&node("n2"), boot(2), Some(history.now))]);
    assert_eq!(reader.peppers(history.now).unwrap().value[0].fingerprint, Digest::of(b"pepper"));
    assert_eq!(reader.master_keys().unwrap().value[0].fingerprint, Digest::of(b"master"));
}

#[test]
fn a_pepper_knows_which_keys_need_it() {
    let mut history = History::with_keys("2026-11-22T12:00:00Z", 3);
    history.install_secrets();
    let (first, second): (PepperId, PepperId) = ("pepper1".parse().unwrap(), "pepper2".parse().unwrap());
    history.gateway(PepperAdded { pepper: second.clone(), fingerprint: Digest::of(b"pepper 2") });
    history.renew(key(0), &second);
    history.rotate(key(1), true);
    let counts = |history: &History| {
        let place = applied(&history.records);
        let reader = place.model.reader().unwrap();
        let counts: Vec<u64> =
            reader.peppers(history.now).unwrap().value.iter().map(|row| row.keys).collect();
        let filter = KeyFilter { needs_pepper: Some((first.clone(), history.now)), ..KeyFilter::default() };
        let keys = reader.keys(&filter, &PageRequest::default()).unwrap().value.rows;
        assert_eq!(keys.len() as u64, counts[0], "the list has as many keys as are counted");
        counts
    };
    assert_eq!(counts(&history), [2, 1], "a key with several secrets counts once");
    history.revoke(key(2));
    assert_eq!(counts(&history), [1, 1], "a revoked key needs none");
    history.renew(key(1), &second);
    assert_eq!(counts(&history), [0, 2], "neither does a secret that has ended");

    history.gateway(PepperRetired { pepper: first.clone() });
    let valid_until = history.now;
    let master_key: MasterKeyId = "AAAAAAAAAAA".parse().unwrap();
    history.gateway(MasterKeyRetired { master_key, valid_until, leaked: true });
    let place = applied(&history.records);
    let reader = place.model.reader().unwrap();
    let retired: Vec<_> =
        reader.peppers(history.now).unwrap().value.iter().map(|row| row.retired_at).collect();
    assert_eq!(retired, [Some(history.now), None]);
    let keys = reader.master_keys().unwrap().value;
    assert_eq!((keys[0].valid_until, keys[0].leaked), (Some(valid_until), true));
}
