//! Every error that a caller or a manager can meet, in the dialect of its route, with the status that
//! `src/docs/errors.md` gives its code. None of them reaches a provider or costs anything.

mod callers;
mod managers;
mod proxies;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::{Answer, Key, Nemo};

/// The documented codes, each with its line of the table.
static DOCUMENTED: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/errors.md")).unwrap();
    let code = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    text.lines().filter_map(|line| Some((code(line)?, line.to_owned()))).collect()
});

/// Fails unless it is this error, told as its route tells errors, and documented as such.
#[track_caller]
fn told(answer: &Answer, status: u16, code: &str) -> Value {
    answer.refused(status, code);
    let body = answer.json();
    let id = answer.header("x-request-id").expect("an id on every reply");
    let names: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    if names.contains("error") {
        assert_eq!((names, answer.header("content-type")), (["error"].into(), Some("application/json")));
        let error: BTreeSet<&str> = body["error"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(error, ["code", "message", "param", "type"].into());
        assert!(body["error"]["type"].as_str().unwrap().ends_with("_error"), "{body}");
    } else {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
        assert_eq!((&body["status"], &body["request_id"]), (&json!(status), &json!(id)), "{body}");
        assert_eq!(body["type"], format!("/docs/errors#{code}"));
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    }
    let row = DOCUMENTED.get(code).unwrap_or_else(|| panic!("`{code}` is not in errors.md"));
    assert!(row.contains(&status.to_string()), "{status} is not what errors.md says: {row}");
    let temporary = answer.header("retry-after").is_some();
    assert_ne!(
        temporary,
        answer.forbids_retry(),
        "either it says when to try again or not to: {:?}",
        answer.headers
    );
    assert!(!answer.text().contains("k-nemo-1"), "no key is repeated: {body}");
    body
}

#[track_caller]
fn about(answer: &Answer, status: u16, code: &str, param: &str) {
    let body = told(answer, status, code);
    let named = if body["error"].is_object() { &body["error"]["param"] } else { &body["param"] };
    assert_eq!(named, param, "{body}");
}

async fn send(request: RequestBuilder) -> Answer {
    Answer::of(request).await
}

/// Nothing was sent, and nothing authorised.
async fn cost_nothing(nemo: &Nemo, keys: &[&Key]) {
    assert_eq!(nemo.provider().request_count(), 0);
    for key in keys {
        assert!(key.calls().await.is_empty());
    }
}

/// Every file of Rust under a directory.
fn sources(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The literals in a source that stand where a code stands: behind a status, or named as one.
fn codes_in(source: &str) -> BTreeSet<String> {
    let behind_status = source.split("StatusCode::").skip(1).filter_map(|rest| Some(rest.split_once(',')?.1));
    let named = [" code: ", "try_again("].into_iter().flat_map(|mark| source.split(mark).skip(1));
    let literal = |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned());
    let is_code =
        |text: &String| text.contains('_') && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    behind_status.chain(named).filter_map(literal).filter(is_code).collect()
}

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut program = Vec::new();
    sources(&root.join("src"), &mut program);
    let refusals = std::fs::read_to_string(root.join("projections/src/refusal.rs")).unwrap();
    let named = refusals.split_once("pub const fn code").unwrap().1;
    let named = named.split("=> \"").skip(1).filter_map(|arm| Some(arm.split_once('"')?.0.to_owned()));
    let used: BTreeSet<String> = program.iter().flat_map(|source| codes_in(source)).chain(named).collect();
    assert!(used.len() > 40, "codes are found: {used:?}");
    let documented: BTreeSet<String> = DOCUMENTED.keys().cloned().collect();
    let (unwritten, unused) = (&used - &documented, &documented - &used);
    assert!(unwritten.is_empty(), "not in errors.md: {unwritten:?}");
    assert!(unused.is_empty(), "in errors.md and nowhere else: {unused:?}");
}
