//! How long a browser waits for the list of many keys, and for the page of a key with a long stream.
//!
//! `cargo bench --bench pages [-- EVENTS [KEYS]]`: a key with 1,000,000 events among 100,000 unless told otherwise.
//! Needs Node and Chromium (`scripts/setup`). First paint is what Chromium itself reports; each page is opened in a
//! window of its own, with nothing in its cache.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]
#![allow(missing_docs, reason = "a benchmark")]

mod made;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use made::Made;
use nemo_events::Timestamp;
use nemo_store::{EmbeddedStore, EventStore, embedded};
use serde_json::{Value, json};

/// Between two events of the long stream: a million of them take three days.
const STEP_MICROS: i64 = 250_000;
/// Calls that are open at the same time.
const IN_FLIGHT: usize = 20;

#[tokio::main]
async fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (events, keys) =
        (numbers.first().copied().unwrap_or(1_000_000), numbers.get(1).copied().unwrap_or(100_000));
    let home = tempfile::tempdir().unwrap();
    let config = "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"data\"\n";
    std::fs::write(home.path().join("nemo.toml"), config).unwrap();
    // The first start makes the secrets that the ledger is written with.
    Server::start(home.path()).stop();
    let began = Instant::now();
    write(&home.path().join("data"), events, keys).await;
    println!("written: {events} events of one key, {keys} keys, in {:.0?}", began.elapsed());

    let began = Instant::now();
    let server = Server::start(home.path());
    println!("listening after {:.1?}", began.elapsed());
    let key = format!("/api/keys/{}", made::key(0));
    let began = Instant::now();
    let head = server.ask(&key).await["revision"].as_u64().unwrap();
    println!("the key, folded from its first event: {:.2?}", began.elapsed());
    let began = Instant::now();
    until_caught_up(&server).await;
    println!("read model built: {:.0?}", began.elapsed());
    until_kept(home.path(), head).await;
    println!("folds kept: {:.0?} after that began", began.elapsed());
    server.stop();

    let server = Server::start(home.path());
    let began = Instant::now();
    server.ask(&key).await;
    println!("the key, from its snapshot: {:.2?}", began.elapsed());
    for part in [1, 2, 3, 7] {
        let began = Instant::now();
        server.ask(&format!("{key}/state?revision={}", head / 8 * part + 4_321)).await;
        println!("its state at {part}/8 of its life: {:.2?}", began.elapsed());
    }
    println!("memory: {} MiB resident", server.resident_kib() / 1024);
    let session = server.session().await;
    let page = format!("/keys/{}", made::key(0));
    let middle = format!("{page}?at=@{}", head / 2);
    browse(&server, &session, &["/keys", &page, &middle, &format!("{page}?address=10.0.0.5"), "/"]);
    println!("memory after that: {} MiB resident", server.resident_kib() / 1024);
    server.stop();
}

async fn write(data: &Path, events: usize, keys: usize) {
    let store = EmbeddedStore::open(data, embedded::Options::default()).unwrap();
    let now = "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let mut made = Made::default().at(now);
    made.step = 1_000;
    made.create_org("bench");
    for n in 0..keys {
        made.create(made::key(n), &format!("job {n}"));
        if made.waiting.len() >= 2_000 {
            store.append_in_order(made.take()).await.unwrap();
        }
    }
    made.step = STEP_MICROS;
    let (long, mut open, mut written) = (made::key(0), std::collections::VecDeque::new(), 1);
    for number in 0.. {
        open.push_back(made.authorize_from(long, number, &format!("10.0.0.{}", number % 50)));
        written += 1;
        if open.len() > IN_FLIGHT || written >= events {
            made.settle(long, open.pop_front().unwrap());
            written += 1;
        }
        if number % 100_000 == 99_999 {
            made.limit(long, 1_000_000);
            written += 1;
        }
        if made.waiting.len() >= 2_000 {
            store.append_in_order(made.take()).await.unwrap();
        }
        if written >= events {
            break;
        }
    }
    // Whatever is open is ended, so that nobody else has to.
    open.into_iter().for_each(|call| made.settle(long, call));
    store.append_in_order(made.take()).await.unwrap();
    store.close().await;
}

async fn until_caught_up(server: &Server) {
    while server.ask("/api/ledger").await["read_model"]["state"] != "current" {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn until_kept(home: &Path, head: u64) {
    let wanted = i64::try_from(head.saturating_add(1) / 10_000).unwrap();
    loop {
        let file = rusqlite::Connection::open(home.join("data/snapshots.sqlite")).unwrap();
        let kept = file.query_row("SELECT count(*) FROM moments", [], |row| row.get::<_, i64>(0));
        if kept.is_ok_and(|kept| kept >= wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Opens each page in Chromium and tells what it took.
fn browse(server: &Server, session: &str, pages: &[&str]) {
    let plan = json!({"url": server.url, "session": session, "pages": pages});
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/pages.mjs");
    let mut node = Command::new("node").arg(script).stdin(Stdio::piped()).spawn().expect("Node is installed");
    writeln!(node.stdin.take().unwrap(), "{plan}").unwrap();
    assert!(node.wait().unwrap().success());
}

/// The gateway.
struct Server {
    process: Child,
    url: String,
    /// What it prints.
    printed: Arc<Mutex<String>>,
    master_key: String,
    http: reqwest::Client,
}

impl Server {
    fn start(home: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_nemo"))
            .args(["serve", "--config", "nemo.toml"])
            .current_dir(home)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.by_ref().find(|line| line.contains("listening on ")).expect("it listens");
        let url = line.split("listening on ").nth(1).unwrap().trim().to_owned();
        let printed = Arc::new(Mutex::new(String::new()));
        let rest = Arc::clone(&printed);
        std::thread::spawn(move || lines.for_each(|line| *rest.lock().unwrap() += &format!("{line}\n")));
        let master_key =
            std::fs::read_to_string(home.join("data/secrets/master-key")).unwrap().trim().to_owned();
        // The cookie comes with the redirect.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { process, url, printed, master_key, http }
    }

    async fn ask(&self, path: &str) -> Value {
        loop {
            let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.master_key);
            let answer = request.send().await.unwrap();
            // A long stream is read in the end, however impatient its callers are.
            if answer.status() != 503 {
                return serde_json::from_str(&answer.error_for_status().unwrap().text().await.unwrap())
                    .unwrap();
            }
        }
    }

    /// A session's cookie, its name left out.
    async fn session(&self) -> String {
        // Nothing here needs to be encoded.
        let (code, password) = (self.code(), "Seven-Quiet-Herons");
        let form = format!("code={code}&name=bench&password={password}&again={password}");
        let request = self.http.post(format!("{}/setup", self.url)).header("origin", &self.url).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let reply = request.send().await.unwrap();
        let cookie = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
        cookie.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
    }

    /// The code of the link with which the first person signs in.
    fn code(&self) -> String {
        loop {
            let printed = self.printed.lock().unwrap().clone();
            if let Some((_, rest)) = printed.split_once("/setup#") {
                return rest.split_whitespace().next().unwrap().to_owned();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn stop(mut self) {
        let id = i32::try_from(self.process.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap();
    }
}
