//! Plays a script on a key and on the naive ledger, and compares them after each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use nemo_events::key::{Ending, Evidence, ForfeitReason, KeySecret};
use nemo_events::limits::WindowKind;
use nemo_events::price::PriceCard;
use nemo_events::{CallId, KeyEvent, Nanos, Timestamp, Usage};
use nemo_projections::Refusal;
use nemo_projections::decide::{
    Authorize, Block, ClearModel, Correct, Forfeit, ForfeitCharge, Forfeiter, KeyCommand, RetireSecret,
    Revoke, Rotate, SetLimits, Settle, Unblock, Void,
};
use nemo_projections::hold::Ask;
use nemo_projections::refusal::BudgetShort;
use nemo_projections::testing::{KeyHistory, given};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use super::Seen;
use super::script::{Asked, Pick, Script, Step, Used, cards};
use crate::reference::{Ledger, Short, Standing, Verdict, Wish, calendar, price};
use crate::support::{call, call_id, created, presented, priced, secret, void};

type Checked = Result<(), TestCaseError>;
type Decided = Result<Vec<KeyEvent>, Refusal>;

pub(crate) struct World {
    pub(crate) key: KeyHistory,
    pub(crate) ledger: Ledger,
    now: i64,
    cards: Vec<Arc<PriceCard>>,
    /// Every call that was ever authorised, with its card.
    calls: Vec<(CallId, usize)>,
    asked: u128,
    secrets: u32,
    seen: Seen,
}

