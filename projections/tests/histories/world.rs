//! Plays a script on a key, and keeps the naive ledger's list of what happened.

use std::sync::Arc;

use nemo_events::key::{Ending, ForfeitReason, Hold, KeySecret};
use nemo_events::limits::KeyLimits;
use nemo_events::price::PriceCard;
use nemo_events::{CallId, KeyEvent, Nanos, Timestamp, Usage};
use nemo_projections::decide::{
    Authorize, Block, ClearModel, Correct, Forfeit, KeyCommand, RetireSecret, Revoke, Rotate, SetLimits,
    Settle, Unblock, Void,
};
use nemo_projections::hold::Ask;
use nemo_projections::repeat::Once;
use nemo_projections::testing::{KeyHistory, given};
use nemo_projections::{KeyState, Refusal};

use super::Seen;
use super::script::{Asked, Pick, Script, Step, Used, cards};
use crate::reference::{Ledger, calendar};
use crate::support::{call, call_id, created, once, presented, priced, secret, void};

pub(super) type Decided = Result<Vec<KeyEvent>, Refusal>;

pub(crate) struct World {
    pub(crate) key: KeyHistory,
    pub(crate) ledger: Ledger,
    pub(super) now: i64,
    pub(super) cards: Vec<Arc<PriceCard>>,
    /// Every call that was ever authorised, with its card.
    pub(super) calls: Vec<(CallId, usize)>,
    pub(super) asked: u128,
    pub(super) secrets: u32,
    pub(super) seen: Seen,
}

impl World {
    pub(crate) fn new(script: &Script, seen: Seen) -> Self {
        let birth = created(script.limits.clone());
        let now = script.start.as_micros();
        Self {
            key: given([(script.start, birth.clone())]),
            ledger: Ledger { log: vec![(now, birth)] },
            now,
            cards: cards(),
            calls: Vec::new(),
            asked: 0,
            secrets: 1,
            seen,
        }
    }

