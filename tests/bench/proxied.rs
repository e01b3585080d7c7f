//! What Nemo adds to a call, beside nginx as a plain reverse proxy to the same provider in the same run.
//! `cargo bench --bench proxied`; needs nginx. Times are of this machine; the ratios are what counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark"
)]
#![allow(dead_code, unused_imports, reason = "shares the tests' scripted provider and uses a part of it")]

#[path = "../it/fake_provider/mod.rs"]
mod fake_provider;

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fake_provider::{Behaviour, FakeProvider, UsdPerMillion};
use serde_json::json;

const CALLS: usize = 20_000;
const CALLERS: usize = 16;
const ALONE: usize = 2_000;
const STREAMS: usize = 200;

#[tokio::main]
async fn main() {
    let provider = FakeProvider::start().await;
    provider.set_price("gpt-4o-mini", UsdPerMillion { input: "0.15", cached: "0.075", output: "0.6" });
    provider.script(Behaviour::success(20, 20));
    let home = tempfile::tempdir().unwrap();
    let nemo = Server::nemo(home.path(), &provider);
    println!("memory at rest: nemo {} MiB resident", nemo.resident_kib() / 1024);
    let nginx = Server::nginx(home.path(), &provider);
    let key = nemo_key(&nemo, home.path()).await;
    let direct = Target { url: provider.base_url(), key: provider.key() };
    let plain = Target { url: format!("{}/v1", nginx.url), key: provider.key() };
    let proxied = Target { url: format!("{}/v1", nemo.url), key };

    println!("\none caller, {ALONE} calls one after the other, median (99th percentile):");
    for target in [&direct, &plain, &proxied] {
        alone(target, ALONE / 10).await;
    }
    let [bare, through_nginx, through_nemo] =
        [alone(&direct, ALONE).await, alone(&plain, ALONE).await, alone(&proxied, ALONE).await];
    let sync = fdatasync(home.path());
    for (name, times) in [("provider alone", &bare), ("nginx", &through_nginx), ("nemo", &through_nemo)] {
        println!("  {name:15} {:7.0} µs ({:.0} µs)", micros(times, 50), micros(times, 99));
    }
    println!("  fdatasync of 4 KiB on this disk: {:.0} µs", micros(&sync, 50));
    let added = micros(&through_nemo, 50) - micros(&bare, 50);
    println!(
        "  nemo adds {added:.0} µs, of which beyond two fdatasyncs {:.0} µs",
        added - 2.0 * micros(&sync, 50)
    );

    println!("\n{CALLERS} callers, {CALLS} calls, processor time of the server:");
    for (name, server, target) in [("nginx", &nginx, &plain), ("nemo", &nemo, &proxied)] {
        let before = server.cpu();
        let begun = Instant::now();
        together(target).await;
        let (cpu, took) = (server.cpu() - before, begun.elapsed());
        println!(
            "  {name:15} {:7.1} µs a call, {:.0} calls/s",
            cpu.as_secs_f64() * 1e6 / CALLS as f64,
            CALLS as f64 / took.as_secs_f64()
        );
    }

    println!("\nfirst byte of a paced stream (20 ms a chunk), {STREAMS} streams, median:");
    provider.script(Behaviour::success(20, 20).chunks(3).each_chunk_after(Duration::from_millis(20)));
    let [bare, streamed] = [first_bytes(&direct).await, first_bytes(&proxied).await];
    println!(
        "  provider alone {:.2} ms, nemo {:.2} ms",
        micros(&bare, 50) / 1e3,
        micros(&streamed, 50) / 1e3
    );
    let added = (micros(&streamed, 50) - micros(&bare, 50)) / 1e3;
    println!(
        "  nemo adds {added:.2} ms, of which beyond one fdatasync {:.2} ms",
        added - micros(&sync, 50) / 1e3
    );
    println!("\nmemory after all of it: nemo {} MiB resident", nemo.resident_kib() / 1024);
}

struct Target {
    url: String,
    key: String,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap()
}