/// What became of a call that somebody wanted to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Nothing,
    Unknown,
    NotOverdue,
    OutOfRange,
    Settled(i128, Evidence, bool),
    Voided,
    Forfeited(i128),
    Corrected(i128),
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

    /// Does a step and compares everything.
    pub(crate) fn step(&mut self, step: &Step) -> Checked {
        match step {
            Step::Call(asked) => self.call(asked)?,
            Step::Settle(..) | Step::Void(_) | Step::Forfeit(..) | Step::Correct(..) => self.end(step)?,
            Step::Again(_) => {
                let known = self.ledger.log.len();
                self.play(step);
                prop_assert_eq!(known, self.ledger.log.len(), "a known call was authorised again");
            }
            _ => self.manage(step)?,
        }
        self.audit()
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

    fn time(&self) -> Timestamp {
        Timestamp::from_micros(self.now)
    }

    fn execute(&mut self, command: &dyn KeyCommand) -> Decided {
        let events = self.key.execute(&Dyn(command), self.time())?;
        self.secrets += events.iter().filter(|e| matches!(e, KeyEvent::KeySecretRotated(_))).count() as u32;
        self.ledger.log.extend(events.iter().map(|event| (self.now, event.clone())));
        Ok(events)
    }

    fn note(&self, outcome: &'static str) {
        *self.seen.lock().unwrap().entry(outcome).or_default() += 1;
    }

    fn pick(&self, pick: Pick) -> Option<(CallId, usize)> {
        let open = self.ledger.open_calls();
        let among: Vec<_> =
            self.calls.iter().filter(|(call, _)| !pick.open || open.contains(call)).copied().collect();
        if among.is_empty() { None } else { Some(among[pick.index.index(among.len())]) }
    }

    fn hold(&self, wanted: CallId) -> nemo_events::key::Hold {
        self.ledger.calls().find(|(_, call)| call.call == wanted).unwrap().1.hold
    }

    fn usage(&self, call: CallId, used: Used) -> Usage {
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

    fn version(&self, asked: &Asked) -> u32 {
        asked.secret_age.map_or(9_999, |age| self.secrets.saturating_sub(age).max(1))
    }

    fn authorize(&self, id: CallId, asked: &Asked) -> Authorize {
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
            ..call(1)
        }
    }

    /// The command of a step on what there is; `None` where there is nothing to do it to.
    fn command(&self, step: &Step) -> Option<Box<dyn KeyCommand>> {
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
                Box::new(Correct { call, charged, reason: "invoice".to_owned() })
            }
            Step::Limits(limits, expiry) => {
                let expires_at = expiry.map(|micros| Timestamp::from_micros(self.now + micros));
                Box::new(SetLimits {
                    limits: nemo_events::limits::KeyLimits { expires_at, ..limits.clone() },
                })
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

    fn call(&mut self, asked: &Asked) -> Checked {
        let wish = Wish {
            digest: secret(self.version(asked)).digest,
            card: Arc::clone(&self.cards[asked.card]),
            input_tokens: asked.input_tokens,
            basis: asked.basis,
            output_limit: asked.output_limit,
            choices: asked.choices,
        };
        let expected = self.ledger.verdict(&wish, self.now);
        self.asked += 1;
        let command = self.authorize(call_id(self.asked), asked);
        let decided = self.execute(&command);
        prop_assert_eq!(verdict(&decided), expected.clone());
        let Verdict::Admitted { output_limit, .. } = expected else {
            self.note(decided.unwrap_err().code());
            return Ok(());
        };
        self.calls.push((command.call, asked.card));
        self.note("admitted");
        match asked.output_limit {
            None => {
                self.note("default limit");
                let limits = self.ledger.limits();
                if output_limit < 4_096 && limits.default_output_tokens.is_none() && asked.card < 2 {
                    self.note("default limit squeezed");
                }
            }
            Some(asked) if output_limit < asked => self.note("clamped"),
            Some(_) => {}
        }
        self.no_overshoot()
    }

    /// I1: right after an authorisation every budget holds.
    fn no_overshoot(&self) -> Checked {
        for budget in &self.ledger.limits().budgets {
            let sums = self.ledger.sums(budget.window, self.now);
            prop_assert!(
                sums.settled + sums.held <= i128::from(budget.limit.as_nanos()),
                "{budget:?} {sums:?}"
            );
        }
        Ok(())
    }

    fn end(&mut self, step: &Step) -> Checked {
        let Some(command) = self.command(step) else { return Ok(()) };
        let expected = self.expected_end(step);
        let decided = self.execute(command.as_ref());
        prop_assert_eq!(end(&decided), expected);
        self.note(match expected {
            End::Nothing => "nothing to end",
            End::Unknown => "forgotten",
            End::NotOverdue => "not overdue",
            End::OutOfRange => "out of range",
            End::Settled(_, _, true) => "over the hold",
            End::Settled(..) => "settled",
            End::Voided => "voided",
            End::Forfeited(_) => "forfeited",
            End::Corrected(_) => "corrected",
        });
        // The same once more changes nothing.
        if decided.is_ok() {
            prop_assert_eq!(self.execute(command.as_ref()), Ok(vec![]));
        }
        Ok(())
    }

    fn expected_end(&self, step: &Step) -> End {
        let (Step::Settle(pick, ..) | Step::Void(pick) | Step::Forfeit(pick, ..) | Step::Correct(pick, _)) =
            step
        else {
            return End::Nothing;
        };
        let (call, card) = self.pick(*pick).unwrap();
        if self.ledger.forgotten(call) {
            return End::Unknown;
        }
        let standing = self.ledger.standing(call);
        let hold = self.hold(call);
        let amount = i128::from(hold.amount.as_nanos());
        let late = |truth: i128| match standing {
            Standing::Ended(charged, true) if truth < charged => End::Corrected(truth),
            _ => End::Nothing,
        };
        match (step, standing) {
            (Step::Settle(_, used, evidence), standing) => {
                let cost = price::cost(&self.cards[card], &self.usage(call, *used));
                match (standing, evidence) {
                    (Standing::Ended(..), _) => late(cost),
                    (Standing::Open, Evidence::Reported) => {
                        End::Settled(cost, Evidence::Reported, cost > amount)
                    }
                    (Standing::Open, Evidence::Estimated) => {
                        End::Settled(cost.min(amount), Evidence::Estimated, false)
                    }
                }
            }
            (Step::Void(_), Standing::Open) => End::Voided,
            (Step::Void(_), Standing::Ended(..)) => late(0),
            (Step::Forfeit(..), Standing::Ended(..)) => End::Nothing,
            (Step::Forfeit(_, charge, by), Standing::Open) => {
                let (then, _) = self.ledger.calls().find(|(_, c)| c.call == call).unwrap();
                match (by, charge) {
                    (Forfeiter::Anybody, _) if self.now < then + 630_000_000 => End::NotOverdue,
                    (_, ForfeitCharge::Hold) => End::Forfeited(amount),
                    (_, ForfeitCharge::InputOnly) => End::Forfeited(hold.input_amount.as_nanos().into()),
                }
            }
            (Step::Correct(..), Standing::Open) => End::Unknown,
            (Step::Correct(_, to), Standing::Ended(charged, _)) => {
                let to = amount * i128::from(*to) / 1_000;
                if to == charged {
                    End::Nothing
                } else if to < 0 || to > charged.min(amount) {
                    End::OutOfRange
                } else {
                    End::Corrected(to)
                }
            }
            _ => End::Nothing,
        }
    }

    /// After a revoke nothing can be changed; a second revoke is no change.
    fn manage(&mut self, step: &Step) -> Checked {
        let Some(command) = self.command(step) else {
            self.play(step);
            return Ok(());
        };
        let revoked = self.ledger.log.iter().any(|(_, e)| matches!(e, KeyEvent::KeyRevoked(_)));
        let decided = self.execute(command.as_ref());
        if revoked {
            let expected = if matches!(step, Step::Revoke) { Ok(vec![]) } else { Err(Refusal::Revoked) };
            prop_assert_eq!(decided, expected);
        } else {
            prop_assert!(decided.is_ok() || matches!(decided, Err(Refusal::SecretUnknown(_))), "{decided:?}");
        }
        Ok(())
    }

    /// Compares the live state with sums over the whole list.
    fn audit(&self) -> Checked {
        let state = self.key.state().unwrap();
        for kind in WindowKind::ALL {
            for moment in [Some(self.now), calendar::before(kind, self.now)].into_iter().flatten() {
                let window = state.windows.at(kind, Timestamp::from_micros(moment));
                let sums = self.ledger.sums(kind, moment);
                prop_assert_eq!(i128::from(window.settled.as_nanos()), sums.settled, "{:?} settled", kind);
                prop_assert_eq!(i128::from(window.held.as_nanos()), sums.held, "{:?} held", kind);
                prop_assert_eq!(window.open, sums.open, "{:?} open", kind);
            }
        }
        let mut open = self.ledger.open_calls();
        open.sort();
        prop_assert_eq!(state.open_calls.keys().copied().collect::<Vec<_>>(), open);
        let (requests, tokens) = self.ledger.queues(self.now);
        let left = |limit: Option<u64>, bucket: nemo_projections::rate::Bucket| {
            limit.map_or(0, |limit| i128::from(bucket.remaining(limit, self.time())))
        };
        prop_assert_eq!(left(state.request_limit(), state.request_rate), requests.remaining());
        prop_assert_eq!(left(state.limits.tokens_per_minute, state.token_rate), tokens.remaining());
        self.one_end_each()
    }

    /// I4: a call ends at most once, and after a correction is charged no more than it held.
    fn one_end_each(&self) -> Checked {
        let state = self.key.state().unwrap();
        let mut corrected = BTreeMap::new();
        for (_, event) in &self.ledger.log {
            if let KeyEvent::CallCorrected(e) = event {
                prop_assert!(e.charged < e.charged_before);
                corrected.insert(e.call, e.charged);
            }
        }
        for (call, _) in &self.calls {
            prop_assert!(self.ledger.ends(*call).len() <= 1, "{call} ended twice");
            if let Some(charged) = corrected.get(call) {
                prop_assert!(*charged <= self.hold(*call).amount);
            }
            let Some(ended) = state.ended_calls.get(call) else { continue };
            let expected = Standing::Ended(ended.charged.as_nanos().into(), ended.unconfirmed);
            prop_assert_eq!(self.ledger.standing(*call), expected);
        }
        Ok(())
    }
}

/// A borrowed command as a command.
struct Dyn<'a>(&'a dyn KeyCommand);

