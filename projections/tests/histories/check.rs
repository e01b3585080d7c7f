//! Compares a key with the naive ledger after each step of a script.

use std::collections::BTreeMap;
use std::sync::Arc;

use nemo_events::key::Evidence;
use nemo_events::limits::WindowKind;
use nemo_events::{KeyEvent, Timestamp};
use nemo_projections::Refusal;
use nemo_projections::decide::{ForfeitCharge, Forfeiter};
use nemo_projections::rate::Bucket;
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use super::script::{Asked, Step};
use super::world::{Decided, World, once_of};
use crate::reference::told::told;
use crate::reference::{Standing, Verdict, Wish, calendar, price};
use crate::support::{call_id, secret};

type Checked = Result<(), TestCaseError>;

/// What became of a call that somebody wanted to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Nothing,
    Unknown,
    NotEnded,
    NotOverdue,
    OutOfRange,
    Settled(i128, Evidence, bool),
    Voided,
    Forfeited(i128),
    Corrected(i128),
}

impl World {
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

    fn note(&self, outcome: &'static str) {
        *self.seen.lock().unwrap().entry(outcome).or_default() += 1;
    }

    fn call(&mut self, asked: &Asked) -> Checked {
        let wish = Wish {
            digest: secret(self.version(asked)).digest,
            card: Arc::clone(&self.cards[asked.card]),
            input_tokens: asked.input_tokens,
            basis: asked.basis,
            output_limit: asked.output_limit,
            choices: asked.choices,
            once: once_of(asked).first().map(|once| (once.key, once.body)),
        };
        let expected = self.ledger.verdict(&wish, self.now);
        self.asked += 1;
        let command = self.authorize(call_id(self.asked), asked);
        let decided = self.execute(&command);
        prop_assert_eq!(told(&decided), expected.clone());
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
            End::NotEnded => "correction of an open call",
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
            (Step::Correct(..), Standing::Open) => End::NotEnded,
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
        let left = |limit: Option<u64>, bucket: Bucket| {
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

fn end(decided: &Decided) -> End {
    let without_alerts = |events: &Vec<KeyEvent>| -> Vec<KeyEvent> {
        events.iter().filter(|event| !matches!(event, KeyEvent::BudgetAlertRaised(_))).cloned().collect()
    };
    match decided.as_ref().map(without_alerts).as_deref() {
        Ok([]) => End::Nothing,
        Ok([KeyEvent::CallSettled(e)]) => End::Settled(e.cost.as_nanos().into(), e.evidence, e.over_hold),
        Ok([KeyEvent::CallVoided(_)]) => End::Voided,
        Ok([KeyEvent::CallForfeited(e)]) => End::Forfeited(e.charged.as_nanos().into()),
        Ok([KeyEvent::CallCorrected(e)]) => End::Corrected(e.charged.as_nanos().into()),
        Err(Refusal::CallUnknown(_)) => End::Unknown,
        Err(Refusal::CallNotEnded(_)) => End::NotEnded,
        Err(Refusal::CallNotOverdue(_)) => End::NotOverdue,
        Err(Refusal::CorrectionOutOfRange) => End::OutOfRange,
        other => panic!("no end but {other:?}"),
    }
}
