//! Fixtures: one file for each version of each event that was ever written. They are never edited;
//! a change of an event is a new version with an upcast and a fixture of its own.
//!
//! `<Type>.v<version>.json` has every optional field that there was when it was written,
//! `<Type>.v<version>.minimal.json` none; a field that was added later has a fixture of its own behind the version.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test should fail loudly")]

use std::collections::BTreeMap;
use std::path::Path;

use nemo_events::{CodecError, GatewayEvent, KeyEvent, OperatorEvent, OrgEvent, PriceEvent};

/// Decodes a stored event and encodes it again, in the current version.
type Recode = fn(&str, u16, &[u8]) -> Result<(u16, Vec<u8>), CodecError>;

macro_rules! stream {
    ($event:ty) => {
        (
            <$event>::TYPES,
            (|event_type, version, data| {
                let event = <$event>::decode(event_type, version, data)?;
                assert_eq!(event.type_name(), event_type);
                Ok((event.version(), event.encode()?))
            }) as Recode,
        )
    };
}

/// Every stream's types. A new stream is added here.
fn streams() -> Vec<(&'static [(&'static str, u16)], Recode)> {
    vec![
        stream!(KeyEvent),
        stream!(OrgEvent),
        stream!(PriceEvent),
        stream!(GatewayEvent),
        stream!(OperatorEvent),
    ]
}

/// What a fixture's file name says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    event_type: String,
    version: u16,
    /// What tells further fixtures of the version apart, such as `minimal`; empty for the first.
    variant: String,
}

fn name(file: &str) -> Option<Name> {
    let stem = file.strip_suffix(".json")?;
    let (event_type, version) = stem.split_once(".v")?;
    let (version, variant) = version.split_once('.').unwrap_or((version, ""));
    Some(Name {
        event_type: event_type.to_owned(),
        version: version.parse().ok()?,
        variant: variant.to_owned(),
    })
}

fn fixtures() -> BTreeMap<Name, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let named = files.map(|path| {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let name = name(&file).unwrap_or_else(|| panic!("{file} is no fixture's name"));
        (name, std::fs::read_to_string(path).unwrap())
    });
    named.collect()
}

/// JSON without the white space between its tokens; nothing else of it changes.
fn compact(json: &str) -> String {
    let (mut compact, mut in_string, mut escaped) = (String::new(), false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        compact.push(c);
    }
    compact
}

#[test]
fn every_version_that_can_be_written_has_a_fixture_with_every_field() {
    let fixtures = fixtures();
    for (event_type, version) in streams().into_iter().flat_map(|(types, _)| types) {
        for version in 1..=*version {
            let name = Name { event_type: (*event_type).to_owned(), version, variant: String::new() };
            assert!(fixtures.contains_key(&name), "no fixture for {name:?}");
        }
    }
}

#[test]
fn every_fixture_is_of_an_event_that_exists_and_says_the_same_after_a_round_trip() {
    for (Name { event_type, version, .. }, json) in fixtures() {
        let known = |types: &[(&str, u16)]| types.iter().any(|(known, _)| *known == event_type);
        let found = streams().into_iter().find(|(types, _)| known(types));
        let (_, recode) = found.unwrap_or_else(|| panic!("stray fixture: {event_type} is no event"));
        let (current, stored) = recode(&event_type, version, json.as_bytes())
            .unwrap_or_else(|error| panic!("{event_type} version {version}: {error:?}"));
        if version == current {
            assert_eq!(String::from_utf8(stored).unwrap(), compact(&json), "{event_type}");
        }
    }
}

#[test]
fn no_two_streams_have_a_type_of_the_same_name() {
    let mut types: Vec<_> =
        streams().into_iter().flat_map(|(types, _)| types).map(|(name, _)| name).collect();
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!(types.len(), all);
}

#[test]
fn a_field_that_is_not_known_stops_the_reading_of_every_event() {
    for (Name { event_type, version, .. }, json) in fixtures() {
        let json = compact(&json);
        let comma = if json == "{}" { "" } else { "," };
        let extra = format!("{{\"not_a_field\":1{comma}{}", json.strip_prefix('{').unwrap());
        let outcomes =
            streams().into_iter().map(|(_, recode)| recode(&event_type, version, extra.as_bytes()));
        assert!(outcomes.into_iter().all(|outcome| outcome.is_err()), "{event_type} takes any field");
    }
}

#[test]
fn a_version_that_is_not_known_stops_the_reading_of_every_event() {
    for (types, recode) in streams() {
        for (event_type, version) in types {
            for version in [0, version + 1] {
                let outcome = recode(event_type, version, b"{}");
                assert!(matches!(outcome, Err(CodecError::UnknownVersion { .. })), "{event_type} {version}");
            }
        }
    }
}

#[test]
fn a_published_card_is_named_by_the_hash_of_its_json() {
    for (name, json) in fixtures().into_iter().filter(|(name, _)| name.event_type == "PriceCardPublished") {
        let PriceEvent::PriceCardPublished(event) =
            PriceEvent::decode(&name.event_type, name.version, json.as_bytes()).unwrap();
        assert_eq!(event.card.id().unwrap(), event.id);
    }
}
