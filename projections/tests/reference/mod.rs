//! A second ledger that knows nothing but the list of what happened and when.
//!
//! Every question is answered from the whole list, by filtering and adding up in 128 bits, with a
//! calendar, prices and rates of its own. It shares no code with what it checks, only the events.

pub(crate) mod alerts;
pub(crate) mod calendar;
pub(crate) mod price;
pub(crate) mod rates;
pub(crate) mod told;
mod verdict;

use std::sync::Arc;

use nemo_events::key::{BoundBasis, CallAuthorized};
use nemo_events::limits::{KeyLimits, WindowKind};
use nemo_events::price::PriceCard;
use nemo_events::{CallId, Digest, KeyEvent};

use self::rates::Queue;
pub(crate) use self::verdict::{Short, Verdict};

/// A call that somebody wants to make.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) digest: Digest,
    pub(crate) card: Arc<PriceCard>,
    pub(crate) input_tokens: u64,
    pub(crate) basis: BoundBasis,
    pub(crate) output_limit: Option<u64>,
    pub(crate) choices: u64,
    /// What its idempotency key and its body are recorded as.
    pub(crate) once: Option<(Digest, Digest)>,
}

/// What happened to one key, and when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) log: Vec<(i64, KeyEvent)>,
}

/// What one window comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) settled: i128,
    pub(crate) held: i128,
    pub(crate) open: u64,
}

/// How a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    /// Charged so much; `true` if nobody has confirmed a forfeit.
    Ended(i128, bool),
}

impl Ledger {
    fn events(&self) -> impl DoubleEndedIterator<Item = &KeyEvent> {
        self.log.iter().map(|(_, event)| event)
    }

    /// Every authorisation with its moment.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (i64, &CallAuthorized)> {
        self.log.iter().filter_map(|(moment, event)| match event {
            KeyEvent::CallAuthorized(call) => Some((*moment, call)),
            _ => None,
        })
    }

    pub(crate) fn limits(&self) -> &KeyLimits {
        let set = self.events().rev().find_map(|event| match event {
            KeyEvent::KeyLimitsSet(set) => Some(&set.limits),
            KeyEvent::KeyCreated(created) => Some(&created.limits),
            _ => None,
        });
        set.unwrap()
    }

    /// Every end of a call.
    pub(crate) fn ends(&self, wanted: CallId) -> Vec<i64> {
        let ends = self.log.iter().filter_map(|(moment, event)| match event {
            KeyEvent::CallSettled(e) => Some((*moment, e.call)),
            KeyEvent::CallVoided(e) => Some((*moment, e.call)),
            KeyEvent::CallForfeited(e) => Some((*moment, e.call)),
            _ => None,
        });
        ends.filter(|(_, call)| *call == wanted).map(|(moment, _)| moment).collect()
    }

    pub(crate) fn standing(&self, wanted: CallId) -> Standing {
        let mut standing = Standing::Open;
        for event in self.events() {
            match event {
                KeyEvent::CallSettled(e) if e.call == wanted => {
                    standing = Standing::Ended(e.cost.as_nanos().into(), false);
                }
                KeyEvent::CallVoided(e) if e.call == wanted => standing = Standing::Ended(0, false),
                KeyEvent::CallForfeited(e) if e.call == wanted => {
                    standing = Standing::Ended(e.charged.as_nanos().into(), true);
                }
                KeyEvent::CallCorrected(e) if e.call == wanted => {
                    standing = Standing::Ended(e.charged.as_nanos().into(), false);
                }
                _ => {}
            }
        }
        standing
    }

    /// Whether a later authorisation came more than 24 hours after the end of a call.
    pub(crate) fn forgotten(&self, call: CallId) -> bool {
        let ended = self.ends(call).into_iter().next();
        ended.is_some_and(|ended| self.calls().any(|(moment, _)| moment - ended > calendar::DAY))
    }

    /// What the window of a kind that a moment falls in comes to.
    pub(crate) fn sums(&self, kind: WindowKind, moment: i64) -> Sums {
        let window = calendar::number(kind, moment);
        let mut sums = Sums { settled: 0, held: 0, open: 0 };
        for (_, call) in self.calls().filter(|(then, _)| calendar::number(kind, *then) == window) {
            match self.standing(call.call) {
                Standing::Open => {
                    sums.held += i128::from(call.hold.amount.as_nanos());
                    sums.open += 1;
                }
                Standing::Ended(charged, _) => sums.settled += charged,
            }
        }
        sums
    }

    pub(crate) fn open_calls(&self) -> Vec<CallId> {
        let all = self.calls().map(|(_, call)| call.call);
        all.filter(|call| self.standing(*call) == Standing::Open).collect()
    }

    /// The queues of requests and of tokens, as they are now.
    pub(crate) fn queues(&self, now: i64) -> (Queue, Queue) {
        let (mut requests, mut tokens) = (Queue::default(), Queue::default());
        let limit = |(requests, tokens): (&mut Queue, &mut Queue), limits: &KeyLimits, now| {
            requests.set_limit(limits.requests_per_minute.map(u64::from), now);
            tokens.set_limit(limits.tokens_per_minute, now);
        };
        let bounds = |wanted: CallId| {
            let call = self.calls().find(|(_, call)| call.call == wanted).unwrap().1;
            call.hold.input_tokens + call.hold.output_tokens
        };
        let number = |call: CallId| call.as_uuid().as_u128();
        for (moment, event) in &self.log {
            match event {
                KeyEvent::KeyCreated(e) => limit((&mut requests, &mut tokens), &e.limits, *moment),
                KeyEvent::KeyLimitsSet(e) => limit((&mut requests, &mut tokens), &e.limits, *moment),
                KeyEvent::CallAuthorized(e) => {
                    requests.join(number(e.call), 1, *moment);
                    tokens.join(number(e.call), bounds(e.call), *moment);
                }
                KeyEvent::CallSettled(e) => {
                    let used = e.usage.input + e.usage.cache_read + e.usage.cache_write + e.usage.output;
                    tokens.correct(number(e.call), bounds(e.call), used, *moment);
                }
                KeyEvent::CallVoided(e) => tokens.correct(number(e.call), bounds(e.call), 0, *moment),
                _ => {}
            }
        }
        requests.drain(now);
        tokens.drain(now);
        (requests, tokens)
    }
}
