//! Metrics of one name that labels tell apart: a bounded number of them, found without a lock.
//!
//! Labels come from small sets: codes, reasons, providers, models, routes. Whatever does not fit any more
//! is counted under one label for the rest, so that nobody can make the metrics grow by inventing names.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The rest's name.
pub const OTHER: &str = "other";

/// What tells metrics of one name apart.
pub trait Labels: EncodeLabelSet + Debug + Send + Sync + 'static {
    /// The labels' names.
    const NAMES: &'static [&'static str];
    /// How many different ones there may be, the rest apart.
    const MOST: usize;
    /// The labels of all that came too late.
    fn rest() -> Self;
}

/// Metrics of one name. Clones are the same ones.
#[derive(Debug)]
pub struct Labelled<L, M> {
    inner: Arc<Inner<L, M>>,
}

#[derive(Debug)]
struct Inner<L, M> {
    /// Filled from the front; a slot once filled stays as it is.
    slots: Box<[OnceLock<(L, M)>]>,
    rest: OnceLock<(L, M)>,
}

impl<L: Labels, M> Default for Labelled<L, M> {
    fn default() -> Self {
        let slots = (0..L::MOST).map(|_| OnceLock::new()).collect();
        Self { inner: Arc::new(Inner { slots, rest: OnceLock::new() }) }
    }
}

impl<L, M> Clone for Labelled<L, M> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<L: Labels, M: Default> Labelled<L, M> {
    /// The metric whose labels these `are`, which are `made` when they are met for the first time. There
    /// are few, so they are looked through.
    pub fn of(&self, are: impl Fn(&L) -> bool, made: impl Fn() -> L) -> &M {
        for slot in &self.inner.slots {
            let (labels, metric) = slot.get_or_init(|| (made(), M::default()));
            // Somebody else may just have filled the slot.
            if are(labels) {
                return metric;
            }
        }
        let (_, metric) = self.inner.rest.get_or_init(|| (L::rest(), M::default()));
        metric
    }
}

#[cfg(test)]
impl<L> Labelled<L, prometheus_client::metrics::counter::Counter> {
    /// All counts together.
    pub(crate) fn total(&self) -> u64 {
        let filled = self.inner.slots.iter().chain([&self.inner.rest]).filter_map(OnceLock::get);
        filled.map(|(_, counter)| counter.get()).sum()
    }
}

impl<L: Labels, M: EncodeMetric + TypedMetric> EncodeMetric for Labelled<L, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (labels, metric) in self.inner.slots.iter().chain([&self.inner.rest]).filter_map(OnceLock::get) {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

impl<L, M: TypedMetric> TypedMetric for Labelled<L, M> {
    const TYPE: MetricType = M::TYPE;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::registry::Registry;

    use super::*;

    #[derive(Debug, EncodeLabelSet)]
    struct Name {
        name: String,
    }

    impl Labels for Name {
        const NAMES: &'static [&'static str] = &["name"];
        const MOST: usize = 3;

        fn rest() -> Self {
            Self { name: OTHER.to_owned() }
        }
    }

    fn count(names: &Labelled<Name, Counter>, name: &str) {
        names.of(|known| known.name == name, || Name { name: name.to_owned() }).inc();
    }

    fn text(names: &Labelled<Name, Counter>) -> String {
        let mut registry = Registry::default();
        registry.register("x", "x", names.clone());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn each_name_is_counted_until_there_are_too_many() {
        let names = Labelled::default();
        for name in ["a", "b", "a", "c", "d", "e", "b"] {
            count(&names, name);
        }
        let text = text(&names);
        for line in ["x_total{name=\"a\"} 2", "x_total{name=\"b\"} 2", "x_total{name=\"other\"} 2"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches("x_total").count(), 4);
    }

    #[test]
    fn threads_that_meet_the_same_names_count_them_once() {
        let names = Labelled::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    ["a", "b", "c"].iter().cycle().take(3_000).for_each(|name| count(&names, name))
                });
            }
        });
        let text = text(&names);
        for name in ["a", "b", "c"] {
            assert!(text.contains(&format!("x_total{{name=\"{name}\"}} 8000")), "{text}");
        }
    }
}
