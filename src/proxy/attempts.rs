//! Which attempt at a request follows on one that came to nothing: at the same provider, at the next one that
//! serves the model, or none. Pure.
//!
//! Another call is made only where the one before was voided, so that it cost nothing, and only where it can help:
//! not where the request itself was wrong.

use std::time::{Duration, Instant};

use nemo_events::CallId;
use nemo_events::key::VoidReason;

use super::call::CUT_BEFORE_DEADLINE_SECS;
use super::metered::Verdict;

/// The pause before a provider that named none is asked again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How often a request may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Calls in all, the first included.
    pub attempts_at_most: u32,
    /// Of them, how often the same provider is asked again.
    pub retries_at_most: u32,
    /// The longest pause before that.
    pub retry_wait: Duration,
    /// How long a provider that did not serve is asked after the others at most.
    pub rest_at_most: Duration,
}

/// Where another attempt may help a request whose call came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Help {
    /// At the same provider, or at another one.
    Anywhere,
    /// At another provider: it is this one's address, account or key that is wrong.
    Elsewhere,
}

/// Where another attempt may help, if anywhere. A status is the provider's.
pub(super) const fn help(verdict: Verdict, status: Option<u16>) -> Option<Help> {
    match (verdict, status) {
        (Verdict::Voided(VoidReason::NotConnected), _)
        | (
            Verdict::Voided(VoidReason::ProviderRefused | VoidReason::ProviderFailed),
            Some(408 | 409 | 425 | 429 | 500..),
        ) => Some(Help::Anywhere),
        (Verdict::Voided(VoidReason::ProviderRefused), Some(300..=399 | 401..=405 | 407)) => {
            Some(Help::Elsewhere)
        }
        _ => None,
    }
}

/// Whether a provider that answered with this status, or could not be reached, will most likely not serve the next
/// request either. One that says how long it wants to be left alone is believed whatever its status.
pub(super) const fn needs_rest(status: Option<u16>, retry_after: Option<Duration>) -> bool {
    retry_after.is_some() || matches!(status, None | Some(401..=403 | 407))
}

/// One attempt at a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) call: CallId,
    /// Which it is, from 1.
    pub(super) number: u32,
    /// Which of the request's routes it takes.
    pub(super) route: usize,
    /// How long it may take.
    pub(super) deadline_secs: u32,
}

/// Where the next attempt goes, and after which pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) pause: Duration,
    pub(super) at: Whose,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Same,
    Other,
}

/// A request's attempts, the next one and those that may follow.
#[derive(Debug)]
pub(super) struct Plan {
    tries: Tries,
    routes: usize,
    deadline_secs: u32,
    began: Instant,
    /// Calls that were made.
    made: u32,
    route: usize,
    /// How often the route was tried again.
    retried: u32,
}

impl Plan {
    pub(super) const fn new(tries: Tries, routes: usize, deadline_secs: u32, began: Instant) -> Self {
        Self { tries, routes, deadline_secs, began, made: 0, route: 0, retried: 0 }
    }

    /// Calls that were made so far.
    pub(super) const fn made(&self) -> u32 {
        self.made
    }

    /// The attempt whose turn it is, as this call.
    pub(super) fn attempt(&self, call: CallId, now: Instant) -> Attempt {
        let left = if self.made == 0 { self.deadline_secs } else { self.secs_left(now) };
        Attempt { call, number: self.made.saturating_add(1), route: self.route, deadline_secs: left }
    }

    /// The attempt was not made: its provider is passed over for the next one.
    pub(super) fn pass_over(&mut self, now: Instant) -> Option<Next> {
        (self.has_time_for(Duration::ZERO, now) && self.move_on())
            .then_some(Next { pause: Duration::ZERO, at: Whose::Other })
    }

    /// The attempt was made and came to nothing; another one may help. The provider may have said after what pause.
    pub(super) fn after(&mut self, help: Help, retry_after: Option<Duration>, now: Instant) -> Option<Next> {
        self.made = self.made.saturating_add(1);
        if self.made >= self.tries.attempts_at_most || !self.has_time_for(Duration::ZERO, now) {
            return None;
        }
        let pause = retry_after.unwrap_or_else(|| FIRST_PAUSE.saturating_mul(1 << self.retried.min(10)));
        let again = help == Help::Anywhere
            && self.retried < self.tries.retries_at_most
            && pause <= self.tries.retry_wait
            && self.has_time_for(pause, now);
        if again {
            self.retried = self.retried.saturating_add(1);
            return Some(Next { pause, at: Whose::Same });
        }
        self.move_on().then_some(Next { pause: Duration::ZERO, at: Whose::Other })
    }

    fn move_on(&mut self) -> bool {
        self.route = self.route.saturating_add(1);
        self.retried = 0;
        self.route < self.routes
    }

    fn secs_left(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.began).as_millis().div_ceil(1000);
        self.deadline_secs.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    /// A call that would be cut as soon as it is made is not made.
    fn has_time_for(&self, pause: Duration, now: Instant) -> bool {
        let first = self.made == 0;
        first || u64::from(self.secs_left(now + pause)) > CUT_BEFORE_DEADLINE_SECS
    }
}

#[cfg(test)]
mod tests {
    use nemo_events::Usage;
    use nemo_events::key::{Ending, ForfeitReason};

    use super::*;
    use crate::proxy::estimate::Seen;

    const NOW: Duration = Duration::ZERO;
    const SAME: Whose = Whose::Same;
    const OTHER: Whose = Whose::Other;

