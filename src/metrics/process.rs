//! The process, as its system counts it. What the system does not tell is not a number.

use std::fs;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::declare::Labelling;

/// A number that somebody else keeps: only shown here.
#[derive(Debug)]
pub struct Reading<K> {
    bits: Arc<AtomicU64>,
    kind: PhantomData<K>,
}

/// Grows only.
#[derive(Debug, Clone, Default)]
pub struct Counter;

/// Comes and goes.
#[derive(Debug, Clone, Default)]
pub struct Gauge;

/// What a reading is shown as.
pub trait Kind: Send + Sync + std::fmt::Debug + 'static {
    /// Its type.
    const TYPE: MetricType;
}

impl Kind for Counter {
    const TYPE: MetricType = MetricType::Counter;
}

impl Kind for Gauge {
    const TYPE: MetricType = MetricType::Gauge;
}

impl<K> Default for Reading<K> {
    fn default() -> Self {
        Self { bits: Arc::new(AtomicU64::new(f64::NAN.to_bits())), kind: PhantomData }
    }
}

impl<K> Clone for Reading<K> {
    fn clone(&self) -> Self {
        Self { bits: Arc::clone(&self.bits), kind: PhantomData }
    }
}

impl<K> Reading<K> {
    pub(super) fn set(&self, number: Option<f64>) {
        self.bits.store(number.unwrap_or(f64::NAN).to_bits(), Ordering::Relaxed);
    }
}

impl<K: Kind> EncodeMetric for Reading<K> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let number = f64::from_bits(self.bits.load(Ordering::Relaxed));
        match K::TYPE {
            MetricType::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&number, None),
            _ => encoder.encode_gauge(&number),
        }
    }

    fn metric_type(&self) -> MetricType {
        K::TYPE
    }
}

impl<K: Kind> TypedMetric for Reading<K> {
    const TYPE: MetricType = K::TYPE;
}

impl<K> Labelling for Reading<K> {}

/// What the process uses.
#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) cpu_secs: Option<f64>,
    pub(super) resident_bytes: Option<f64>,
    pub(super) threads: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) max_fds: Option<f64>,
    pub(super) started_secs: Option<f64>,
}

impl Usage {
    pub(super) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of_status = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count());
        Self {
            cpu_secs: Some(secs(clock_gettime(ClockId::ProcessCPUTime))),
            resident_bytes: of_status("VmRSS:").map(|kib| kib * 1024.0),
            threads: of_status("Threads:"),
            // One of them is the list itself.
            open_fds: descriptors.map(|count| count.saturating_sub(1) as f64),
            max_fds: getrlimit(Resource::Nofile).current.map(|most| most as f64),
            started_secs: started_secs(),
        }
    }
}

/// Since the machine started, in hundredths of a second, as Linux tells it to everybody; and when that was.
fn started_secs() -> Option<f64> {
    const PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the program's name, which may hold anything, it is the twentieth.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let since_start = secs(clock_gettime(ClockId::Boottime));
    Some(secs(clock_gettime(ClockId::Realtime)) - since_start + ticks / PER_SECOND)
}

fn secs(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
