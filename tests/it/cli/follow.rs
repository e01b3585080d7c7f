//! `nemo keys timeline --follow`: what there is, then what comes, across a restart of the server.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Key, Log, Nemo, until};

/// A follower that is running.
struct Following {
    child: Child,
    stdout: Log,
    stderr: Log,
}

impl Following {
    fn of(mut command: Command, key: &Key, more: &[&str]) -> Following {
        command.args(["keys", "timeline", key.id(), "--follow"]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = Log::of(child.stdout.take().unwrap());
        let stderr = Log::of(child.stderr.take().unwrap());
        Following { child, stdout, stderr }
    }

    /// Ends it as Ctrl-C does; its exit code.
    async fn interrupted(mut self) -> (i32, Log) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        (self.ended().await, self.stdout)
    }

    async fn ended(&mut self) -> i32 {
        let child = std::sync::Mutex::new(&mut self.child);
        let status = until("it ends", || async { child.lock().unwrap().try_wait().unwrap() }).await;
        status.code().unwrap_or(-1)
    }
}

/// Stands in front of a gateway that changes its port when it is started again.
async fn front(nemo: &Nemo) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let nemo = nemo.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Some(gateway) = nemo.address_if_running() else { continue };
            tokio::spawn(async move {
                if let Ok(mut gateway) = TcpStream::connect(gateway).await {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut gateway).await;
                }
            });
        }
    });
    format!("http://{address}")
}

fn revisions(text: &str) -> Vec<u64> {
    let revision = |line: &str| serde_json::from_str::<Value>(line).unwrap()["revision"].as_u64().unwrap();
    text.lines().map(revision).collect()
}

#[tokio::test]
async fn each_event_is_told_once_and_in_order_though_the_server_restarts_meanwhile() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let mut command = nemo.cli();
    command.env("NEMO_SERVER", front(&nemo).await);
    let mut following = Following::of(command, &key, &["--output", "jsonl", "--limit", "6"]);
    following.stdout.until("KeyCreated").await;
    key.chat(json!({})).await.ok();
    following.stdout.until("CallSettled").await;
    nemo.kill9().await;
    following.stderr.until("cannot be reached").await;
    nemo.restart().await;
    following.stderr.until("is back").await;
    key.chat(json!({})).await.ok();
    key.tell("block", json!({})).await;
    assert_eq!(following.ended().await, 0, "as many as were wanted");
    // It may have ended before all that it said was read.
    following.stdout.until("KeyBlocked").await;
    assert_eq!(revisions(&following.stdout.text()), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn ctrl_c_ends_it_in_good_order_and_a_whole_document_is_not_promised() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let document = super::run(&nemo, &["keys", "timeline", key.id(), "--follow", "--output", "json"]).await;
    assert!(document.failed(2).contains("jsonl"), "{document:?}");
    for output in ["csv", "table"] {
        let following = Following::of(nemo.cli(), &key, &["--output", output]);
        following.stdout.until("KeyCreated").await;
        key.tell("block", json!({})).await;
        following.stdout.until("KeyBlocked").await;
        let (code, stdout) = following.interrupted().await;
        assert_eq!(code, 0);
        let text = stdout.text();
        let headings = text.lines().filter(|line| line.to_lowercase().starts_with("rev")).count();
        assert_eq!(headings, 1, "one line of names: {text}");
        key.tell("unblock", json!({})).await;
    }
}

#[tokio::test]
async fn a_server_that_never_answered_is_told_at_once() {
    let nemo = Nemo::start().await;
    let key = nemo.rich_key().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = nemo.cli();
    command.env("NEMO_SERVER", format!("http://{nobody}"));
    let mut following = Following::of(command, &key, &[]);
    assert_eq!(following.ended().await, 6);
}
