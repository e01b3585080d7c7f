//! Which calls were made with an `Idempotency-Key`, so that a request that is sent again makes no second call.
//!
//! - A call is remembered from its authorisation for 24 hours; of more than [`REPEATS_KEPT`] the oldest are
//!   forgotten.
//! - A call that was voided cost nothing, so it is forgotten at once: its request may be sent again.
//! - What was sent is known by HMACs only.

use std::collections::{BTreeMap, VecDeque};

use nemo_events::key::CallAuthorized;
use nemo_events::{CallId, Digest, Nanos, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CorruptLog;

/// How long a call with an idempotency key is remembered.
const KEPT_SECS: i64 = 24 * 3600;
/// How many such calls of one key are remembered at most, so that its fold stays small: about 4 MB.
pub const REPEATS_KEPT: usize = 20_000;

/// A request that is to be made once: HMACs under one pepper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Once {
    /// Of its idempotency key.
    pub key: Digest,
    /// Of its body.
    pub body: Digest,
}

/// A call that was made with an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The call.
    pub call: CallId,
    /// HMAC of its body.
    pub body: Digest,
    /// When it was authorised.
    pub authorized_at: Timestamp,
    /// How it ended; `None` while it runs.
    pub billed: Option<Billed>,
}

/// How a call ended that cost something, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billed {
    /// What it was charged when it ended.
    pub charged: Nanos,
    /// The provider's HTTP status, where there was an answer.
    pub status: Option<u16>,
}

/// The calls of one key that were made with an idempotency key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    made: BTreeMap<Digest, Made>,
    /// The same in the order of their authorisations. What was voided stays here until its time comes.
    order: VecDeque<(Timestamp, Digest)>,
}

impl Repeats {
    /// How many calls are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The call that this request has made already, and whether its body was another. The request is named
    /// under every pepper, since the call may have been made under an earlier one.
    #[must_use]
    pub fn find(&self, request: &[Once], now: Timestamp) -> Option<(&Made, SameBody)> {
        request.iter().find_map(|once| {
            let made = self.made.get(&once.key).filter(|made| made.authorized_at >= horizon(now))?;
            Some((made, if made.body == once.body { SameBody::Yes } else { SameBody::No }))
        })
    }

    pub(crate) fn authorized(&mut self, e: &CallAuthorized, now: Timestamp) -> Result<(), CorruptLog> {
        self.forget(now);
        let (Some(key), Some(body)) = (e.idempotency_key, e.body) else { return Ok(()) };
        let made = Made { call: e.call, body, authorized_at: now, billed: None };
        if self.made.insert(key, made).is_some() {
            return Err(CorruptLog("two calls were made with one idempotency key"));
        }
        self.order.push_back((now, key));
        Ok(())
    }

    pub(crate) fn billed(&mut self, key: Option<Digest>, call: CallId, billed: Billed) {
        if let Some(made) = key.and_then(|key| self.made.get_mut(&key)).filter(|made| made.call == call) {
            made.billed = Some(billed);
        }
    }

    pub(crate) fn voided(&mut self, key: Option<Digest>, call: CallId) {
        if let Some(key) = key.filter(|key| self.made.get(key).is_some_and(|made| made.call == call)) {
            self.made.remove(&key);
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((then, key)) = self.order.front().copied() {
            if then >= horizon(now) && self.order.len() < REPEATS_KEPT {
                break;
            }
            self.order.pop_front();
            // One that was voided may have been made again since.
            if self.made.get(&key).is_some_and(|made| made.authorized_at == then) {
                self.made.remove(&key);
            }
        }
    }
}

/// Whether a request that was sent again has the body that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameBody {
    /// It has.
    Yes,
    /// It is another request.
    No,
}

const fn horizon(now: Timestamp) -> Timestamp {
    now.plus_secs(KEPT_SECS.wrapping_neg())
}
