//! `kill -9` of the real program, hundreds of times, at named places of a call's life, under load: what was
//! acknowledged is there, the provider's bill never exceeds what is charged, nothing stays open (I2, I3, I4,
//! and I1 and I6 with them). With the dispatch gate taken out, the same run must notice.
//!
//! Map: `kill` the places and the plan · `load` callers and a manager while it happens · `books` what must hold
//! afterwards · `series` one ledger through many kills.

mod books;
mod kill;
mod load;
mod series;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::concurrency::account::Promise;
use kill::{Kill, PLACES};
use series::Series;

/// Each of them has a ledger of its own.
const SERIES: u64 = 2;
/// How often each place is reached in each series.
const EACH: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_by_kills_at_any_place() {
    let started = Instant::now();
    let running: Vec<_> = (0..SERIES).map(|seed| tokio::spawn(whole_series(seed))).collect();
    let mut kills: BTreeMap<Kill, usize> = BTreeMap::new();
    for series in running {
        let (killed, ledger) = series.await.expect("the series holds");
        println!("      {ledger}");
        killed.into_iter().for_each(|(kill, times)| *kills.entry(kill).or_default() += times);
    }
    for (kill, times) in &kills {
        println!("{times:4}  {kill}");
    }
    let all: usize = kills.values().sum();
    println!("{all:4}  kills in {:?}", started.elapsed());
    assert!(all >= 200 && kills.len() >= PLACES.len(), "{kills:?}");
    assert!(kills.values().all(|times| *times >= 10), "{kills:?}");
}

/// All places, each as often as planned; fails on the first broken promise.
async fn whole_series(seed: u64) -> (BTreeMap<Kill, usize>, String) {
    let mut series = Series::start(seed, None).await;
    for kill in kill::shuffled(seed, EACH) {
        series.kill_until_reached(kill).await;
        series.recover().await;
        series.check().await;
        assert!(series.broken().is_empty(), "after a kill {kill}: {:#?}", series.broken());
    }
    let ledger = series.close().await.to_string();
    (series.kills(), ledger)
}

/// The mutation: callers go ahead while their authorisation is still being written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_dispatch_gate_the_same_run_finds_calls_that_nobody_recorded() {
    const AT_MOST: usize = 60;
    let mut series = Series::start(7, Some("no-dispatch-gate")).await;
    let plan = kill::shuffled(7, EACH);
    for (kills, kill) in plan.into_iter().take(AT_MOST).enumerate() {
        series.kill_once(kill).await;
        series.recover().await;
        series.check().await;
        if series.broken().iter().any(|broken| broken.0 == Promise::NothingUnrecorded) {
            println!("found after {} kills: {:?}", kills + 1, series.broken());
            return;
        }
    }
    panic!("{AT_MOST} kills, and nobody noticed: {:?}", series.broken());
}
