//! A fixed history and the state that it folds to. Snapshots of states are kept beside the log, so a
//! fold that makes something else of the same events must say so by its version.

use nemo_events::{KeyEvent, Revision, Timestamp};
use nemo_projections::attribution::Attribution;
use nemo_projections::{At, FOLD_VERSION, KeyState};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One event of the history.
#[derive(Deserialize)]
struct Line<'a> {
    time: Timestamp,
    #[serde(rename = "type")]
    event_type: &'a str,
    version: u16,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    fold_version: u32,
    key: Option<KeyState>,
    attribution: Attribution,
}

const HISTORY: &str = include_str!("golden/history.json");
const STATE: &str = include_str!("golden/state.json");

fn folded() -> (Golden, Vec<&'static str>) {
    let lines: Vec<Line<'_>> = serde_json::from_str(HISTORY).unwrap();
    let (mut key, mut attribution, mut types) = (None, Attribution::default(), Vec::new());
    for (revision, line) in (0..).zip(lines) {
        let event = KeyEvent::decode(line.event_type, line.version, line.data.get().as_bytes()).unwrap();
        let at = At { revision: Revision(revision), time: line.time };
        KeyState::evolve(&mut key, &event, at).unwrap();
        attribution.evolve(&event, at).unwrap();
        types.push(event.type_name());
    }
    (Golden { fold_version: FOLD_VERSION, key, attribution }, types)
}

#[test]
fn the_fold_of_a_fixed_history_changes_only_with_its_version() {
    let golden = serde_json::to_string_pretty(&folded().0).unwrap();
    if golden.trim() == STATE.trim() {
        return;
    }
    let kept = serde_json::from_str::<serde_json::Value>(STATE).unwrap()["fold_version"].as_u64();
    assert!(
        kept != Some(FOLD_VERSION.into()),
        "evolve makes another state of the same events: bump FOLD_VERSION, then put this into \
         projections/tests/golden/state.json:\n{golden}"
    );
    panic!("FOLD_VERSION was bumped: put this into projections/tests/golden/state.json:\n{golden}");
}

#[test]
fn the_kept_state_can_be_read_back() {
    let golden: Golden = serde_json::from_str(STATE).unwrap();
    assert_eq!(golden, folded().0);
}

#[test]
fn every_type_of_a_keys_events_is_in_the_fixed_history() {
    let (_, types) = folded();
    for (event_type, _) in KeyEvent::TYPES {
        assert!(types.contains(event_type), "{event_type} is missing");
    }
}
