//! Outage after outage, with callers who go on trying: nothing of them stays in the process, and what waited for
//! the server is written in its order.

use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nemo_eventstoredb_simulator::Calls;
use rustix::process::Signal;
use serde_json::json;

use crate::fake_provider::{Behaviour, Phase};
use crate::harness::{Answer, INPUT, Key, Nemo, OUTPUT, Setup, until};

/// An authorisation's two seconds, and time for a busy machine.
const SOON: Duration = Duration::from_secs(6);
/// What every call of these tests costs.
const COST: i128 = 9 * INPUT + 7 * OUTPUT;

async fn gateway() -> Nemo {
    let nemo = Setup::default().on_simulated(1).store("timeout_secs = 1").start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    nemo
}

async fn status_of(nemo: &Nemo, path: &str) -> u16 {
    Answer::of(nemo.http().get(nemo.url(path))).await.status
}

/// What a process has: threads, open files, and KiB of memory.
#[derive(Clone, Copy, Debug)]
struct Has {
    threads: u64,
    files: u64,
    kib: u64,
}

impl Has {
    fn now(nemo: &Nemo) -> Has {
        let proc = format!("/proc/{}", nemo.pid());
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says so");
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let files = fs::read_dir(format!("{proc}/fd")).unwrap().count() as u64;
        Has { threads: number("Threads:"), files, kib: number("VmRSS:") }
    }
}

/// How the server is not there.
#[derive(Clone, Copy, Debug)]
enum Outage {
    Away,
    Hangs,
}