    fn tries(attempts_at_most: u32, retries_at_most: u32) -> Tries {
        Tries { attempts_at_most, retries_at_most, retry_wait: Duration::from_secs(2), rest_at_most: NOW }
    }

    /// Whose turn it is after each attempt at which anybody could have helped, and after which pause.
    fn walk(tries: Tries, routes: usize, retry_after: Option<Duration>) -> Vec<(usize, Whose, Duration)> {
        let began = Instant::now();
        let mut plan = Plan::new(tries, routes, 600, began);
        let next =
            || plan.after(Help::Anywhere, retry_after, began).map(|next| (plan.route, next.at, next.pause));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_provider_is_tried_in_turn_and_no_more_often_than_allowed() {
        assert_eq!(walk(tries(3, 0), 2, None), [(1, OTHER, NOW)]);
        assert_eq!(walk(tries(3, 0), 9, None), [(1, OTHER, NOW), (2, OTHER, NOW)]);
        assert_eq!(walk(tries(1, 9), 9, None), []);
        assert_eq!(walk(tries(3, 0), 1, None), []);
    }

    #[test]
    fn a_provider_is_asked_again_before_the_next_one_with_growing_pauses() {
        let ms = Duration::from_millis;
        let expected = [(0, SAME, ms(250)), (0, SAME, ms(500)), (1, OTHER, NOW), (1, SAME, ms(250))];
        assert_eq!(walk(tries(5, 2), 2, None), expected);
        // 250 + 500 + 1,000 + 2,000 ms; the next pause would be longer than anybody waits.
        assert_eq!(walk(tries(10, 9), 1, None).len(), 4);
    }

    #[test]
    fn a_provider_that_asks_for_a_pause_gets_it_or_is_passed_over() {
        let secs = Duration::from_secs;
        assert_eq!(walk(tries(2, 1), 2, Some(secs(2))), [(0, SAME, secs(2))]);
        assert_eq!(walk(tries(2, 1), 2, Some(secs(3))), [(1, OTHER, NOW)]);
        assert_eq!(walk(tries(2, 1), 1, Some(secs(3))), []);
    }

    #[test]
    fn what_only_another_provider_can_mend_is_not_tried_again_at_the_same_one() {
        let began = Instant::now();
        let mut plan = Plan::new(tries(9, 9), 2, 600, began);
        assert_eq!(plan.after(Help::Elsewhere, None, began), Some(Next { pause: NOW, at: OTHER }));
        assert_eq!(plan.after(Help::Elsewhere, None, began), None);
    }

    #[test]
    fn who_is_passed_over_costs_no_attempt() {
        let began = Instant::now();
        let mut plan = Plan::new(tries(1, 0), 3, 600, began);
        assert!(plan.pass_over(began).is_some() && plan.pass_over(began).is_some());
        assert!(plan.pass_over(began).is_none());
        assert_eq!((plan.made(), plan.attempt(CallId::from_uuid(uuid::Uuid::nil()), began).number), (0, 1));
    }

    #[test]
    fn all_attempts_share_the_deadline_and_none_is_made_that_would_be_cut_at_once() {
        let began = Instant::now();
        let mut plan = Plan::new(tries(9, 9), 9, 20, began);
        let call = CallId::from_uuid(uuid::Uuid::nil());
        assert_eq!(plan.attempt(call, began).deadline_secs, 20);
        let later = began + Duration::from_millis(12_400);
        assert_eq!(plan.after(Help::Elsewhere, None, later), Some(Next { pause: NOW, at: OTHER }));
        let second = plan.attempt(call, later);
        assert_eq!((second.number, second.deadline_secs), (2, 7));
        let pause = Some(Duration::from_secs(2));
        assert_eq!(
            plan.after(Help::Anywhere, pause, later).map(|next| next.at),
            Some(OTHER),
            "too late after a pause"
        );
        assert_eq!(plan.after(Help::Anywhere, None, later + Duration::from_secs(2)), None);
    }

    #[test]
    fn only_what_cost_nothing_is_tried_again_and_only_where_the_request_was_not_wrong() {
        use VoidReason::{NotConnected, NotSent, ProviderFailed, ProviderRefused};
        let voided = |reason, status| help(Verdict::Voided(reason), status);
        assert_eq!(voided(NotConnected, None), Some(Help::Anywhere));
        assert_eq!(voided(NotSent, None), None);
        for status in [408, 409, 425, 429] {
            assert_eq!(voided(ProviderRefused, Some(status)), Some(Help::Anywhere), "{status}");
        }
        for status in [500, 502, 503, 504, 529, 599] {
            assert_eq!(voided(ProviderFailed, Some(status)), Some(Help::Anywhere), "{status}");
        }
        for status in [301, 307, 401, 402, 403, 404, 405, 407] {
            assert_eq!(voided(ProviderRefused, Some(status)), Some(Help::Elsewhere), "{status}");
        }
        for status in [400, 406, 410, 411, 413, 415, 422, 451] {
            assert_eq!(voided(ProviderRefused, Some(status)), None, "{status}");
        }
        for status in [None, Some(200), Some(429), Some(503)] {
            for verdict in [
                Verdict::Reported(Usage::default(), Ending::ProviderFailed),
                Verdict::Estimated(Seen::Hidden, Ending::ProviderFailed),
                Verdict::Forfeited(ForfeitReason::Reset),
            ] {
                assert_eq!(help(verdict, status), None, "{verdict:?}");
            }
        }
    }
}
