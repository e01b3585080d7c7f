//! What the ledger counts: events, calls and money once they are durable, refusals once they are decided.
//! Counters start at zero with the process, and count what this process did.

use std::sync::atomic::{AtomicBool, Ordering};

use nemo_events::{Nanos, Usage};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::declare::metrics;
use super::histogram::{Histogram, Seconds, Size};
use super::labelled::{Labelled, Labels, OTHER};

metrics! {
    /// The ledger's metrics.
    pub struct LedgerMetrics {
        /// Events that this process made durable.
        events: Labelled<EventType, Counter> = "nemo_ledger_events";
        /// Calls authorised.
        authorized: Labelled<Sold, Counter> = "nemo_calls_authorized";
        /// Sum of the holds of calls authorised, in nano-dollars.
        holds: Labelled<Sold, Counter> = "nemo_holds_nanodollars";
        /// Calls ended; `end` is settled, voided or forfeited, `reason` is the event's own.
        ended: Labelled<End, Counter> = "nemo_calls_ended";
        /// What ended calls were charged, in nano-dollars; corrections are not taken off.
        charged: Labelled<Sold, Counter> = "nemo_charged_nanodollars";
        /// Tokens of settled calls, estimated ones included; `direction` is in or out.
        tokens: Labelled<Tokens, Counter> = "nemo_tokens";
        /// Calls whose provider reported more than their hold.
        over_hold: Labelled<Sold, Counter> = "nemo_calls_over_hold";
        /// Corrections of ended calls.
        corrections: Counter = "nemo_calls_corrected";
        /// What corrections took back, in nano-dollars.
        corrected: Counter = "nemo_corrected_nanodollars";
        /// Calls that this process has authorised and not ended yet.
        open: Gauge = "nemo_calls_open";
        /// Sum of the holds of those calls, in nano-dollars.
        held: Gauge = "nemo_held_nanodollars";
        /// Requests refused by a decision or because of their key; the ledger records each.
        refusals: Labelled<Code, Counter> = "nemo_refusals";
        /// Alerts raised; `kind` is budget or refusal, `of` the budget's window or the refusal's code.
        alerts: Labelled<Alert, Counter> = "nemo_alerts_raised";
        /// Commands whose answer is waited for: undecided, or decided and not durable yet.
        waiting: Gauge = "nemo_commands_waiting";
        /// Time until a call was authorised or refused.
        authorize: Histogram<Seconds> = "nemo_authorize_seconds";
        /// Time until a call's end was durable.
        end: Histogram<Seconds> = "nemo_end_seconds";
        /// Events of each append to a stream.
        append_events: Histogram<Size> = "nemo_append_events";
        /// Time that an append to a stream took.
        append: Histogram<Seconds> = "nemo_append_seconds";
        /// Appends that did not succeed at once; `outcome` is conflict, unavailable, unknown or invalid.
        append_failures: Labelled<Outcome, Counter> = "nemo_append_failures";
    }
}

/// A type of events.
#[derive(Debug, EncodeLabelSet)]
pub struct EventType {
    r#type: String,
}

/// What is sold: a model of a provider, under its name there.
#[derive(Debug, EncodeLabelSet)]
pub struct Sold {
    provider: String,
    model: String,
}

/// Tokens of what is sold.
#[derive(Debug, EncodeLabelSet)]
pub struct Tokens {
    provider: String,
    model: String,
    direction: &'static str,
}

/// How calls of a provider ended.
#[derive(Debug, EncodeLabelSet)]
pub struct End {
    provider: String,
    end: &'static str,
    reason: &'static str,
    evidence: &'static str,
}

/// A code of `errors.md`.
#[derive(Debug, EncodeLabelSet)]
pub struct Code {
    code: &'static str,
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, EncodeLabelSet)]
pub struct Alert {
    /// A budget, or a refusal.
    pub kind: &'static str,
    /// The budget's window, or the refusal's code.
    pub of: String,
}

/// What became of an append.
#[derive(Debug, EncodeLabelSet)]
pub struct Outcome {
    outcome: &'static str,
}

impl Labels for EventType {
    const NAMES: &'static [&'static str] = &["type"];
    const MOST: usize = 64;

    fn rest() -> Self {
        Self { r#type: OTHER.to_owned() }
    }
}

impl Labels for Sold {
    const NAMES: &'static [&'static str] = &["provider", "model"];
    const MOST: usize = 64;

    fn rest() -> Self {
        Self { provider: OTHER.to_owned(), model: OTHER.to_owned() }
    }
}

impl Labels for Tokens {
    const NAMES: &'static [&'static str] = &["provider", "model", "direction"];
    const MOST: usize = 128;

    fn rest() -> Self {
        Self { provider: OTHER.to_owned(), model: OTHER.to_owned(), direction: OTHER }
    }
}

impl Labels for End {
    const NAMES: &'static [&'static str] = &["provider", "end", "reason", "evidence"];
    const MOST: usize = 256;

    fn rest() -> Self {
        Self { provider: OTHER.to_owned(), end: OTHER, reason: OTHER, evidence: OTHER }
    }
}

impl Labels for Code {
    const NAMES: &'static [&'static str] = &["code"];
    const MOST: usize = 128;

    fn rest() -> Self {
        Self { code: OTHER }
    }
}

