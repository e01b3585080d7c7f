//! Traces for OpenTelemetry, by OTLP over HTTP; off unless `[telemetry]` says where they go.
//!
//! Spans only, and only our own: a call, and in it its authorisation, its provider and its settlement, with the
//! fixed fields of the logs. Neither prompts nor answers nor keys are in any field of a span. Of a caller's
//! headers `traceparent` is looked at, which is numbers, and nothing else.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Span, Subscriber, info, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Telemetry;

/// The header in which one program tells another which trace it is in.
pub const TRACEPARENT: &str = "traceparent";
/// How long one batch of spans may take to be sent.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// How long spans are gathered.
const GATHER_FOR: Duration = Duration::from_secs(1);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// No HTTP client can be made.
    #[error(
        "no HTTP client for traces: are the system's CA certificates installed (Debian: ca-certificates)?"
    )]
    Client(#[source] reqwest::Error),
    /// The exporter refuses its configuration.
    #[error("traces cannot be sent")]
    Exporter(#[source] ExporterBuildError),
}

/// Where spans go; nowhere if traces are off.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Gets ready to send spans. Must be called on the runtime that is to send them.
    ///
    /// # Errors
    /// See [`TracesError`].
    pub fn open(config: &Telemetry) -> Result<Self, TracesError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(Self(None)) };
        let http = reqwest::Client::builder()
            .timeout(SEND_PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(TracesError::Client)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(http)
            .with_endpoint(endpoint.as_str())
            .with_timeout(SEND_PATIENCE)
            .build()
            .map_err(TracesError::Exporter)?;
        let exporter = OnRuntime { exporter, runtime: Handle::current(), failing: AtomicBool::new(false) };
        let gather = BatchConfigBuilder::default().with_scheduled_delay(GATHER_FOR).build();
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let share = Sampler::TraceIdRatioBased(f64::from(config.sample_percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(gather).build())
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(resource)
            .build();
        Ok(Self(Some(provider)))
    }

    /// What turns our spans into those of OpenTelemetry; `None` if traces are off.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let provider = self.0.as_ref()?;
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("nemo"))
            // Where in the source, on which thread, and how busy: of no use to those who look at calls.
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false);
        Some(layer.with_filter(filter_fn(is_ours).with_max_level_hint(LevelFilter::DEBUG)))
    }

    /// Sends what waits; for the end of the process.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        // It blocks, and what it waits for runs on this runtime.
        let finished = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SEND_PATIENCE));
        if !matches!(finished.await, Ok(Ok(()))) {
            warn!("some traces could not be sent");
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("nemo")
}

/// The exporter runs on a thread of its own; its HTTP client needs the runtime's.
#[derive(Debug)]
struct OnRuntime {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Handle,
    /// Said once, until something gets through again.
    failing: AtomicBool,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut sending = pin!(self.exporter.export(batch));
        let sent = poll_fn(|context| {
            let _entered = self.runtime.enter();
            sending.as_mut().poll(context)
        });
        let sent = sent.await;
        let failed_before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !failed_before => {
                warn!(%error, "traces cannot be sent; they are dropped until they can")
            }
            Ok(()) if failed_before => info!("traces are sent again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, patience: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(patience)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The trace that a caller is in, if its headers say so.
#[derive(Debug, Clone, Default)]
pub struct Caller(Option<Context>);

impl Caller {
    /// Reads it off a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if !headers.contains_key(TRACEPARENT) {
            return Self(None);
        }
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Read(headers));
        Self(Some(context).filter(|context| context.span().span_context().is_valid()))
    }

    /// Makes a span part of it, if traces are on.
    pub fn adopt(&self, span: &Span) {
        if let Some(context) = &self.0 {
            // Without traces there is nothing that it could be a part of.
            let _ = span.set_parent(context.clone());
        }
    }
}

/// Only the one header that is numbers: what `tracestate` holds is the caller's own affair.
struct Read<'a>(&'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == TRACEPARENT { self.0.get(key)?.to_str().ok() } else { None }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// What a provider is told of the trace that the current span is in; `None` if traces are off.
#[must_use]
pub fn traceparent() -> Option<String> {
    let mut told = Told(None);
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut told);
    told.0
}

struct Told(Option<String>);

impl Injector for Told {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}
