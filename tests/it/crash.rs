//! `kill -9` of the real program, hundreds of times, at named places of a call's life, under load: what was
//! acknowledged is there, the provider's bill never exceeds what is charged, nothing stays open (I2, I3, I4,
//! and I1 and I6 with them). With the dispatch gate taken out, the same run must notice. Where the ledger is on a
//! server, that is killed too, alone and together with the program.
//!
//! Map: `kill` the places and the plan · `load` callers and a manager while it happens · `books` what must hold
//! afterwards · `series` one ledger through many kills.

mod books;
mod kill;
mod load;
mod series;

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::join_all;
use nemo_test_stores::on_each_store;

use crate::concurrency::account::Promise;
use crate::harness::Store;
use kill::Kill;
pub(crate) use series::Series;

/// How many ledgers there are at the same time, and how often each place is reached on each of them. Over a
/// server a kill costs several times as much.
const fn extent(store: Store) -> (u64, usize) {
    match store {
        Store::Embedded => (2, 6),
        Store::EventStoreDb => (1, 3),
    }
}

#[on_each_store(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_by_kills_at_any_place() {
    let started = Instant::now();
    let (ledgers, each) = extent(Store::of_this_story());
    let mut kills: BTreeMap<Kill, usize> = BTreeMap::new();
    for (killed, ledger) in join_all((0..ledgers).map(|seed| whole_series(seed, each))).await {
        println!("      {ledger}");
        killed.into_iter().for_each(|(kill, times)| *kills.entry(kill).or_default() += times);
    }
    for (kill, times) in &kills {
        println!("{times:4}  {kill}");
    }
    println!("{:4}  kills in {:?}", kills.values().sum::<usize>(), started.elapsed());
    assert_eq!(kills.len(), kill::places(Store::of_this_story()).len(), "{kills:?}");
    assert!(kills.values().all(|times| *times as u64 >= ledgers * each as u64), "{kills:?}");
}

/// All places, each as often as planned; fails on the first broken promise.
async fn whole_series(seed: u64, each: usize) -> (BTreeMap<Kill, usize>, String) {
    let mut series = Series::start(seed, None).await;
    for kill in kill::shuffled(seed, each) {
        series.kill_until_reached(kill).await;
        series.recover().await;
        series.check().await;
        assert!(series.broken().is_empty(), "after a kill {kill}: {:#?}", series.broken());
    }
    let ledger = series.close().await.to_string();
    (series.kills(), ledger)
}

/// The mutation: callers go ahead while their authorisation is still being written.
#[on_each_store(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_dispatch_gate_the_same_run_finds_calls_that_nobody_recorded() {
    const AT_MOST: usize = 60;
    let mut series = Series::start(7, Some("no-dispatch-gate")).await;
    let plan = kill::shuffled(7, AT_MOST);
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
