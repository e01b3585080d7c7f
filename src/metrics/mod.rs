//! Metrics for Prometheus: counted with atomics where the truth is known, shown by `GET /metrics`.
//!
//! - Nothing here names a key, an org, an address or a request: labels come from small sets, and each metric
//!   has a bounded number of them ([`labelled`]), however many keys there are.
//! - The hot path takes no lock: labels are found without one, numbers are atomics ([`histogram`]).
//! - Money is whole nano-dollars. Prometheus itself keeps numbers exact up to 2^53, some nine million dollars.
//! - Each metric is declared once, with its meaning; `docs/monitoring.md` is generated from that.

mod declare;
pub mod histogram;
pub mod http;
pub mod labelled;
pub mod ledger;
pub mod node;
pub mod people;
pub mod process;
pub mod provider;
pub mod store;
pub mod webhooks;

use std::fmt::Write as _;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use declare::MetricDoc;
use http::HttpMetrics;
use ledger::LedgerMetrics;
use node::NodeMetrics;
use people::PeopleMetrics;
use provider::ProviderMetrics;
use store::StoreMetrics;
use webhooks::WebhookMetrics;

use crate::app::App;
use crate::error::{Failure, FailureReply};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    /// Of requests.
    pub http: HttpMetrics,
    /// Of providers.
    pub provider: ProviderMetrics,
    node: NodeMetrics,
    registry: Registry,
}

impl Metrics {
    /// Shows the metrics of the store, the ledger, people who log in and webhooks, and all others.
    #[must_use]
    pub fn new(
        store: &StoreMetrics,
        ledger: &LedgerMetrics,
        people: &PeopleMetrics,
        webhooks: &WebhookMetrics,
    ) -> Self {
        let (http, provider, node) =
            (HttpMetrics::default(), ProviderMetrics::default(), NodeMetrics::default());
        let mut registry = Registry::default();
        ledger.register(&mut registry);
        store.register(&mut registry);
        provider.register(&mut registry);
        http.register(&mut registry);
        people.register(&mut registry);
        webhooks.register(&mut registry);
        node.register(&mut registry);
        Self { http, provider, node, registry }
    }
}

/// `GET /metrics`: everything, in the text format of OpenMetrics. Needs no key; see `docs/monitoring.md`.
///
/// # Errors
/// Where the text cannot be written.
pub async fn show(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse, FailureReply> {
    app.metrics.node.look(&app).await;
    app.webhooks.metrics.look(&app).await;
    app.people.metrics.sessions.set(i64::try_from(app.people.sessions()).unwrap_or(i64::MAX));
    let mut text = String::new();
    match encode(&mut text, &app.metrics.registry) {
        Ok(()) => Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, OPEN_METRICS)).body(text)),
        Err(_) => Err(FailureReply::to(&request, Failure::internal())),
    }
}

/// Every metric.
#[must_use]
pub fn reference() -> Vec<MetricDoc> {
    [
        LedgerMetrics::docs(),
        StoreMetrics::docs(),
        ProviderMetrics::docs(),
        HttpMetrics::docs(),
        PeopleMetrics::docs(),
        WebhookMetrics::docs(),
        NodeMetrics::docs(),
    ]
    .concat()
}

/// The reference as a table in Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = "| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for MetricDoc { name, kind, labels, meaning } in reference() {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {meaning} |", labels.join(", "));
    }
    page
}
