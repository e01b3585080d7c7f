//! Histograms without a lock: whole numbers in fixed buckets, each an atomic. (Those of `prometheus-client`
//! take a lock that all threads share for each observation.)

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// What a histogram counts in.
pub trait Scale: std::fmt::Debug + Send + Sync + 'static {
    /// The buckets' upper bounds, ascending; above the last one is one more bucket.
    const BOUNDS: &'static [u64];
    /// How many of the numbers that are observed make one of the unit that is shown.
    const PER_UNIT: f64;
}

/// Times: observed in microseconds, shown in seconds.
#[derive(Debug)]
pub struct Seconds;

impl Scale for Seconds {
    const BOUNDS: &'static [u64] = &[
        250,
        500,
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        30_000_000,
        60_000_000,
        120_000_000,
        300_000_000,
        600_000_000,
    ];
    const PER_UNIT: f64 = 1e6;
}

/// Sizes of batches.
#[derive(Debug)]
pub struct Size;

impl Scale for Size {
    const BOUNDS: &'static [u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096];
    const PER_UNIT: f64 = 1.0;
}

/// Observations in buckets. Clones are the same histogram.
#[derive(Debug)]
pub struct Histogram<S> {
    inner: Arc<Inner>,
    scale: PhantomData<S>,
}

#[derive(Debug)]
struct Inner {
    sum: AtomicU64,
    buckets: Box<[AtomicU64]>,
}

impl<S: Scale> Default for Histogram<S> {
    fn default() -> Self {
        let buckets = (0..=S::BOUNDS.len()).map(|_| AtomicU64::default()).collect();
        Self { inner: Arc::new(Inner { sum: AtomicU64::default(), buckets }), scale: PhantomData }
    }
}

impl<S> Clone for Histogram<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), scale: PhantomData }
    }
}

impl<S: Scale> Histogram<S> {
    /// Counts a number.
    pub fn observe(&self, number: u64) {
        let at = S::BOUNDS.partition_point(|bound| *bound < number);
        if let Some(bucket) = self.inner.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.inner.sum.fetch_add(number, Ordering::Relaxed);
        }
    }
}

impl Histogram<Seconds> {
    /// Counts a time.
    pub fn took(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

impl<S: Scale> EncodeMetric for Histogram<S> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = S::BOUNDS.iter().map(|bound| *bound as f64 / S::PER_UNIT).chain([f64::INFINITY]);
        let counts = self.inner.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        // The sum may be ahead of the buckets by an observation; the count never differs from them.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.inner.sum.load(Ordering::Relaxed) as f64 / S::PER_UNIT;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl<S> TypedMetric for Histogram<S> {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_number_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::<Size>::default();
        for number in [0, 1, 2, 3, 4, 5_000] {
            histogram.observe(number);
        }
        let mut registry = Registry::default();
        registry.register("x", "x", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "x_sum 5010.0",
            "x_count 6",
            "x_bucket{le=\"1.0\"} 2",
            "x_bucket{le=\"2.0\"} 3",
            "x_bucket{le=\"4.0\"} 5",
            "x_bucket{le=\"4096.0\"} 5",
            "x_bucket{le=\"+Inf\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn times_are_shown_in_seconds() {
        let histogram = Histogram::<Seconds>::default();
        histogram.took(Duration::from_millis(1_500));
        let mut registry = Registry::default();
        registry.register("x_seconds", "x", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("x_seconds_sum 1.5\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"1.0\"} 0\nx_seconds_bucket{le=\"2.5\"} 1\n"), "{text}");
    }
}
