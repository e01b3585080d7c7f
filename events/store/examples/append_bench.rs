//! Appends per second with group commit, and events per second of a replay, with events of about 1 kB.
//!
//! `append_bench [--producers 64] [--streams 10000] [--seconds 10] [--preload 500000] [--dir DIR]`
//! Each producer appends one event at a time and waits for it to be durable. A ledger that is in DIR
//! already is only replayed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nemo_store::contract::Script;
use nemo_store::embedded::{EmbeddedStore, Options};
use nemo_store::{EventStore, MAX_PAGE};

type Failure = Box<dyn std::error::Error>;

/// What the command line says, as numbers by name.
struct Settings(BTreeMap<String, u64>);

impl Settings {
    fn get(&self, name: &str, default: u64) -> u64 {
        self.0.get(name).copied().unwrap_or(default).max(1)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (settings, dir) = settings()?;
    let scratch = std::env::temp_dir().join(format!("nemo-append-bench-{}", std::process::id()));
    let dir = dir.unwrap_or_else(|| scratch.clone());
    let store = Arc::new(EmbeddedStore::open(&dir, Options::default())?);
    if store.head().await?.is_none() {
        preload(&store, settings.get("preload", 500_000)).await?;
        append(&store, &settings).await?;
    }
    let started = Instant::now();
    store.close().await;
    println!("close: {:.0?}", started.elapsed());
    replay(&dir).await?;
    if dir == scratch {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

fn settings() -> Result<(Settings, Option<PathBuf>), Failure> {
    let (mut numbers, mut dir) = (BTreeMap::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or("each option takes a value")?;
        match name.strip_prefix("--").ok_or("options start with --")? {
            "dir" => dir = Some(PathBuf::from(value)),
            name => drop(numbers.insert(name.to_owned(), value.parse()?)),
        }
    }
    Ok((Settings(numbers), dir))
}

/// Keys that the measured producers do not touch.
fn script(number: u64) -> Script {
    Script::of_key(number).with_data(format!("{{\"text\":\"{}\"}}", "0123456789".repeat(70)))
}

async fn preload(store: &EmbeddedStore, events: u64) -> Result<(), Failure> {
    const EACH: u64 = 50;
    let started = Instant::now();
    for number in 0..events / EACH {
        let append = script(1_000_000_000 + number).next(EACH as usize);
        append.send(store).await?;
    }
    println!("preload: {events} events, {} each, in {:.1?}", EACH, started.elapsed());
    Ok(())
}

async fn append(store: &Arc<EmbeddedStore>, settings: &Settings) -> Result<(), Failure> {
    let (producers, streams) = (settings.get("producers", 64), settings.get("streams", 10_000));
    let length = Duration::from_secs(settings.get("seconds", 10));
    let mut working = tokio::task::JoinSet::new();
    let (started, busy) = (Instant::now(), processor_seconds());
    for producer in 0..producers {
        let store = Arc::clone(store);
        let mut scripts: Vec<Script> =
            (producer..streams.max(producers)).step_by(producers as usize).map(script).collect();
        working.spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < length {
                for script in &mut scripts {
                    let append = script.next(1);
                    let sent = Instant::now();
                    if let Err(error) = store.append(append.expected, append.events).await {
                        eprintln!("{error}");
                        return latencies;
                    }
                    latencies.push(sent.elapsed());
                    if started.elapsed() > length {
                        break;
                    }
                }
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = working.join_all().await.concat();
    let took = started.elapsed();
    latencies.sort_unstable();
    let at =
        |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "append: {producers} producers, {streams} streams: {:.0} appends/s, {:.2} CPU s per 100k; \
         ack p50 {:.2?}, p99 {:.2?}, p99.9 {:.2?}, worst {:.1?}",
        latencies.len() as f64 / took.as_secs_f64(),
        (processor_seconds() - busy) * 1e5 / latencies.len() as f64,
        at(0.5),
        at(0.99),
        at(0.999),
        latencies.last().copied().unwrap_or_default(),
    );
    Ok(())
}

async fn replay(dir: &std::path::Path) -> Result<(), Failure> {
    let mut total = 0;
    for pass in ["open (cold)", "open (warm)"] {
        // Only root may drop caches; for others both passes are warm.
        if pass == "open (cold)" && std::fs::write("/proc/sys/vm/drop_caches", "1").is_err() {
            continue;
        }
        let watch = Stopwatch::start(pass);
        let store = EmbeddedStore::open(dir, Options::default())?;
        total = store.head().await?.map_or(0, |head| head.0);
        watch.stop(total);
        store.close().await;
    }
    let store = EmbeddedStore::open(dir, Options::default())?;
    let watch = Stopwatch::start("read_all");
    let (mut after, mut bytes) = (None, 0);
    loop {
        let page = store.read_all(after, MAX_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.position);
        bytes +=
            page.iter().map(|record| record.event.data.len() + record.event.metadata.len()).sum::<usize>();
    }
    watch.stop(total);
    let watch = Stopwatch::start("subscribe_all");
    let mut subscription = store.subscribe_all(None).await?;
    let mut seen = 0;
    while seen < total {
        seen += subscription.next().await.ok_or("the store closed")??.len() as u64;
    }
    watch.stop(total);
    let watch = Stopwatch::start("verify");
    store.verify(|_| {}).await?;
    watch.stop(total);
    println!("{} bytes of data and metadata in each event", bytes as u64 / total.max(1));
    store.close().await;
    Ok(())
}

/// Time and processor time of one pass over all events.
struct Stopwatch {
    what: &'static str,
    started: Instant,
    busy: f64,
}

impl Stopwatch {
    fn start(what: &'static str) -> Self {
        Self { what, started: Instant::now(), busy: processor_seconds() }
    }

    fn stop(self, events: u64) {
        let (took, busy) = (self.started.elapsed(), processor_seconds() - self.busy);
        let what = self.what;
        let rate = events as f64 / took.as_secs_f64() / 1e6;
        println!(
            "{what}: {events} events in {took:.2?}: {rate:.2} M events/s, {:.2} CPU s per M",
            busy * 1e6 / events as f64
        );
    }
}

/// What this process has used so far, in user and kernel mode; 0 where Linux does not tell.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
