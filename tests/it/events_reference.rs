//! `src/docs/events.md`: every event that a ledger can hold, made from the vocabulary's own source and its fixtures,
//! so that no event, field or word of it can be missing.
//!
//! To bring the page up to date: `NEMO_TEST_WRITE=1 cargo test --features failpoints --test it events_reference`.

mod source;
mod values;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use source::{Field, Shape, Vocabulary};

const INTRODUCTION: &str = "\
# Events

Everything that a ledger holds. An event is written once and never changed; `nemo keys timeline KEY --output jsonl` shows
those of a key, `GET /api/ledger/events` all of them. A type's form changes only by a new version, and events of every
version that was ever written can be read for ever.

The examples are the files in `events/fixtures/`, which the program is tested to read and to write byte for byte. Fields
with a † may be absent. This page is made from the source of `events/`; a test holds the two together.

";

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("events")
}

/// The whole page.
fn page(vocabulary: &Vocabulary) -> String {
    let mut page = INTRODUCTION.to_owned();
    contents(&mut page, vocabulary);
    for stream in &vocabulary.streams {
        write!(page, "## {}\n\n{}\n\n", stream.title.trim_end_matches('.'), stream.about).unwrap();
        stream.events.iter().for_each(|(event, version)| {
            page.push_str(&described(vocabulary, event, *version));
        });
    }
    page.push_str("## With every event\n\nWho and what an event belongs to is stored beside it.\n\n");
    page.push_str(&fields(vocabulary, vocabulary.fields("Metadata")));
    page.push_str("\n## What the fields hold\n\n");
    vocabulary.parts_of_events().into_iter().for_each(|part| page.push_str(&explained(vocabulary, &part)));
    page.push_str("### Values\n\n| | | such as |\n| --- | --- | --- |\n");
    for value in values::all() {
        writeln!(page, "| {} | {} | {} |", value.name, value.about, value.example).unwrap();
    }
    page
}

fn contents(page: &mut String, vocabulary: &Vocabulary) {
    page.push_str("| event | version | |\n| --- | --- | --- |\n");
    for (event, version) in vocabulary.events() {
        let about = &vocabulary.items[event].about;
        writeln!(page, "| [`{event}`](#{}) | {version} | {about} |", event.to_lowercase()).unwrap();
    }
    page.push('\n');
}

fn described(vocabulary: &Vocabulary, event: &str, version: u16) -> String {
    let about = &vocabulary.items[event].about;
    let mut text = format!("### `{event}`\n\n{about} Version {version}.\n\n");
    match vocabulary.fields(event) {
        [] => text.push_str("It says nothing besides.\n"),
        some => text.push_str(&fields(vocabulary, some)),
    }
    let fixture = fs::read_to_string(events().join(format!("fixtures/{event}.v{version}.json"))).unwrap();
    write!(text, "\n```json\n{}\n```\n\n", fixture.trim()).unwrap();
    text
}

fn fields(vocabulary: &Vocabulary, fields: &[Field]) -> String {
    let mut table = "| field | | |\n| --- | --- | --- |\n".to_owned();
    for Field { name, about, kind, is_optional } in fields {
        let mark = if *is_optional { " †" } else { "" };
        writeln!(table, "| `{name}`{mark} | {} | {about} |", shown(vocabulary, kind)).unwrap();
    }
    table
}

/// A type as a reader of JSON meets it, linked to where it is explained.
fn shown(vocabulary: &Vocabulary, kind: &str) -> String {
    if let Some(item) = kind.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("list of {}", shown(vocabulary, item));
    }
    if let Some(value) = values::named(kind) {
        return value;
    }
    assert!(vocabulary.items.contains_key(kind), "what is a {kind}?");
    format!("[{kind}](#{})", kind.to_lowercase())
}

/// A part that events are made of.
fn explained(vocabulary: &Vocabulary, name: &str) -> String {
    let item = &vocabulary.items[name];
    let mut text = format!("### {name}\n\n{}\n\n", item.about);
    match &item.shape {
        Shape::Record(of) => text.push_str(&fields(vocabulary, of)),
        Shape::Choice(choices) => {
            text.push_str("| | |\n| --- | --- |\n");
            for choice in choices {
                let with: Vec<_> = choice
                    .fields
                    .iter()
                    .map(|field| format!("`{}` ({})", field.name, shown(vocabulary, &field.kind)))
                    .collect();
                let with =
                    if with.is_empty() { String::new() } else { format!(" With {}.", with.join(", ")) };
                writeln!(text, "| `{}` | {}{with} |", choice.name, choice.about).unwrap();
            }
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_page_about_events_is_what_the_vocabulary_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/events.md");
    let generated = page(&Vocabulary::read(&events().join("src")));
    if std::env::var_os("NEMO_TEST_WRITE").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), generated);
}

#[test]
fn every_event_that_has_a_fixture_is_on_the_page() {
    let vocabulary = Vocabulary::read(&events().join("src"));
    let known: BTreeSet<&str> = vocabulary.events().map(|(event, _)| event.as_str()).collect();
    let files = fs::read_dir(events().join("fixtures")).unwrap().map(|file| file.unwrap().file_name());
    let stored: BTreeSet<String> =
        files.map(|file| file.to_str().unwrap().split_once('.').unwrap().0.to_owned()).collect();
    assert_eq!(known, stored.iter().map(String::as_str).collect());
    for (event, about) in known.iter().map(|event| (event, &vocabulary.items[*event].about)) {
        assert!(about.ends_with('.'), "{event} says nothing: {about:?}");
    }
}
