//! `nemo serve --demo` in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::answer::Answer;
use super::nemo::new_home;
use super::process::{Exited, Log, Process, nemo};

/// How long thirty days of past may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Begin the last line of what it says.
const LAST_WORDS: &str = "Ctrl-C ends it";

/// A demo. Killed, and its directory removed, when it is dropped.
#[derive(Debug)]
pub(crate) struct Demo {
    process: Process,
    home: TempDir,
}

impl Demo {
    /// Starts a new one without traffic of its own.
    pub(crate) async fn start() -> Demo {
        Demo::start_with(&["--quiet"]).await
    }

    /// Starts a new one with these options.
    pub(crate) async fn start_with(options: &[&str]) -> Demo {
        Demo::start_as(new_home(), &|home: &Path| Demo::command(home, options)).await
    }

    /// Starts a new one in a directory by some command.
    pub(crate) async fn start_as(home: TempDir, command: &impl Fn(&Path) -> Command) -> Demo {
        let started = Process::start(command(home.path()), PATIENCE).await;
        let process = started.unwrap_or_else(|exited| panic!("the demo did not start: {exited}"));
        process.stdout.until(LAST_WORDS).await;
        Demo { process, home }
    }

    /// `nemo serve --demo` in a directory, on a free port.
    pub(crate) fn command(home: &Path, options: &[&str]) -> Command {
        let mut command = nemo();
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0"]).args(options).current_dir(home);
        command
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill9(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.until_exit().await;
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.until_exit().await.status
    }

    /// Starts it again where it was.
    pub(crate) async fn restart(&mut self, options: &[&str]) -> Result<(), Exited> {
        self.process = Process::start(Demo::command(self.home.path(), options), PATIENCE).await?;
        self.process.stdout.until(LAST_WORDS).await;
        Ok(())
    }

    /// The directory that it was started in.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home().join("nemo-demo")
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.process.address)
    }

    /// Its master key.
    pub(crate) fn master_key(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("secrets/master-key")).unwrap();
        text.trim().to_owned()
    }

    /// How many events its ledger has.
    pub(crate) async fn events(&self) -> u64 {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.get(format!("{}/api/ledger", self.url())).bearer_auth(self.master_key());
        Answer::of(request).await.ok()["position"].as_u64().unwrap()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.process.address.to_string()
    }

    /// What it says to people.
    pub(crate) fn stdout(&self) -> Log {
        self.process.stdout.clone()
    }

    /// Its log.
    pub(crate) fn stderr(&self) -> Log {
        self.process.stderr.clone()
    }

    /// Runs the program against it; what it wrote to standard output.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let mut command = nemo();
        command.env("NEMO_SERVER", self.url());
        command.env("NEMO_MASTER_KEY_FILE", self.data().join("secrets/master-key"));
        let output = command.args(args).current_dir(self.home()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, for a command that answers in JSON.
    pub(crate) fn ask(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.cli(&[args, &["--output", "json"]].concat())).unwrap()
    }

    /// The lines that a command lists, each JSON.
    pub(crate) fn list(&self, args: &[&str]) -> Vec<Value> {
        let text = self.cli(&[args, &["--output", "jsonl"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
