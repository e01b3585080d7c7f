//! May this call be made? DESIGN section 4 from the top, over sums that are added up anew.

use std::collections::BTreeSet;

use nemo_events::KeyEvent;
use nemo_events::limits::{Budget, WhenShort, WindowKind};

use super::{Ledger, Standing, Wish, calendar, price};

/// What stands in the way of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) window: WindowKind,
    pub(crate) limit: i128,
    pub(crate) settled: i128,
    pub(crate) held: i128,
    pub(crate) needed: i128,
    pub(crate) resets_at: Option<i64>,
    pub(crate) output_limit_that_fits: Option<u64>,
}

/// Yes, with what; or no, for which reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted { output_limit: u64, amount: i128, input_amount: i128 },
    Refused(&'static str),
    Wait(&'static str, i128),
    Short(&'static str, Short),
}

impl Ledger {
    pub(crate) fn verdict(&self, wish: &Wish, now: i64) -> Verdict {
        if let Some(code) = self.denied(wish, now) {
            return Verdict::Refused(code);
        }
        if wish.output_limit.is_some_and(|limit| limit > wish.card.max_output_tokens) {
            return Verdict::Refused("output_limit_too_high");
        }
        let output_limit = self.output_limit(wish, now);
        let bound = price::bound(wish, output_limit);
        let limits = self.limits();
        if limits.max_call_cost.is_some_and(|limit| bound.amount > limit.as_nanos().into()) {
            return Verdict::Refused("call_too_dear");
        }
        if limits.concurrent_calls.is_some_and(|limit| self.open_calls().len() >= limit as usize) {
            return Verdict::Refused("concurrency_limit_exceeded");
        }
        let (requests, tokens) = self.queues(now);
        let needed = u64::try_from(bound.tokens_in).unwrap() + output_limit * wish.choices;
        if requests.wait(1) > 0 {
            return Verdict::Wait("rate_limit_exceeded", requests.wait(1));
        }
        if limits.tokens_per_minute.is_some_and(|limit| needed > limit) {
            return Verdict::Refused("tokens_above_rate");
        }
        if tokens.wait(needed) > 0 {
            return Verdict::Wait("token_limit_exceeded", tokens.wait(needed));
        }
        self.short(wish, output_limit, now).unwrap_or(Verdict::Admitted {
            output_limit,
            amount: bound.amount,
            input_amount: bound.input_amount,
        })
    }

    /// Key state, secret, expiry, flagged model.
    fn denied(&self, wish: &Wish, now: i64) -> Option<&'static str> {
        let mut secrets = Vec::new();
        let (mut blocked, mut revoked) = (false, false);
        let mut flagged = BTreeSet::new();
        for (moment, event) in &self.log {
            match event {
                KeyEvent::KeyCreated(e) => secrets.push((e.secret.version, e.secret.digest, i64::MAX)),
                KeyEvent::KeySecretRotated(e) => {
                    for (_, _, until) in &mut secrets {
                        *until = e.previous_valid_until.as_micros().min(*until);
                    }
                    secrets.push((e.secret.version, e.secret.digest, i64::MAX));
                }
                KeyEvent::KeySecretRetired(e) => {
                    let (_, _, until) =
                        secrets.iter_mut().find(|(version, ..)| *version == e.version).unwrap();
                    *until = *moment;
                }
                KeyEvent::KeyBlocked(_) => blocked = true,
                KeyEvent::KeyUnblocked(_) => blocked = false,
                KeyEvent::KeyRevoked(_) => revoked = true,
                KeyEvent::CallSettled(e) if e.over_hold => {
                    let call = self.calls().find(|(_, call)| call.call == e.call).unwrap().1;
                    flagged.insert(call.provider_model.clone());
                }
                KeyEvent::KeyModelCleared(e) => {
                    flagged.remove(&e.provider_model);
                }
                _ => {}
            }
        }
        let remembered = secrets.iter().rev().take(8);
        let Some((_, _, until)) = remembered.into_iter().find(|(_, digest, _)| *digest == wish.digest) else {
            return Some("invalid_api_key");
        };
        let expired = self.limits().expires_at.is_some_and(|expiry| now >= expiry.as_micros());
        let reasons = [
            (revoked, "key_revoked"),
            (blocked, "key_blocked"),
            (now >= *until, "key_rotated"),
            (expired, "key_expired"),
        ];
        let denied = reasons.into_iter().find(|(holds, _)| *holds).map(|(_, code)| code);
        let flagged = flagged.contains(&wish.card.model).then_some("model_flagged");
        denied.or_else(|| self.repeated(wish, now)).or(flagged)
    }

    /// Whether a call within the last 24 hours had the same idempotency key, and was not voided.
    fn repeated(&self, wish: &Wish, now: i64) -> Option<&'static str> {
        let (key, body) = wish.once?;
        let voided =
            |wanted| self.events().any(|event| matches!(event, KeyEvent::CallVoided(e) if e.call == wanted));
        let lately = self.calls().filter(|(then, _)| now - then <= calendar::DAY);
        let (_, made) =
            lately.filter(|(_, made)| made.idempotency_key == Some(key) && !voided(made.call)).last()?;
        Some(match self.standing(made.call) {
            _ if made.body != Some(body) => "idempotency_key_reused",
            Standing::Open => "call_running",
            Standing::Ended(..) => "call_already_billed",
        })
    }

    fn free(&self, budget: &Budget, now: i64) -> i128 {
        let sums = self.sums(budget.window, now);
        i128::from(budget.limit.as_nanos()) - sums.settled - sums.held
    }

    /// The request's own limit, a default, or one lowered to what is free.
    fn output_limit(&self, wish: &Wish, now: i64) -> u64 {
        let limits = self.limits();
        if let Some(asked) = wish.output_limit {
            let fits = self.limit_that_fits(wish, now).unwrap_or(asked);
            return if limits.when_short == WhenShort::Clamp { asked.min(fits) } else { asked };
        }
        let (own, plain) = if wish.card.reasoning {
            (limits.default_reasoning_output_tokens, 16_384)
        } else {
            (limits.default_output_tokens, 4_096)
        };
        let mut limit = wish.card.max_output_tokens.min(own.map_or(plain, u64::from));
        let floor = limit.min(least(wish));
        for budget in &limits.budgets {
            let quarter = self.free(budget, now).max(0) / 4;
            limit = price::largest(limit, |limit| takes_a_quarter(wish, limit, quarter)).unwrap();
        }
        limit.max(floor)
    }

    fn limit_that_fits(&self, wish: &Wish, now: i64) -> Option<u64> {
        let limits = self.limits();
        let mut most: Vec<i128> = limits.budgets.iter().map(|budget| self.free(budget, now)).collect();
        most.extend(limits.max_call_cost.map(|most| i128::from(most.as_nanos())));
        let fits = |output: u64| most.iter().all(|most| price::bound(wish, output).amount <= *most);
        price::largest(wish.card.max_output_tokens, fits).filter(|limit| *limit > 0)
    }

    fn short(&self, wish: &Wish, output_limit: u64, now: i64) -> Option<Verdict> {
        let bound = price::bound(wish, output_limit);
        let takes = |free: i128| {
            bound.amount <= free
                && (wish.output_limit.is_some() || takes_a_quarter(wish, output_limit, free / 4))
        };
        let mut held = None;
        for kind in [WindowKind::Total, WindowKind::Day, WindowKind::Week, WindowKind::Month] {
            let Some(budget) = self.limits().budgets.iter().find(|budget| budget.window == kind) else {
                continue;
            };
            let sums = self.sums(kind, now);
            let limit = i128::from(budget.limit.as_nanos());
            if takes(limit - sums.settled - sums.held) {
                continue;
            }
            let short = Short {
                window: kind,
                limit,
                settled: sums.settled,
                held: sums.held,
                needed: bound.amount,
                resets_at: calendar::end(kind, now),
                output_limit_that_fits: self.limit_that_fits(wish, now),
            };
            if sums.open == 0 || !takes(limit - sums.settled) {
                return Some(Verdict::Short("budget_exceeded", short));
            }
            held = held.or(Some(Verdict::Short("budget_held", short)));
        }
        held
    }
}

fn least(wish: &Wish) -> u64 {
    if wish.card.reasoning { 8_192 } else { 1_024 }
}

/// Whether the output alone costs no more than a quarter of something.
fn takes_a_quarter(wish: &Wish, output_limit: u64, quarter: i128) -> bool {
    price::bound(wish, output_limit).output_millionths <= quarter * 1_000_000
}
