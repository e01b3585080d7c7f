//! A call whose use was measured: from here the only way on is to settle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nemo_events::key::{CallAuthorized, Ending, Evidence, ForfeitReason, VoidReason};
use nemo_events::price::PriceCard;
use nemo_events::{Rate, Usage};
use nemo_projections::decide::{Forfeit, ForfeitCharge, Forfeiter, Settle, Void};

use super::estimate::{self, Seen};
use crate::ledger::{Authorized, EndAnswer, ExecuteError};

/// What is known of how a call went.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) status: Option<u16>,
    pub(super) provider_request: Option<String>,
    pub(super) first_byte_ms: Option<u64>,
    /// How long the provider asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The provider reported usage.
    Reported(Usage, Ending),
    /// It did not; this much was seen.
    Estimated(Seen, Ending),
    /// Nothing was billed.
    Voided(VoidReason),
    /// It was sent, and nothing came back.
    Forfeited(ForfeitReason),
}

/// A call that was sent, or will not be, with what it used.
pub(super) struct Metered {
    authorized: Authorized,
    card: Arc<PriceCard>,
    started: Instant,
    facts: Facts,
    verdict: Verdict,
}

impl Metered {
    pub(super) const fn new(
        authorized: Authorized,
        card: Arc<PriceCard>,
        started: Instant,
        facts: Facts,
        verdict: Verdict,
    ) -> Self {
        Self { authorized, card, started, facts, verdict }
    }

    /// What was authorised.
    pub(super) const fn event(&self) -> &CallAuthorized {
        self.authorized.event()
    }

    /// Writes the call's end and waits until it is durable, however long that takes.
    pub(super) async fn settle(self) -> Result<EndAnswer, ExecuteError> {
        crate::failpoint::reached("before-settle");
        let duration_ms = millis(self.started);
        let event = self.authorized.event();
        let (call, hold, streams) = (event.call, event.hold, event.streams);
        let answer = match self.verdict {
            Verdict::Voided(reason) => {
                self.authorized.void(Void { call, reason, status: self.facts.status, duration_ms }).await
            }
            Verdict::Forfeited(reason) => {
                // A stream whose headers never came produced no output that anybody could have billed.
                let charge = if streams { ForfeitCharge::InputOnly } else { ForfeitCharge::Hold };
                self.authorized.forfeit(Forfeit { call, charge, reason, by: Forfeiter::Owner }).await
            }
            Verdict::Reported(usage, ending) => {
                let usage = with_fee(usage, &self.card);
                self.authorized.settle(self.settled(usage, Evidence::Reported, ending, duration_ms)).await
            }
            Verdict::Estimated(seen, ending) => {
                let seen = if event.hidden_output { Seen::Hidden } else { seen };
                let usage = estimate::usage(&self.card, &hold, seen);
                self.authorized.settle(self.settled(usage, Evidence::Estimated, ending, duration_ms)).await
            }
        };
        crate::failpoint::reached("after-settle");
        answer
    }

    fn settled(&self, usage: Usage, evidence: Evidence, ending: Ending, duration_ms: u64) -> Settle {
        Settle {
            call: self.authorized.event().call,
            card: Arc::clone(&self.card),
            usage,
            evidence,
            ending,
            provider_request: self.facts.provider_request.clone(),
            status: self.facts.status,
            first_byte_ms: self.facts.first_byte_ms,
            duration_ms,
        }
    }
}

/// Providers with a fee per request do not report it as usage.
fn with_fee(usage: Usage, card: &PriceCard) -> Usage {
    let has_fee = card.rates.requests.is_some_and(|rate| rate > Rate::ZERO);
    Usage { requests: u64::from(has_fee), ..usage }
}

/// Whole milliseconds since a moment.
pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