impl KeyCommand for Dyn<'_> {
    fn decide(&self, state: Option<&nemo_projections::KeyState>, now: Timestamp) -> Decided {
        self.0.decide(state, now)
    }
}

fn verdict(decided: &Decided) -> Verdict {
    let refusal = match decided {
        Ok(events) => match events.as_slice() {
            [KeyEvent::CallAuthorized(event)] => {
                return Verdict::Admitted {
                    output_limit: event.output_limit,
                    amount: event.hold.amount.as_nanos().into(),
                    input_amount: event.hold.input_amount.as_nanos().into(),
                };
            }
            other => panic!("no authorisation but {other:?}"),
        },
        Err(refusal) => refusal,
    };
    match refusal {
        Refusal::RequestRate { retry_after_micros, .. } | Refusal::TokenRate { retry_after_micros, .. } => {
            Verdict::Wait(refusal.code(), (*retry_after_micros).into())
        }
        Refusal::BudgetExceeded(s) | Refusal::BudgetHeld(s) => Verdict::Short(refusal.code(), short(s)),
        _ => Verdict::Refused(refusal.code()),
    }
}

fn short(short: &BudgetShort) -> Short {
    Short {
        window: short.window,
        limit: short.limit.as_nanos().into(),
        settled: short.settled.as_nanos().into(),
        held: short.held.as_nanos().into(),
        needed: short.needed.as_nanos().into(),
        resets_at: short.resets_at.map(Timestamp::as_micros),
        output_limit_that_fits: short.output_limit_that_fits,
    }
}

fn end(decided: &Decided) -> End {
    match decided.as_deref() {
        Ok([]) => End::Nothing,
        Ok([KeyEvent::CallSettled(e)]) => End::Settled(e.cost.as_nanos().into(), e.evidence, e.over_hold),
        Ok([KeyEvent::CallVoided(_)]) => End::Voided,
        Ok([KeyEvent::CallForfeited(e)]) => End::Forfeited(e.charged.as_nanos().into()),
        Ok([KeyEvent::CallCorrected(e)]) => End::Corrected(e.charged.as_nanos().into()),
        Err(Refusal::CallUnknown(_)) => End::Unknown,
        Err(Refusal::CallNotOverdue(_)) => End::NotOverdue,
        Err(Refusal::CorrectionOutOfRange) => End::OutOfRange,
        other => panic!("no end but {other:?}"),
    }
}
