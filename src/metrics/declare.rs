//! Declaring metrics: each once, with its name, type and meaning; how it is registered and its line in the
//! reference follow from that.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::histogram::Histogram;
use super::labelled::{Labelled, Labels};

/// One metric, as the reference shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricDoc {
    /// Its name as it is asked for: a counter's ends with `_total`.
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub meaning: &'static str,
}

/// The labels of a kind of metric.
pub(super) trait Labelling {
    const LABELS: &'static [&'static str] = &[];
}

impl Labelling for Counter {}
impl<N, A> Labelling for Gauge<N, A> {}
impl<S> Labelling for Histogram<S> {}
impl<L: Labels, M> Labelling for Labelled<L, M> {
    const LABELS: &'static [&'static str] = L::NAMES;
}

impl MetricDoc {
    pub(super) fn of<M: TypedMetric + Labelling>(name: &str, meaning: &'static str) -> Self {
        let (kind, suffix) = match M::TYPE {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Gauge => ("gauge", ""),
            MetricType::Histogram => ("histogram", ""),
            MetricType::Info | MetricType::Unknown => ("untyped", ""),
        };
        Self { name: format!("{name}{suffix}"), kind, labels: M::LABELS, meaning }
    }
}

/// Declares a group of metrics. A counter's name gets `_total` where it is shown.
macro_rules! metrics {
    (
        $(#[$about:meta])*
        $visibility:vis struct $name:ident {
            $( $(#[doc = $meaning:literal])+ $field:ident: $type:ty = $metric:literal; )*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default)]
        $visibility struct $name {
            $( $(#[doc = $meaning])+ pub $field: $type, )*
        }

        impl $name {
            /// Shows the group's metrics from now on.
            pub(super) fn register(&self, registry: &mut prometheus_client::registry::Registry) {
                $( registry.register(
                    $metric,
                    concat!($($meaning),+).trim_ascii().trim_end_matches('.'),
                    self.$field.clone(),
                ); )*
            }

            /// The group's lines in the reference.
            pub(super) fn docs() -> Vec<$crate::metrics::MetricDoc> {
                vec![$( $crate::metrics::MetricDoc::of::<$type>($metric, concat!($($meaning),+).trim_ascii()) ),*]
            }
        }
    };
}
pub(super) use metrics;
