//! What is counted of webhooks, by the names that the configuration gives them.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::declare::metrics;
use super::labelled::{Labelled, Labels, OTHER};
use crate::app::App;

type Real = Gauge<f64, AtomicU64>;

metrics! {
    /// The metrics of webhooks.
    pub struct WebhookMetrics {
        /// Attempts to deliver a message; `outcome` is delivered, refused, timed_out, unreachable or gone.
        attempts: Labelled<Attempt, Counter> = "nemo_webhook_attempts";
        /// Messages that were given up: the receiver wants none, or took none for three days.
        given_up: Labelled<Of, Counter> = "nemo_webhook_given_up";
        /// Messages that wait.
        backlog: Labelled<Of, Gauge> = "nemo_webhook_backlog";
        /// The age of the oldest message that waits; 0 when none does.
        backlog_age: Labelled<Of, Real> = "nemo_webhook_backlog_age_seconds";
    }
}

/// An attempt.
#[derive(Debug, EncodeLabelSet)]
pub struct Attempt {
    webhook: String,
    outcome: &'static str,
}

/// A webhook.
#[derive(Debug, EncodeLabelSet)]
pub struct Of {
    webhook: String,
}

impl Labels for Attempt {
    const NAMES: &'static [&'static str] = &["webhook", "outcome"];
    const MOST: usize = 128;

    fn rest() -> Self {
        Self { webhook: OTHER.to_owned(), outcome: OTHER }
    }
}

impl Labels for Of {
    const NAMES: &'static [&'static str] = &["webhook"];
    const MOST: usize = 32;

    fn rest() -> Self {
        Self { webhook: OTHER.to_owned() }
    }
}

impl WebhookMetrics {
    /// A message was sent, and this came of it.
    pub fn attempted(&self, webhook: &str, outcome: &'static str) {
        let is_it = |known: &Attempt| known.webhook == webhook && known.outcome == outcome;
        self.attempts.of(is_it, || Attempt { webhook: webhook.to_owned(), outcome }).inc();
    }

    /// A message was given up.
    pub fn given_up(&self, webhook: &str) {
        of(&self.given_up, webhook).inc();
    }

    /// Looks up what waits. Where that cannot be read it stays as it was.
    pub(super) async fn look(&self, app: &App) {
        let outbox = app.read_side.outbox();
        for webhook in app.webhooks.iter().filter(|webhook| webhook.sends) {
            let Ok(backlog) = outbox.backlog(webhook.position(), webhook.kinds()).await else { continue };
            let name = &webhook.entry.name;
            let age = backlog.oldest.map_or(0, |oldest| app.ledger.now().micros_since(oldest).max(0));
            of(&self.backlog, name).set(i64::try_from(backlog.events).unwrap_or(i64::MAX));
            of(&self.backlog_age, name).set(age as f64 / 1e6);
        }
    }
}

fn of<'a, M: Default>(metrics: &'a Labelled<Of, M>, webhook: &str) -> &'a M {
    metrics.of(|known| known.webhook == webhook, || Of { webhook: webhook.to_owned() })
}
