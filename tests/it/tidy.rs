//! What holds for the source itself: who may import whom, documents that are generated, sizes.

use std::fs;
use std::path::{Path, PathBuf};

use nemo::config::reference_markdown;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(under: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The lines of files under a folder that contain one of some texts.
fn lines_with(under: &str, texts: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for file in rust_files(under) {
        let source = fs::read_to_string(&file).unwrap();
        let hits = source.lines().filter(|line| texts.iter().any(|text| line.contains(text)));
        lines.extend(hits.map(|line| format!("{}: {}", file.display(), line.trim())));
    }
    lines
}

#[test]
fn the_ledger_does_not_know_the_web_and_providers_do_not_know_the_ledger() {
    assert_eq!(lines_with("src/ledger", &["actix"]), Vec::<String>::new());
    let strangers: Vec<String> = lines_with("src/providers", &["crate::ledger", "nemo_store"]);
    assert_eq!(strangers, Vec::<String>::new());
}

#[test]
fn the_pure_crates_ask_no_clock_and_no_chance() {
    let impure = ["Utc::now", "SystemTime", "Instant::now", "now_v7", "new_v4", "rand::"];
    for crate_ in ["events/src", "projections/src"] {
        assert_eq!(lines_with(crate_, &impure), Vec::<String>::new());
    }
}

#[test]
fn no_money_is_counted_in_floating_point() {
    for folder in
        ["events/src", "projections/src", "projections/read-model/src", "src/ledger", "src/catalogue"]
    {
        let floats = lines_with(folder, &["f64", "f32"]);
        let floats: Vec<_> = floats.iter().filter(|line| !line.contains("jitter")).collect();
        assert!(floats.is_empty(), "{floats:#?}");
    }
}

const INTRODUCTION: &str = "\
# Configuration

One TOML file, named by `nemo serve --config FILE` or `NEMO_CONFIG`. Everything in it is optional; without any
file Nemo serves on loopback, keeps its ledger in `nemo-data`, and uses the providers whose well-known keys
are in the environment. Unknown keys are refused, with a suggestion. Keys of `[server]`, `[calls]` and
`[telemetry]` can be overridden by `NEMO_SERVER__<KEY>` and so on; command line options win over both. Secrets
never stand in the file, only the places where they are found.

`nemo reload`, `POST /api/reload` and the signal SIGHUP read it again while calls run: providers, their keys,
prices and `[calls]` take effect for calls that begin afterwards, secrets of webhooks at once. Everything else takes
effect at the next start, and the answer names it. A configuration that cannot be used changes nothing.

This page is generated from the code; a test holds the two together.

";

/// To bring the file up to date: `NEMO_TEST_WRITE=1 cargo test --features failpoints --test it tidy`.
#[test]
fn the_configuration_reference_is_what_the_code_says() {
    let path = root().join("src/docs/configuration.md");
    let generated = format!("{INTRODUCTION}{}", reference_markdown());
    if std::env::var_os("NEMO_TEST_WRITE").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), generated);
}

#[test]
fn every_decision_and_document_that_is_linked_is_there() {
    let documents = fs::read_dir(root().join("src/docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = documents.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    for path in documents.chain([root().join("README.md")]) {
        let document = path.display();
        let text = fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = path.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{document} links to {link}, which is not there");
        }
    }
}
