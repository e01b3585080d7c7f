//! Many callers and a manager at work while things go wrong with the server: afterwards the provider's bill, what
//! everybody was told and what is in the ledger go together, as after a crash (`crash::books`).

use std::time::Duration;

use nemo_eventstoredb_simulator::{AppendFault, LateAnswer, Simulator};

use super::every_fault;
use crate::crash::Series;
use crate::harness::{Nemo, Setup};

/// Callers at the same time.
const CALLERS: usize = 16;

/// A ledger on a cluster of so many nodes, whose node waits a second for an answer.
async fn ledger(nodes: usize) -> Series {
    Series::start_with(11, Setup::default().on_simulated(nodes).store("timeout_secs = 1")).await
}

async fn nothing_is_broken(mut series: Series) {
    assert!(series.broken().is_empty(), "{:#?}", series.broken());
    println!("{}", series.close().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_go_wrong_at_every_point() {
    let mut series = ledger(1).await;
    for fault in every_fault() {
        let nemo = series.nemo().clone();
        series.live_through(CALLERS, goes_wrong(&nemo, &fault)).await;
        assert!(series.broken().is_empty(), "{fault:?}: {:#?}", series.broken());
        nemo.server().unwrap().clear_append_faults();
    }
    nothing_is_broken(series).await;
}

/// Every third append, three times; what is held back is written while the load goes on.
async fn goes_wrong(nemo: &Nemo, fault: &AppendFault) {
    let server = nemo.server().unwrap();
    let (before, arrived) = (server.counts().faults, server.counts().appends_arrived);
    for nth in 1..=3 {
        server.until("two appends more", |counts| counts.appends_arrived >= arrived + 2 * nth).await;
        server.next_append(fault.clone());
        server.until("it went wrong", |counts| counts.faults >= before + nth).await;
        if matches!(fault, AppendFault::LateCommit(LateAnswer::Cut | LateAnswer::Timeout)) {
            server.commit_late();
        }
    }
}

/// Elects another node now and then, as fast as a cluster would at most.
async fn elections(server: &Simulator, nodes: usize, times: usize) {
    for _ in 0..times {
        let appends = server.counts().appends_committed;
        server.until("appends are written", |counts| counts.appends_committed >= appends + 5).await;
        server.elect((server.leader() + 1) % nodes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_changes() {
    let mut series = ledger(3).await;
    for _ in 0..3 {
        let nemo = series.nemo().clone();
        series.live_through(CALLERS, elections(nemo.server().unwrap(), 3, 4)).await;
        assert!(series.broken().is_empty(), "{:#?}", series.broken());
    }
    nothing_is_broken(series).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_dies_and_comes_back_as_a_follower() {
    let mut series = ledger(3).await;
    for _ in 0..3 {
        let nemo = series.nemo().clone();
        let server = nemo.server().unwrap();
        series
            .live_through(CALLERS, async {
                let (leader, appends) = (server.leader(), server.counts().appends_committed);
                server.until("appends are written", |counts| counts.appends_committed > appends + 3).await;
                server.stop_node(leader);
                server.elect((leader + 1) % 3);
                let appends = server.counts().appends_committed;
                server.until("the next one leads", |counts| counts.appends_committed > appends).await;
                server.start_node(leader);
            })
            .await;
        assert!(series.broken().is_empty(), "{:#?}", series.broken());
    }
    nothing_is_broken(series).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_server_takes_a_while() {
    let mut series = ledger(1).await;
    let nemo = series.nemo().clone();
    nemo.server().unwrap().latency(Duration::from_millis(20));
    series.live_through(CALLERS, async {}).await;
    nothing_is_broken(series).await;
}
