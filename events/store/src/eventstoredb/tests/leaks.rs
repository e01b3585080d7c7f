//! Nothing is left behind of connections that were given up.

use std::fs;

use nemo_eventstoredb_simulator::{AppendFault, Calls};

use super::*;

/// Threads and open files of this process, and tasks of this test's runtime.
#[derive(Debug, Clone, Copy)]
struct Usage {
    threads: usize,
    files: usize,
    tasks: usize,
    kilobytes: usize,
}

fn usage() -> Usage {
    let entries = |path| fs::read_dir(path).unwrap().count();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    Usage {
        threads: entries("/proc/self/task"),
        files: entries("/proc/self/fd"),
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        kilobytes: resident.trim().trim_end_matches(" kB").parse().unwrap(),
    }
}

/// Alone in its process: other tests' threads and files would count.
async fn alone(test: &str, body: impl Future<Output = ()>) {
    const ALONE: &str = "NEMO_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body.await;
    }
    let program = std::env::current_exe().unwrap();
    let name = format!("eventstoredb::tests::leaks::{test}");
    let mut child = std::process::Command::new(program);
    child.args(["--exact", &name, "--nocapture"]).env(ALONE, "1");
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{errors}");
    assert!(out.contains("1 passed"), "the test ran: {out}");
    let told = out.lines().chain(errors.lines()).filter(|line| line.contains("kilobytes"));
    told.for_each(|line| eprintln!("{line}"));
}

fn link(store: &EventStoreDb) -> Option<Arc<Link>> {
    match &*store.shared.state.borrow() {
        State::Up(link) => Some(Arc::clone(link)),
        State::Connecting | State::Away(_) | State::Closed => None,
    }
}

async fn settles(server: &Simulator, before: Usage, what: &str) {
    // One connection and its thread are in use; the rest ends in its own time.
    server.until("only the last connection is open", |counts| counts.open_connections <= 1).await;
    in_time(async {
        loop {
            let now = usage();
            let same = now.threads <= before.threads + 1 && now.files <= before.files + 2;
            if same && now.tasks <= before.tasks + 2 {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    eprintln!("{what}: before {before:?}, after {:?}", usage());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reconnections_leave_nothing_behind() {
    alone("a_thousand_reconnections_leave_nothing_behind", async {
        let server = simulator();
        let quick = Duration::from_millis(1);
        let options = options(&server, Tuning { first_pause: quick, longest_pause: quick, ..PATIENT });
        let store = connect(&options).await;
        let mut script = Script::of_key(1);
        let mut subscription = store.subscribe_all(None).await.unwrap();
        let mut before = usage();
        for round in 0..1_000 {
            if round == 100 {
                // What is set up once is set up by now.
                before = usage();
            }
            // Whatever the link holds is given up with it, as after an append that was not answered.
            let before = link(&store).expect("the server is there");
            before.spoil();
            let mut state = store.shared.state.subscribe();
            let another = |state: &State| matches!(state, State::Up(link) if !Arc::ptr_eq(link, &before));
            in_time(state.wait_for(another)).await.unwrap();
            if round % 50 == 0 {
                in_time(async {
                    let append = script.next(1);
                    while append.send(&store).await.is_err() {
                        store.reachable().await;
                    }
                })
                .await;
                in_time(subscription.next()).await.unwrap().unwrap();
            }
        }
        settles(&server, before, "900 reconnections").await;
        let grown = usage().kilobytes.saturating_sub(before.kilobytes);
        assert!(grown < 40_000, "{grown} kB more after 900 reconnections");
        script.write(&store, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_for_long_or_hangs_costs_nothing_that_stays() {
    alone("a_server_that_is_away_for_long_or_hangs_costs_nothing_that_stays", async {
        let server = simulator();
        let quick = Duration::from_millis(1);
        let timeout = Duration::from_millis(100);
        let tuning =
            Tuning { first_pause: quick, longest_pause: quick, timeout, scan_timeout: timeout, ..PATIENT };
        let options = options(&server, tuning);
        let store = Arc::new(connect(&options).await);
        let mut script = Script::of_key(1);
        script.write(&*store, 1).await;
        // Of these nobody knows what becomes.
        let lost = Script::of_key(2);
        let before = usage();
        server.stop();
        until(&store, |reach| matches!(reach, Reach::Away { .. })).await;
        for _ in 0..10_000 {
            assert!(lost.clone().next(1).send(&*store).await.is_err());
        }
        server.start_again();
        in_time(store.reachable()).await;
        server.every_append_to("", AppendFault::Silent);
        for _ in 0..20 {
            let _ = lost.clone().next(1).send(&*store).await;
            in_time(store.reachable()).await;
        }
        server.clear_append_faults();
        server.hang(Calls::Everything);
        for _ in 0..20 {
            let _ = lost.clone().next(1).send(&*store).await;
            let _ = store.head().await;
        }
        server.release(Calls::Everything);
        in_time(store.reachable()).await;
        settles(&server, before, "away, silent, hanging").await;
        let append = script.next(1);
        in_time(async {
            while append.send(&*store).await.is_err() {
                store.reachable().await;
            }
        })
        .await;
    })
    .await;
}
