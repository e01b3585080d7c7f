//! The program as an operating system sees it: arguments, environment, output, signals, exit.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::{PATIENCE, until};

const LISTENING: &str = " is listening on ";
const MANAGEMENT: &str = "Management listens on ";
/// Stands in the first line behind all addresses.
const NODE: &str = "\nNode ";

/// What a process writes, as it writes it.
#[derive(Clone, Debug)]
pub(crate) struct Log(watch::Receiver<String>);

impl Log {
    /// What another process writes.
    pub(crate) fn of(source: impl Read + Send + 'static) -> Log {
        let (sender, receiver) = watch::channel(String::new());
        std::thread::spawn(move || {
            let mut lines = BufReader::new(source);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                sender.send_modify(|text| text.push_str(&String::from_utf8_lossy(&line)));
                line.clear();
            }
        });
        Log(receiver)
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        self.0.borrow().clone()
    }

    /// Waits until it contains this; fails if the process closes it before that.
    pub(crate) async fn until(&self, part: &str) {
        assert!(self.contains(part).await, "{part:?} was never written; this was:\n{}", self.text());
    }

    async fn contains(&self, part: &str) -> bool {
        self.contains_within(PATIENCE, part).await
    }

    async fn contains_within(&self, patience: Duration, part: &str) -> bool {
        let mut receiver = self.0.clone();
        let waiting = receiver.wait_for(|text| text.contains(part));
        matches!(tokio::time::timeout(patience, waiting).await, Ok(Ok(_)))
    }

    /// Waits until the process has closed it.
    async fn whole(&self) -> String {
        let mut receiver = self.0.clone();
        while receiver.changed().await.is_ok() {}
        self.text()
    }
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Exited {
    /// How.
    pub(crate) status: ExitStatus,
    /// All that it wrote to standard output.
    pub(crate) stdout: String,
    /// All that it wrote to standard error.
    pub(crate) stderr: String,
}

impl fmt::Display for Exited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A gateway that listens. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// For inference.
    pub(super) address: SocketAddr,
    /// For management; the same unless configured.
    pub(super) management: SocketAddr,
    /// Whether both speak TLS.
    pub(super) has_tls: bool,
    pub(super) stdout: Log,
    pub(super) stderr: Log,
}

impl Process {
    /// Starts `nemo serve` and waits until it listens, or until it has given up.
    pub(super) async fn serve(config: &Path, env: &[(String, String)]) -> Result<Process, Exited> {
        let mut command = nemo();
        command.arg("serve").arg("--config").arg(config).envs(env.iter().cloned());
        Process::start(command, PATIENCE).await
    }

    /// Starts a command that serves and waits until it listens, or until it has given up.
    pub(super) async fn start(mut command: Command, patience: Duration) -> Result<Process, Exited> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be run");
        let stdout = Log::of(child.stdout.take().expect("piped"));
        let stderr = Log::of(child.stderr.take().expect("piped"));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut process =
            Process { child, address: nowhere, management: nowhere, has_tls: false, stdout, stderr };
        if !process.stdout.contains_within(patience, NODE).await {
            return Err(process.until_exit().await);
        }
        let text = process.stdout.text();
        let url = |mark| text.split_once(mark)?.1.split_whitespace().next()?.split_once("://");
        let behind = |mark| url(mark).and_then(|(_, address)| address.parse().ok());
        process.has_tls = url(LISTENING).is_some_and(|(scheme, _)| scheme == "https");
        process.address = behind(LISTENING).unwrap_or_else(|| panic!("no address in {text:?}"));
        process.management = behind(MANAGEMENT).unwrap_or(process.address);
        Ok(process)
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a process that has not been waited for can be signalled");
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits until it has ended.
    pub(super) async fn until_exit(&mut self) -> Exited {
        let child = std::sync::Mutex::new(&mut self.child);
        let ended = || async { child.lock().unwrap().try_wait().expect("it is our child") };
        let status = until("the process ends", ended).await;
        Exited { status, stdout: self.stdout.whole().await, stderr: self.stderr.whole().await }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a process that has ended already, neither says anything new.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what nemo logged ---\n{}", self.stderr.text());
        }
    }
}

/// The program, without anything that the environment of the tests says about it.
pub(crate) fn nemo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nemo"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NEMO_") {
            command.env_remove(name);
        }
    }
    command
}