    /// Does a step and compares nothing.
    pub(crate) fn play(&mut self, step: &Step) {
        match step {
            Step::Wait(micros) => self.now += micros,
            Step::Edge(kind, micros) => {
                self.now = self.now.max(calendar::end(*kind, self.now).unwrap() + micros);
            }
            Step::Call(asked) => {
                self.asked += 1;
                let command = self.authorize(call_id(self.asked), asked);
                if self.execute(&command).is_ok() {
                    self.calls.push((command.call, asked.card));
                }
            }
            _ => {
                if let Some(command) = self.command(step) {
                    drop(self.execute(command.as_ref()));
                }
            }
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    pub(super) fn execute(&mut self, command: &dyn KeyCommand) -> Decided {
        let events = self.key.execute(&Dyn(command), self.time())?;
        self.secrets += events.iter().filter(|e| matches!(e, KeyEvent::KeySecretRotated(_))).count() as u32;
        self.ledger.log.extend(events.iter().map(|event| (self.now, event.clone())));
        Ok(events)
    }

    pub(super) fn pick(&self, pick: Pick) -> Option<(CallId, usize)> {
        let open = self.ledger.open_calls();
        let among: Vec<_> =
            self.calls.iter().filter(|(call, _)| !pick.open || open.contains(call)).copied().collect();
        if among.is_empty() { None } else { Some(among[pick.index.index(among.len())]) }
    }

    pub(super) fn hold(&self, wanted: CallId) -> Hold {
        self.ledger.calls().find(|(_, call)| call.call == wanted).unwrap().1.hold
    }

    pub(super) fn usage(&self, call: CallId, used: Used) -> Usage {
        let hold = self.hold(call);
        let input = hold.input_tokens * used.input / 1_000;
        let cache_read = input * used.cached / 1_000;
        let cache_write = (input - cache_read) / 3;
        Usage {
            input: input - cache_read - cache_write,
            cache_read,
            cache_write,
            output: hold.output_tokens * used.output / 1_000,
            requests: 1,
            ..Usage::default()
        }
    }

    pub(super) fn version(&self, asked: &Asked) -> u32 {
        asked.secret_age.map_or(9_999, |age| self.secrets.saturating_sub(age).max(1))
    }

    pub(super) fn authorize(&self, id: CallId, asked: &Asked) -> Authorize {
        Authorize {
            call: id,
            presented: presented(self.version(asked)),
            priced: Ok(priced(PriceCard::clone(&self.cards[asked.card]))),
            ask: Ask {
                input_tokens: asked.input_tokens,
                basis: asked.basis,
                output_limit: asked.output_limit,
                choices: asked.choices,
            },
            once: once_of(asked),
            ..call(1)
        }
    }

    /// The command of a step on what there is; `None` where there is nothing to do it to.
    pub(super) fn command(&self, step: &Step) -> Option<Box<dyn KeyCommand>> {
        Some(match step {
            Step::Wait(_) | Step::Edge(..) | Step::Call(_) => return None,
            Step::Again(pick) => {
                let (id, _) = self.pick(*pick).filter(|(call, _)| !self.ledger.forgotten(*call))?;
                Box::new(Authorize { presented: presented(9_999), ..call(id.as_uuid().as_u128()) })
            }
            Step::Settle(pick, used, evidence) => {
                let (call, card) = self.pick(*pick)?;
                Box::new(Settle {
                    call,
                    card: Arc::clone(&self.cards[card]),
                    usage: self.usage(call, *used),
                    evidence: *evidence,
                    ending: Ending::Completed,
                    provider_request: None,
                    status: Some(200),
                    first_byte_ms: None,
                    duration_ms: 1,
                })
            }
            Step::Void(pick) => Box::new(Void { call: self.pick(*pick)?.0, ..void(1) }),
            Step::Forfeit(pick, charge, by) => Box::new(Forfeit {
                call: self.pick(*pick)?.0,
                charge: *charge,
                reason: ForfeitReason::Reset,
                by: *by,
            }),
            Step::Correct(pick, to) => {
                let call = self.pick(*pick)?.0;
                let charged = Nanos::from_nanos(self.hold(call).amount.as_nanos() * to / 1_000);
                Box::new(Correct { call, charged, reason: "invoice".to_owned(), forgotten: None })
            }
            Step::Limits(limits, expiry) => {
                let expires_at = expiry.map(|micros| Timestamp::from_micros(self.now + micros));
                Box::new(SetLimits { limits: KeyLimits { expires_at, ..limits.clone() }, bounds: None })
            }
            Step::Block => Box::new(Block { reason: None }),
            Step::Unblock => Box::new(Unblock),
            Step::Rotate(overlap_secs) => {
                let secret = KeySecret { version: 0, ..secret(self.secrets + 1) };
                Box::new(Rotate { secret, overlap_secs: *overlap_secs, leaked: false })
            }
            Step::Retire(age) => Box::new(RetireSecret { version: self.secrets.saturating_sub(*age) }),
            Step::Clear(card) => Box::new(ClearModel {
                provider: "acme".to_owned(),
                provider_model: self.cards[*card].model.clone(),
            }),
            Step::Revoke => Box::new(Revoke { reason: None }),
        })
    }
}

/// Under a new pepper and an old one; what is recorded is the former.
pub(super) fn once_of(asked: &Asked) -> Vec<Once> {
    let under =
        |pepper: &str, (key, body): (u8, u8)| once(&format!("{pepper}{key}"), &format!("{pepper}{body}"));
    asked.once.map_or_else(Vec::new, |request| vec![under("new", request), under("old", request)])
}

/// A borrowed command as a command.
struct Dyn<'a>(&'a dyn KeyCommand);

impl KeyCommand for Dyn<'_> {
    fn decide(&self, state: Option<&KeyState>, now: Timestamp) -> Decided {
        self.0.decide(state, now)
    }
}