impl Labels for Alert {
    const NAMES: &'static [&'static str] = &["kind", "of"];
    const MOST: usize = 32;

    fn rest() -> Self {
        Self { kind: OTHER, of: OTHER.to_owned() }
    }
}

impl Labels for Outcome {
    const NAMES: &'static [&'static str] = &["outcome"];
    const MOST: usize = 8;

    fn rest() -> Self {
        Self { outcome: OTHER }
    }
}

/// What is counted of an event besides its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfCall {
    /// A call was authorised.
    Authorized {
        /// The provider.
        provider: String,
        /// The model's name there.
        model: String,
        /// Its hold.
        hold: Nanos,
    },
    /// A call ended.
    Ended {
        /// The provider.
        provider: String,
        /// The model's name there.
        model: String,
        /// What it was charged.
        charged: Nanos,
        /// What it used, where anything was counted.
        usage: Option<Usage>,
        /// The provider reported more than the hold.
        over_hold: bool,
        /// Settled, voided or forfeited.
        end: &'static str,
        /// Why, or how.
        reason: &'static str,
        /// What its charge rests on; `none` where there was nothing to rest it on.
        evidence: &'static str,
    },
    /// An ended call's charge was lowered by so much.
    Corrected(Nanos),
    /// Somebody should look.
    Alerted(Vec<Alert>),
}

impl LedgerMetrics {
    /// An event is durable.
    pub fn event(&self, event_type: &str) {
        let made = || EventType { r#type: event_type.to_owned() };
        self.events.of(|known| known.r#type == event_type, made).inc();
    }

    /// The call that an event was about.
    pub fn of_call(&self, of_call: &OfCall) {
        match of_call {
            OfCall::Authorized { provider, model, hold } => {
                sold(&self.authorized, provider, model).inc();
                sold(&self.holds, provider, model).inc_by(whole(*hold));
            }
            OfCall::Ended { provider, model, charged, usage, over_hold, end, reason, evidence } => {
                let (end, reason, evidence) = (*end, *reason, *evidence);
                let is_it = |known: &End| {
                    (known.provider.as_str(), known.end, known.reason, known.evidence)
                        == (provider, end, reason, evidence)
                };
                self.ended.of(is_it, || End { provider: provider.clone(), end, reason, evidence }).inc();
                sold(&self.charged, provider, model).inc_by(whole(*charged));
                if *over_hold {
                    sold(&self.over_hold, provider, model).inc();
                }
                if let Some(usage) = usage {
                    self.tokens(provider, model, "in").inc_by(usage.tokens_in());
                    self.tokens(provider, model, "out").inc_by(usage.tokens_out());
                }
            }
            OfCall::Corrected(taken_back) => {
                self.corrections.inc();
                self.corrected.inc_by(whole(*taken_back));
            }
            OfCall::Alerted(alerts) => {
                for alert in alerts {
                    self.alerts.of(|known| known == alert, || alert.clone()).inc();
                }
            }
        }
    }

    fn tokens(&self, provider: &str, model: &str, direction: &'static str) -> &Counter {
        let is_it = |known: &Tokens| {
            (known.provider.as_str(), known.model.as_str(), known.direction) == (provider, model, direction)
        };
        let made = || Tokens { provider: provider.to_owned(), model: model.to_owned(), direction };
        self.tokens.of(is_it, made)
    }

    /// A request was refused.
    pub fn refused(&self, code: &'static str) {
        self.refusals.of(|known| known.code == code, || Code { code }).inc();
    }

    /// An append did not succeed.
    pub fn append_failed(&self, outcome: &'static str) {
        self.append_failures.of(|known| known.outcome == outcome, || Outcome { outcome }).inc();
    }

    /// Somebody waits for a command's answer, until this is dropped.
    #[must_use]
    pub fn waits(&self) -> Waiting {
        self.waiting.inc();
        Waiting(self.waiting.clone())
    }

    /// A call was authorised, and is open until it is said to be closed.
    #[must_use]
    pub fn opened(&self, hold: Nanos) -> OpenCall {
        self.open.inc();
        self.held.inc_by(hold.as_nanos());
        OpenCall { open: self.open.clone(), held: self.held.clone(), hold, closed: AtomicBool::new(false) }
    }
}

fn sold<'a>(metrics: &'a Labelled<Sold, Counter>, provider: &str, model: &str) -> &'a Counter {
    let is_it = |known: &Sold| known.provider == provider && known.model == model;
    metrics.of(is_it, || Sold { provider: provider.to_owned(), model: model.to_owned() })
}

/// Amounts of calls are not negative.
fn whole(amount: Nanos) -> u64 {
    u64::try_from(amount.as_nanos()).unwrap_or_default()
}

/// Somebody waits.
#[derive(Debug)]
pub struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// An open call. One whose end could not be written stays open, here as in the ledger.
#[derive(Debug)]
pub struct OpenCall {
    open: Gauge,
    held: Gauge,
    hold: Nanos,
    closed: AtomicBool,
}

impl OpenCall {
    /// The call's end is durable.
    pub fn close(&self) {
        if !self.closed.swap(true, Ordering::Relaxed) {
            self.open.dec();
            self.held.dec_by(self.hold.as_nanos());
        }
    }
}
