//! A webhook's own task: one message after the other, each until it is taken or given up.
//!
//! A message is given up when its receiver says that it wants no such thing any more, or when an attempt fails and
//! the event is three days old: so each is tried at least once, however long the node was away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nemo_read_model::OutboxRow;
use rand::RngExt;
use tracing::{error, info, warn};

use super::message::Message;
use super::post::Outcome;
use super::standing::{Failing, Finished};
use super::{Kept, Webhook, cursor};
use crate::ledger::Ledger;
use crate::metrics::webhooks::WebhookMetrics;
use crate::read_side::Outbox;

/// How old an event is when it is tried for the last time.
const GIVEN_UP_SECS: i64 = 3 * 24 * 3600;
/// The first pause between two attempts, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long an outbox that cannot be read is left alone.
const UNREAD_PAUSE: Duration = Duration::from_secs(1);
/// Messages that are read at once.
const PAGE: usize = 64;

/// Sends to one webhook.
pub(super) struct Sender {
    pub(super) webhook: Arc<Webhook>,
    pub(super) outbox: Outbox,
    pub(super) metrics: WebhookMetrics,
    pub(super) ledger: Arc<Ledger>,
    pub(super) path: PathBuf,
    pub(super) place: String,
}

impl Sender {
    /// Until it is dropped, which may be at any await: what was not finished is sent again.
    pub(super) async fn run(self) {
        let mut changes = self.outbox.changes();
        // Beyond the cursor where what lies between is not for this webhook.
        let mut seen = self.webhook.position();
        loop {
            changes.mark_unchanged();
            match self.outbox.after(seen, self.webhook.kinds(), PAGE).await {
                Ok(found) if found.value.is_empty() => {
                    seen = seen.max(found.position);
                    // The sender of changes lives as long as the outbox.
                    let _ = changes.changed().await;
                }
                Ok(found) => {
                    for row in &found.value {
                        self.finish(row).await;
                        seen = seen.max(Some(row.position));
                    }
                }
                Err(_) => tokio::time::sleep(UNREAD_PAUSE).await,
            }
        }
    }

    /// Sends an event until it is taken or given up.
    async fn finish(&self, row: &OutboxRow) {
        let name = &self.webhook.entry.name;
        let taken = match Message::of(row) {
            Ok(message) => self.deliver(row, &message).await,
            Err(error) => {
                error!(webhook = name, event.id = %row.event, %error, "a message cannot be written");
                false
            }
        };
        let finished = Finished { event: row.event, kind: row.kind, at: self.ledger.now() };
        let kept = Kept::behind(row, &self.place);
        {
            let mut standing = self.webhook.standing();
            standing.failing = None;
            standing.cursor = kept.clone();
            if taken { standing.delivered = Some(finished) } else { standing.given_up = Some(finished) }
        }
        if !taken {
            self.metrics.given_up(name);
        }
        self.keep(kept).await;
    }

    /// Whether it was taken.
    async fn deliver(&self, row: &OutboxRow, message: &Message) -> bool {
        let name = &self.webhook.entry.name;
        let (mut pause, mut attempts, mut since) = (FIRST_PAUSE, 0_u64, None);
        loop {
            let outcome = self.webhook.post(message, self.ledger.now()).await;
            self.metrics.attempted(name, outcome.word());
            attempts = attempts.saturating_add(1);
            let Some(trouble) = outcome.trouble() else {
                if attempts > 1 {
                    info!(webhook = name, event.id = %row.event, attempts, "a webhook takes messages again");
                }
                return true;
            };
            let now = self.ledger.now();
            let given_up_at = row.recorded_at.plus_secs(GIVEN_UP_SECS);
            if outcome == Outcome::Gone || now >= given_up_at {
                error!(webhook = name, event.id = %row.event, attempts, error = trouble, "a message is given up");
                return false;
            }
            if attempts == 1 {
                warn!(webhook = name, event.id = %row.event, error = trouble, "a webhook takes no message; trying on");
            }
            let half = pause / 2;
            let wait = half.saturating_add(half.mul_f64(rand::rng().random::<f64>()));
            let secs = i64::try_from(wait.as_secs()).unwrap_or_default();
            self.webhook.standing().failing = Some(Failing {
                event: row.event,
                kind: row.kind,
                since: *since.get_or_insert(now),
                attempts,
                error: trouble,
                next_at: now.plus_secs(secs),
                given_up_at,
            });
            tokio::time::sleep(wait).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// Where this fails, what was sent since is sent again after a restart, and nothing is lost.
    async fn keep(&self, kept: Kept) {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || cursor::write(&path, &kept)).await;
        let trouble = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        error!(
            webhook = self.webhook.entry.name,
            error = trouble,
            "how far a webhook has come cannot be kept"
        );
    }
}
