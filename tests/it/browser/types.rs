//! The types that the scripts' comments state, checked by the TypeScript compiler. It only reads.

use std::process::Command;

use super::story::scripts;

fn check(project: &str) {
    let mut tsc = Command::new(scripts().join("node_modules/.bin/tsc"));
    let output = tsc.arg("--project").arg(scripts().join(project)).output().expect("tsc can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_stories_keep_to_their_types() {
    check("tsconfig.json");
}

#[test]
fn what_pages_run_keeps_to_its_types() {
    check("assets.tsconfig.json");
}
