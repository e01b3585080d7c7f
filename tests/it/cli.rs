//! The command line as its users have it: the real program off a terminal and on one, against a real server.
//! `commands` has an entry for every command of the tree; what is particular to one has its own story.

mod commands;
mod corrections;
mod doctor;
mod follow;
mod init;
mod ledger;
mod local;
mod output;
mod reload;
mod spend;
mod terminal;

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::Nemo;

/// The output formats.
const FORMATS: [&str; 4] = ["table", "json", "jsonl", "csv"];

/// What a command line led to.
#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// Standard output of a command that worked.
    fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.stdout
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.ok()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The rows under the header of CSV, by column.
    fn csv(&self) -> Vec<std::collections::HashMap<String, String>> {
        let mut reader = csv::Reader::from_reader(self.ok().as_bytes());
        reader.deserialize().collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless it ended with this code, said why on stderr, and wrote no data.
    fn failed(&self, code: i32) -> &str {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        &self.stderr
    }
}

/// Runs a command to its end, with nothing on its standard input, on a thread where it may block.
async fn ran(mut command: Command) -> Ran {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().expect("the program can be run"));
    let output = output.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command line that speaks to a gateway.
async fn run(nemo: &Nemo, line: &[&str]) -> Ran {
    let mut command = nemo.cli();
    command.args(line);
    ran(command).await
}
