//! What the README and the quick starts tell a new user to type is typed here, word for word and in order: in an
//! empty directory, against the demo that the README starts, with `cargo run --` standing for this build.
//!
//! Every block of shell, Python or JavaScript is run, unless a comment before it says `not run` and why; `with the
//! server stopped` is for the end. The port of the documents is the only thing that is exchanged.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Demo, nanos, new_home};

const ADDRESS: &str = "127.0.0.1:4141";
/// In the block that starts the demo.
const SERVE: &str = "serve --demo";
const QUICK_STARTS: [&str; 4] = ["app-developer", "operator", "finance", "auditor"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fenced block of a document that is to be run.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    language: String,
    text: String,
    when: When,
}

/// When a block is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Serving,
    Stopped,
}

/// The blocks that are to be run, in order.
fn blocks(document: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = if line.trim().is_empty() { before } else { line };
            continue;
        };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = text.join("\n") + "\n";
        let when =
            if before.starts_with("<!-- with the server stopped") { When::Stopped } else { When::Serving };
        if ["sh", "python", "js"].contains(&language) && !before.starts_with("<!-- not run:") {
            found.push(Block { language: language.to_owned(), text, when });
        }
        before = "";
    }
    found
}

/// One shell session that runs them, with a line that tells which one failed.
fn session(blocks: &[Block], address: &str) -> String {
    let mut script = "set -euo pipefail\ntrap 'echo \"in block $block, line $LINENO\" >&2' ERR\n".to_owned();
    for (number, Block { language, text, .. }) in blocks.iter().enumerate() {
        let text = text.replace(ADDRESS, address);
        writeln!(script, "block={}", number + 1).unwrap();
        match language.as_str() {
            "sh" => script.push_str(&text),
            "python" => {
                writeln!(script, "cat >b{number}.py <<'END'\n{text}END\npython b{number}.py").unwrap()
            }
            _ => writeln!(script, "cat >b{number}.mjs <<'END'\n{text}END\nnode b{number}.mjs").unwrap(),
        }
    }
    script
}

/// What a clone has after `scripts/setup`: this build as `nemo` and behind `cargo run --`, and the SDKs.
fn install(home: &Path) -> OsString {
    let bin = home.join("bin");
    std::fs::create_dir(&bin).unwrap();
    let nemo = env!("CARGO_BIN_EXE_nemo");
    symlink(nemo, bin.join("nemo")).unwrap();
    let cargo = format!("#!/bin/sh\n[ \"$1 $2\" = 'run --' ] || exit 1\nshift 2\nexec '{nemo}' \"$@\"\n");
    std::fs::write(bin.join("cargo"), cargo).unwrap();
    std::fs::set_permissions(bin.join("cargo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink(root().join("tests/sdk/node_modules"), home.join("node_modules")).unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let python = target.join("sdk/venv/bin");
    assert!(python.join("python").exists(), "the Python client is not installed: run scripts/setup");
    let usual = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([bin, python].into_iter().chain(std::env::split_paths(&usual))).unwrap()
}

/// Types a document's blocks in the demo's directory; what came out.
fn type_in(demo: &Demo, path: &OsStr, document: &str, when: When) -> String {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    // What starts a server is started already, by the harness, on a free port.
    let is_wanted = |block: &Block| block.when == when && !block.text.contains(SERVE);
    let blocks: Vec<_> = blocks(&text).into_iter().filter(is_wanted).collect();
    assert!(when == When::Stopped || !blocks.is_empty(), "{document} has nothing to type");
    let mut bash = bash(path);
    bash.arg("-c").arg(session(&blocks, &demo.address())).current_dir(demo.home());
    // As if the demo listened where the documents say.
    let output = bash.env("NEMO_SERVER", demo.url()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{document} does not work:\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// The command with which the README starts the demo; on a free port, and without other calls than the user's.
fn as_the_readme_does(path: &OsStr) -> impl Fn(&Path) -> Command {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let serving =
        blocks(&readme).into_iter().find(|block| block.text.contains(SERVE)).expect("it starts the demo");
    move |home| {
        let mut bash = bash(path);
        bash.arg("-c")
            .arg(format!("exec {} --quiet --listen 127.0.0.1:0", serving.text.trim()))
            .current_dir(home);
        bash
    }
}

/// A shell that finds what was installed, and nothing of the environment of the tests.
fn bash(path: &OsStr) -> Command {
    let mut bash = Command::new("bash");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NEMO_") {
            bash.env_remove(name);
        }
    }
    bash.env("PATH", path);
    bash
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_documents_tell_new_users_to_type_works() {
    let home = new_home();
    let path = install(home.path());
    let mut demo = Demo::start_as(home, &as_the_readme_does(&path)).await;

    let seen = type_in(&demo, &path, "README.md", When::Serving);
    assert_eq!(seen.matches("This answer is simulated.").count(), 3, "curl, Python, Node: {seen}");
    let keys = demo.list(&["keys", "list", "--search", "first-call"]);
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    let calls = demo.list(&["keys", "calls", key["id"].as_str().unwrap()]);
    assert_eq!(calls.len(), 3, "the ledger has exactly the calls that were made: {calls:?}");
    assert!(
        calls.iter().all(|call| call["outcome"] == "settled" && call["evidence"] == "reported"),
        "{calls:?}"
    );
    let charged: i128 = calls.iter().map(|call| nanos(&call["cost"])).sum();
    assert!(charged > 0 && charged == nanos(&key["spend"]), "{key}");

    let quick_starts = QUICK_STARTS.map(|reader| format!("src/docs/quickstart-{reader}.md"));
    quick_starts.iter().for_each(|document| drop(type_in(&demo, &path, document, When::Serving)));
    let open: Vec<Value> =
        demo.list(&["keys", "list"]).into_iter().filter(|key| key["open_calls"] != 0).collect();
    assert!(open.is_empty(), "{open:?}");

    assert!(demo.terminate().await.success());
    quick_starts.iter().for_each(|document| drop(type_in(&demo, &path, document, When::Stopped)));
}

#[test]
fn blocks_are_found_and_left_out_as_the_documents_say() {
    let document = "text\n```sh\none\ntwo\n```\n\n<!-- not run: it builds -->\n```sh\nthree\n```\n\n```toml\nx = 1\n```\n\
                    ```python\nfour\n```\n<!-- with the server stopped -->\n```sh\nfive\n```\n";
    let block = |language: &str, text: &str, when| Block {
        language: language.to_owned(),
        text: text.to_owned(),
        when,
    };
    let expected = [
        block("sh", "one\ntwo\n", When::Serving),
        block("python", "four\n", When::Serving),
        block("sh", "five\n", When::Stopped),
    ];
    assert_eq!(blocks(document), expected);
}