/// The server is gone while so many callers try, then is back. Everybody is told so in time, and all is well again.
async fn live_through(nemo: &Nemo, keys: &[Key], outage: Outage) {
    let server = nemo.server().unwrap();
    let requests = nemo.provider().request_count();
    match outage {
        Outage::Away => server.stop(),
        Outage::Hangs => server.hang(Calls::Everything),
    }
    let told = join_all(keys.iter().map(|key| async {
        let began = Instant::now();
        (key.chat(json!({})).await, began.elapsed())
    }));
    for (answer, took) in told.await {
        answer.refused(503, "ledger_unavailable");
        assert!(took < SOON, "{outage:?}: {took:?}");
    }
    assert_eq!(
        (status_of(nemo, "/readyz").await, status_of(nemo, "/healthz").await),
        (503, 200),
        "{outage:?}"
    );
    assert_eq!(nemo.provider().request_count(), requests, "nothing goes out unrecorded");
    match outage {
        Outage::Away => server.start_again(),
        Outage::Hangs => server.release(Calls::Everything),
    }
    nemo.until_ready().await;
    for answer in join_all(keys.iter().map(|key| key.chat(json!({})))).await {
        answer.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_many_outages_and_hundreds_of_refusals_stays_in_the_process() {
    const KEYS: usize = 50;
    const OUTAGES: usize = 8;
    let nemo = gateway().await;
    let keys = join_all((0..KEYS).map(|_| nemo.rich_key())).await;
    let both = [Outage::Away, Outage::Hangs];
    // What is made once and kept is made here.
    for outage in both {
        live_through(&nemo, &keys, outage).await;
    }
    let before = Has::now(&nemo);
    for outage in both.into_iter().cycle().take(OUTAGES) {
        live_through(&nemo, &keys, outage).await;
    }
    // What was refused in the end is written, and what was given up ends, in a moment. A few threads come and go
    // with whatever is asked of the disk; one for each outage would be more.
    let after = until("files and threads are those that there were", || async {
        let now = Has::now(&nemo);
        (now.threads <= before.threads + 3 && now.files <= before.files + 4).then_some(now)
    })
    .await;
    println!("{OUTAGES} outages, {} refused calls: before {before:?}, after {after:?}", OUTAGES * KEYS);
    assert!(after.kib < before.kib + 16 * 1024, "before {before:?}, after {after:?}");
    let server = nemo.server().unwrap().counts();
    assert!(server.open_connections <= 2 && server.open_subscriptions <= 2, "{server:?}");
    for key in &keys {
        let calls = key.books_balance().await;
        let settled = calls.iter().filter(|call| call.end == "CallSettled").count();
        assert_eq!((settled, key.charged().await), (OUTAGES + 2, COST * (OUTAGES as i128 + 2)));
    }
}

/// A stream for each key, whose provider has said all but its last words.
async fn almost_done(nemo: &Nemo, keys: &[Key]) -> Vec<crate::harness::Streaming> {
    nemo.provider().hold_at(Phase::BeforeLast);
    let mut streams = Vec::new();
    for (nth, key) in keys.iter().enumerate() {
        let mut stream = key.stream(json!({})).await;
        nemo.provider().until_held(Phase::BeforeLast, nth + 1).await.unwrap();
        stream.until("data:").await;
        streams.push(stream);
    }
    streams
}

/// The calls of a key that have ended, in the order of their ends.
async fn ends_of(key: &Key) -> Vec<String> {
    let events = key.events().await.into_iter().filter(|event| event.kind() == "CallSettled");
    events.map(|event| event.data()["call"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_that_waited_for_the_server_are_written_in_their_order() {
    const CALLS: u32 = 5;
    let nemo = gateway().await;
    let key = nemo.rich_key().await;
    nemo.provider().hold_at(Phase::FirstByte);
    let mut asked = Vec::new();
    for nth in 0..CALLS {
        // Those that came last are ready first.
        let pace = Duration::from_millis(60) * (CALLS - nth);
        nemo.provider().script_next([Behaviour::success(9, 7).each_chunk_after(pace)]);
        let key = key.clone();
        asked.push(tokio::spawn(async move { key.chat(json!({"stream": true})).await }));
        nemo.provider().until_held(Phase::FirstByte, nth as usize + 1).await.unwrap();
    }
    let authorised: Vec<String> = key.calls().await.into_iter().map(|call| call.id).collect();
    let server = nemo.server().unwrap();
    server.stop();
    until("the node knows", || async { (status_of(&nemo, "/readyz").await == 503).then_some(()) }).await;
    nemo.provider().release();
    nemo.provider().until_settled().await.unwrap();
    server.start_again();
    for answer in asked {
        let answer = answer.await.unwrap();
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
    key.books_balance().await;
    let expected: Vec<String> = authorised.into_iter().rev().collect();
    assert_eq!(ends_of(&key).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_server_hangs_ends_in_time() {
    let nemo =
        Setup::default().on_simulated(1).store("timeout_secs = 1").server("drain_secs = 2").start().await;
    nemo.provider().script(Behaviour::success(9, 7));
    let keys = [nemo.rich_key().await, nemo.rich_key().await];
    let streams = almost_done(&nemo, &keys).await;
    nemo.server().unwrap().hang(Calls::Everything);
    nemo.provider().release();
    let began = Instant::now();
    nemo.signal(Signal::TERM);
    for stream in streams {
        let tail = stream.rest().await;
        assert!(!tail.is_done(), "its bill cannot be there: {}", tail.text());
    }
    let exited = nemo.until_exit().await;
    assert!(exited.status.success(), "{exited}");
    println!("stopped after {:?}", began.elapsed());
    nemo.server().unwrap().release(Calls::Everything);
    nemo.restart().await;
    for key in &keys {
        key.books_balance().await;
        assert_eq!(key.calls().await.len(), 1);
    }
}

/// A whole minute, as operators know it. By hand: `cargo test --features failpoints --test it -- --ignored
/// --nocapture a_whole_minute`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute and a half; the shorter ones look at the same"]
async fn a_whole_minute_without_the_server_is_lived_through() {
    let nemo = gateway().await;
    let keys = join_all((0..8).map(|_| nemo.rich_key())).await;
    let other = nemo.rich_key().await;
    let streams = almost_done(&nemo, &keys).await;
    let before = Has::now(&nemo);
    let began = Instant::now();
    nemo.server().unwrap().stop();
    until("the node knows", || async { (status_of(&nemo, "/readyz").await == 503).then_some(()) }).await;
    nemo.provider().release();
    let listening = tokio::spawn(async move {
        let began = Instant::now();
        let tails = join_all(streams.into_iter().map(crate::harness::Streaming::rest)).await;
        (tails, began.elapsed())
    });
    let (mut refused, mut longest) = (0, Duration::ZERO);
    while began.elapsed() < Duration::from_secs(60) {
        let asked = Instant::now();
        other.chat(json!({})).await.refused(503, "ledger_unavailable");
        longest = longest.max(asked.elapsed());
        refused += 1;
        assert_eq!((status_of(&nemo, "/readyz").await, status_of(&nemo, "/healthz").await), (503, 200));
    }
    let (tails, waited) = listening.await.unwrap();
    for tail in &tails {
        assert_eq!(tail.error_code().as_deref(), Some("ledger_unavailable"), "{}", tail.text());
    }
    let during = Has::now(&nemo);
    nemo.server().unwrap().start_again();
    let back = Instant::now();
    nemo.until_ready().await;
    let ready = back.elapsed();
    other.chat(json!({})).await.ok();
    for (key, tail) in keys.iter().zip(&tails) {
        let call = key.only_call().await;
        assert!(tail.text().contains(&call.id), "{}", tail.text());
        assert_eq!((call.end.as_str(), call.charged()), ("CallSettled", COST));
        key.books_balance().await;
    }
    println!(
        "{refused} calls refused, the slowest after {longest:?}; last words given up after {waited:?}; ready \
         {ready:?} after the server was back; {before:?}, during {during:?}, after {:?}",
        Has::now(&nemo)
    );
}
