//! What is looked up when somebody asks: where the node, its read model and its process stand.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;

use super::declare::metrics;
use super::labelled::{Labelled, Labels, OTHER};
use super::process::{self, Reading};
use crate::app::App;
use crate::ledger::Lag;
use crate::read_side::{Progress, State};

/// A gauge that need not be a whole number; not a number where it is not known.
type Real = Gauge<f64, AtomicU64>;

metrics! {
    /// The node's metrics.
    pub struct NodeMetrics {
        /// 1, with the program's version and the node's name.
        build: Labelled<Build, Gauge> = "nemo_build_info";
        /// 1 while new calls are taken, as `/readyz` says; else 0.
        ready: Gauge = "nemo_ready";
        /// 1 if the event store answered just now; else 0.
        store_up: Gauge = "nemo_store_up";
        /// The position of the ledger's last event, as its store counts; not a number while the store does not answer.
        head: Real = "nemo_ledger_position";
        /// The position that the read model reflects; not a number before it has any.
        position: Real = "nemo_read_model_position";
        /// How far the read model is behind the ledger, in positions; the embedded store counts one for each event.
        positions_behind: Real = "nemo_read_model_positions_behind";
        /// The age of the first event that the read model does not reflect yet; 0 when it reflects all.
        seconds_behind: Real = "nemo_read_model_seconds_behind";
        /// 1 for what the read model is doing, 0 for the rest: opening, catching_up, current, broken or damaged.
        state: Labelled<Doing, Gauge> = "nemo_read_model_state";
        /// 1 while the secrets on disk are those in force; 0 while what is on disk cannot be used.
        secrets_current: Gauge = "nemo_secrets_current";
        /// Calls in flight, from before they are authorised until their client has its answer.
        running: Gauge = "nemo_calls_running";
        /// Calls that wait for money that other calls of their key hold.
        waiting: Gauge = "nemo_calls_waiting_for_budget";
        /// Processor time that the process used.
        cpu: Reading<process::Counter> = "process_cpu_seconds";
        /// Memory of the process that is in RAM.
        memory: Reading<process::Gauge> = "process_resident_memory_bytes";
        /// Threads of the process.
        threads: Reading<process::Gauge> = "process_threads";
        /// File descriptors that the process has open.
        open_fds: Reading<process::Gauge> = "process_open_fds";
        /// File descriptors that it may have open.
        max_fds: Reading<process::Gauge> = "process_max_fds";
        /// When the process started, in seconds since 1970.
        started: Reading<process::Gauge> = "process_start_time_seconds";
    }
}

/// The program.
#[derive(Debug, EncodeLabelSet)]
pub struct Build {
    version: &'static str,
    node: String,
}

/// What the read model is doing.
#[derive(Debug, EncodeLabelSet)]
pub struct Doing {
    state: &'static str,
}

impl Labels for Build {
    const NAMES: &'static [&'static str] = &["version", "node"];
    const MOST: usize = 1;

    fn rest() -> Self {
        Self { version: OTHER, node: OTHER.to_owned() }
    }
}

impl Labels for Doing {
    const NAMES: &'static [&'static str] = &["state"];
    const MOST: usize = 8;

    fn rest() -> Self {
        Self { state: OTHER }
    }
}

const STATES: [(State, &str); 5] = [
    (State::Opening, "opening"),
    (State::CatchingUp, "catching_up"),
    (State::Current, "current"),
    (State::Broken, "broken"),
    (State::Damaged, "damaged"),
];

impl NodeMetrics {
    /// Looks everything up. Takes as long as a readiness check at most.
    pub(super) async fn look(&self, app: &App) {
        let (version, node) = (env!("CARGO_PKG_VERSION"), app.ledger.node());
        self.build.of(|_| true, || Build { version, node: node.to_string() }).set(1);
        let progress = app.read_side.progress();
        let (unready, lag) =
            tokio::join!(app.ledger.unready_reason(), app.ledger.lag_behind(progress.position));
        self.ready.set((app.lifecycle.why_no_calls().is_none() && unready.is_none()).into());
        self.secrets_current.set(app.secrets.trouble().is_none().into());
        self.running.set(i64::try_from(app.ledger.running.count()).unwrap_or(i64::MAX));
        self.waiting.set(i64::try_from(app.ledger.lines.count()).unwrap_or(i64::MAX));
        self.read_model(&progress, lag.as_ref());
        self.process();
    }

    fn read_model(&self, progress: &Progress, lag: Option<&Lag>) {
        for (state, name) in STATES {
            let doing = self.state.of(|known| known.state == name, || Doing { state: name });
            doing.set((progress.state == state).into());
        }
        let read = progress.position.map(|position| position.0);
        self.position.set(real(read));
        self.store_up.set(lag.is_some().into());
        self.head.set(real(lag.and_then(|lag| lag.head).map(|head| head.0)));
        self.positions_behind.set(real(lag.map(|lag| lag.positions)));
        self.seconds_behind.set(lag.map_or(f64::NAN, |lag| lag.micros as f64 / 1e6));
    }

    fn process(&self) {
        let process = process::Usage::now();
        self.cpu.set(process.cpu_secs);
        self.memory.set(process.resident_bytes);
        self.threads.set(process.threads);
        self.open_fds.set(process.open_fds);
        self.max_fds.set(process.max_fds);
        self.started.set(process.started_secs);
    }
}

fn real(number: Option<u64>) -> f64 {
    number.map_or(f64::NAN, |number| number as f64)
}