impl Target {
    fn request(&self, client: &reqwest::Client, stream: bool) -> reqwest::RequestBuilder {
        let body = json!({
            "model": "gpt-4o-mini", "max_tokens": 50, "stream": stream,
            "messages": [{"role": "user", "content": "Say something of about eighty characters, as callers of this do all day."}],
        });
        client.post(format!("{}/chat/completions", self.url)).bearer_auth(&self.key).json(&body)
    }
}

async fn alone(target: &Target, calls: usize) -> Vec<Duration> {
    let client = client();
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        let answer = target.request(&client, false).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.bytes().await.unwrap();
        times.push(begun.elapsed());
    }
    times
}

async fn together(target: &Target) {
    let client = client();
    let callers = (0..CALLERS).map(|_| async {
        for _ in 0..CALLS / CALLERS {
            let answer = target.request(&client, false).send().await.unwrap();
            assert!(answer.status().is_success());
            answer.bytes().await.unwrap();
        }
    });
    futures_util::future::join_all(callers).await;
}

async fn first_bytes(target: &Target) -> Vec<Duration> {
    let client = client();
    let mut times = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let begun = Instant::now();
        let mut answer = target.request(&client, true).send().await.unwrap();
        answer.chunk().await.unwrap().unwrap();
        times.push(begun.elapsed());
        while answer.chunk().await.unwrap().is_some() {}
    }
    times
}

fn fdatasync(dir: &Path) -> Vec<Duration> {
    let mut file = fs::File::create(dir.join("sync")).unwrap();
    let sync = |_| {
        let begun = Instant::now();
        file.write_all(&[0; 4096]).unwrap();
        file.sync_data().unwrap();
        begun.elapsed()
    };
    (0..500).map(sync).collect()
}

fn micros(times: &[Duration], percentile: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[(sorted.len() * percentile / 100).min(sorted.len() - 1)].as_secs_f64() * 1e6
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn nemo(home: &Path, provider: &FakeProvider) -> Server {
        fs::write(home.join("provider-key"), provider.key()).unwrap();
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n\n[[providers]]\nname = \"fake\"\ncatalogue = \
             \"openai\"\nbase_url = \"{}\"\napi_key_file = {:?}\n",
            home.join("data"),
            provider.base_url(),
            home.join("provider-key"),
        );
        fs::write(home.join("nemo.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nemo"))
            .args(["serve", "--config"])
            .arg(home.join("nemo.toml"))
            .env("NEMO_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split(" on ").nth(1).unwrap().trim().to_owned();
        Server { child, url }
    }

    fn nginx(home: &Path, provider: &FakeProvider) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "daemon off; worker_processes 1; error_log stderr warn; pid {0}/nginx.pid;\nevents {{}}\nhttp {{\n\
             access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;\n\
             uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
             upstream provider {{ server {1}; keepalive 64; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://provider; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; }} }} }}\n",
            home.display(),
            provider.address(),
        );
        fs::write(home.join("nginx.conf"), config).unwrap();
        let child = Command::new("nginx").arg("-c").arg(home.join("nginx.conf")).spawn();
        let child = child.expect("nginx is not installed: run scripts/bench");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Server { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// Processor time of the process and its children.
    fn cpu(&self) -> Duration {
        let pids = std::iter::once(self.child.id()).chain(children(self.child.id()));
        pids.map(cpu_of).sum()
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's workers end with their master, which takes TERM for that.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn cpu_of(pid: u32) -> Duration {
    const TICKS_PER_SEC: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    Duration::from_secs_f64(ticks / TICKS_PER_SEC)
}

async fn nemo_key(nemo: &Server, home: &Path) -> String {
    let master = fs::read_to_string(home.join("data/secrets/master-key")).unwrap();
    let post = |path: &str, body: serde_json::Value| {
        let request = client().post(format!("{}{path}", nemo.url)).bearer_auth(master.trim()).json(&body);
        async move {
            request
                .send()
                .await
                .unwrap()
                .error_for_status()
                .unwrap()
                .json::<serde_json::Value>()
                .await
                .unwrap()
        }
    };
    let org = post("/api/orgs", json!({"name": "bench"})).await["org"]["id"].clone();
    let limits = json!({"budgets": [{"window": "month", "limit": "1000000"}]});
    let key = post("/api/keys", json!({"org": org, "name": "bench", "limits": limits})).await;
    key["secret"].as_str().unwrap().to_owned()
}
