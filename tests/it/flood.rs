//! A flood of requests that are all refused: keys that nobody knows, from many addresses, keys whose budget or rate is
//! used up, bodies that are too large. It delays no revoke beyond its share of the machine, grows neither memory nor
//! ledger, and costs nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::fake_provider::Behaviour;
use crate::harness::{Key, Nemo, PATIENCE, Setup, until, well_formed_key};

/// Requests of the flood that are under way at any moment.
const AT_ONCE: usize = 32;
/// How many are sent before memory is looked at for the first time: pools, caches and arenas are warm then.
const WARM: usize = 2_000;
/// And in all, at least.
const WHOLE: usize = 8_000;
/// What the rest may add to memory: a third of what their bodies are.
const GROWTH_AT_MOST: i64 = 16 << 20;
const REVOKES: usize = 15;
/// A revoke is one of so many requests that the gateway is at, and shares two workers with them and with the flood's
/// own senders: it may take so many times as long as in quiet, and no more.
const SHARE: u32 = 2 * AT_ONCE as u32;
/// Below this a quiet revoke is too quick to be a measure.
const TICK: Duration = Duration::from_millis(2);

/// Who sends it.
struct Flood<'a> {
    nemo: &'a Nemo,
    http: Client,
    poor: Key,
    hasty: Key,
    body: String,
    sent: AtomicUsize,
    ends: AtomicBool,
    statuses: Mutex<BTreeMap<(usize, u16), usize>>,
}

impl<'a> Flood<'a> {
    async fn prepare(nemo: &'a Nemo) -> Flood<'a> {
        let poor = nemo.key(json!({"budgets": [{"window": "day", "limit": "0.0001"}]})).await;
        let hasty = nemo.key(json!({"unlimited": true, "requests_per_minute": 1})).await;
        hasty.chat(json!({})).await.ok();
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let body = poor.body(json!({"max_tokens": 5000})).to_string();
        let (sent, ends, statuses) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::default());
        Flood { nemo, http, poor, hasty, body, sent, ends, statuses }
    }

    /// Sends until it is told to end.
    async fn flow(&self) {
        join_all((0..AT_ONCE).map(|_| self.one_after_the_other())).await;
    }

    async fn one_after_the_other(&self) {
        while !self.ends.load(Ordering::SeqCst) {
            let nth = self.sent.fetch_add(1, Ordering::SeqCst);
            let answer = self.request(nth).send().await.expect("an answer");
            let status = answer.status().as_u16();
            drop(answer.bytes().await);
            *self.statuses.lock().unwrap().entry((nth % 5, status)).or_default() += 1;
        }
    }

    /// The nth request: each kind in turn.
    fn request(&self, nth: usize) -> RequestBuilder {
        let address = format!("198.{}.{}.{}", 18 + nth / 65_536, nth / 256 % 256, nth % 256);
        let post = self.http.post(self.nemo.url("/v1/chat/completions"));
        let post = post.header("x-forwarded-for", address).header("content-type", "application/json");
        match nth % 5 {
            0 => post
                .bearer_auth(well_formed_key(&format!("{nth:011}"), &"0".repeat(36)))
                .body(self.body.clone()),
            1 => post.bearer_auth(format!("sk-nemo-{nth}")).body(self.body.clone()),
            2 => post.bearer_auth(self.poor.secret()).body(self.body.clone()),
            3 => post.bearer_auth(self.hasty.secret()).body(self.body.clone()),
            _ => post.bearer_auth(self.poor.secret()).body("x".repeat(40_000)),
        }
    }

    async fn until_sent(&self, count: usize) {
        until("so many were sent", || async { (self.sent.load(Ordering::SeqCst) >= count).then_some(()) })
            .await;
    }

    /// The statuses that each kind got.
    fn answers(&self) -> Vec<Vec<u16>> {
        let statuses = self.statuses.lock().unwrap();
        (0..5)
            .map(|kind| statuses.keys().filter(|(of, _)| *of == kind).map(|(_, status)| *status).collect())
            .collect()
    }
}

/// How long revokes take, one after the other; the median.
async fn revokes(nemo: &Nemo) -> Duration {
    let mut took = Vec::new();
    for _ in 0..REVOKES {
        let key = nemo.rich_key().await;
        let began = Instant::now();
        key.tell("revoke", json!({})).await;
        took.push(began.elapsed());
        key.get("/v1/key").await.refused(401, "key_revoked");
    }
    took.sort();
    took[REVOKES / 2]
}

/// Memory that is in use, in bytes.
fn resident(nemo: &Nemo) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", nemo.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refused_requests_delays_no_revoke_and_grows_neither_memory_nor_ledger() {
    let nemo =
        Setup::default().server("trusted_proxies = [\"127.0.0.1\"]\nbody_max_bytes = 20000").start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let flood = Flood::prepare(&nemo).await;
    let (requests, began) = (nemo.provider().request_count(), Instant::now());
    let quiet = revokes(&nemo).await;
    let measured = async {
        flood.until_sent(WARM).await;
        let before = resident(&nemo);
        let under_flood = revokes(&nemo).await;
        flood.until_sent(WHOLE).await;
        let grown = resident(&nemo) - before;
        flood.ends.store(true, Ordering::SeqCst);
        (before, grown, under_flood)
    };
    let ((before, grown, under_flood), ()) = join(measured, flood.flow()).await;
    let sent = flood.sent.load(Ordering::SeqCst);
    println!(
        "{sent} refused requests in {:?}: revoke {quiet:?} in quiet, {under_flood:?} under the flood (medians of \
         {REVOKES}); {} MiB, grown by {} KiB",
        began.elapsed(),
        before >> 20,
        grown >> 10
    );

    assert!(under_flood <= quiet.max(TICK) * SHARE, "{quiet:?} -> {under_flood:?}");
    assert!(grown <= GROWTH_AT_MOST, "{before} bytes and {grown} more");
    assert_eq!(flood.answers(), [vec![401], vec![401], vec![402], vec![429], vec![413]]);
    assert_eq!(nemo.provider().request_count(), requests, "nothing was sent");
    // Written once a minute, whatever came in between.
    let minutes = usize::try_from(began.elapsed().as_secs() / 60).unwrap() + 2;
    for key in [&flood.poor, &flood.hasty] {
        let written = key.history().await.iter().filter(|kind| *kind == "CallsRefused").count();
        assert!(written <= minutes, "{written} events in {minutes} minutes");
    }
    let told: Value = flood.poor.shown().await;
    assert_eq!(told["open_calls"]["count"], 0, "{told}");
}
