//! A client in a process of its own: loaded first, so that what it is to meet can be set up right before it runs.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

/// The clients by name.
pub(super) const CLIENTS: [&str; 2] = ["python", "node"];

/// A client that waits for cases.
pub(super) struct Sdk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sdk {
    /// Starts it and waits until it is loaded.
    pub(super) async fn loaded(name: &'static str) -> Sdk {
        let load = move || {
            let mut child = command(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            let mut output = BufReader::new(output);
            let mut ready = String::new();
            output.read_line(&mut ready).unwrap();
            assert!(ready.contains("ready"), "{name} does not load: {ready:?}");
            Sdk { child, input, output }
        };
        spawn_blocking(load).await.unwrap()
    }

    /// Runs cases one after the other, as slowly as the client wants; what their user saw, in order.
    pub(super) async fn one_by_one(self, base_url: &str, cases: Vec<Value>) -> Vec<Value> {
        self.run(json!({ "base_url": base_url, "at_once": false, "cases": cases })).await
    }

    /// Runs all cases at the same time, and notes what the client would wait instead of waiting.
    pub(super) async fn at_once(self, base_url: &str, cases: Vec<Value>) -> Vec<Value> {
        self.run(json!({ "base_url": base_url, "at_once": true, "cases": cases })).await
    }

    async fn run(mut self, plan: Value) -> Vec<Value> {
        let run = move || {
            self.input.write_all(plan.to_string().as_bytes()).unwrap();
            drop(self.input);
            let seen: Vec<Value> =
                self.output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
            assert!(self.child.wait().unwrap().success(), "the client failed");
            assert_eq!(seen.len(), plan["cases"].as_array().unwrap().len());
            seen
        };
        spawn_blocking(run).await.unwrap()
    }
}

fn command(name: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut command, script) = match name {
        "python" => (python(), "tests/sdk/client.py"),
        _ => (Command::new("node"), "tests/sdk/client.mjs"),
    };
    command.arg(root.join(script));
    command
}

/// Python with what `tests/sdk/requirements.txt` names.
pub(crate) fn python() -> Command {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let python = target.join("sdk/venv/bin/python");
    assert!(python.exists(), "the Python client is not installed: run scripts/setup");
    Command::new(python)
}
