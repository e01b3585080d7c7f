//! Providers that asked for a pause, could not be reached, or did not take the gateway's key: for a while they are asked
//! after all others that serve the model, so that not every request pays for finding out anew. Nobody is refused for it.
//!
//! Each node has its own. An answer of success ends a rest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long one rests that did not say for how long.
const UNSTATED: Duration = Duration::from_secs(10);

/// The providers that rest, and until when.
#[derive(Debug, Default)]
pub struct Rests(Mutex<HashMap<String, Instant>>);

impl Rests {
    /// A provider rests for as long as it asked for, at most so long.
    pub fn begin(&self, provider: &str, asked_for: Option<Duration>, at_most: Duration, now: Instant) {
        let until = now + asked_for.unwrap_or(UNSTATED).min(at_most);
        let mut rests = self.lock();
        match rests.get_mut(provider) {
            Some(known) => *known = until.max(*known),
            None => _ = rests.insert(provider.to_owned(), until),
        }
    }

    /// A provider answered with success.
    pub fn end(&self, provider: &str) {
        let mut rests = self.lock();
        if !rests.is_empty() {
            rests.remove(provider);
        }
    }

    /// Puts those that rest behind the others, which keep their order. Returns where the first one is now.
    pub fn behind<T>(&self, all: &mut [T], provider: impl Fn(&T) -> &str, now: Instant) -> usize {
        let rests = self.lock();
        if rests.is_empty() {
            return 0;
        }
        let is_resting = |one: &T| rests.get(provider(one)).is_some_and(|until| now < *until);
        let first = if all.first().is_some_and(is_resting) {
            all.iter().filter(|one| !is_resting(one)).count()
        } else {
            0
        };
        all.sort_by_key(is_resting);
        first
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rests: &Rests, now: Instant) -> (Vec<&'static str>, usize) {
        let mut all = vec!["a", "b", "c"];
        let first = rests.behind(&mut all, |name| name, now);
        (all, first)
    }

    #[test]
    fn who_rests_is_asked_last_until_the_rest_is_over_or_a_success_ends_it() {
        let (rests, now) = (Rests::default(), Instant::now());
        let (secs, long) = (Duration::from_secs, Duration::from_secs(30));
        assert_eq!(order(&rests, now), (vec!["a", "b", "c"], 0));
        rests.begin("a", Some(secs(3)), long, now);
        assert_eq!(order(&rests, now), (vec!["b", "c", "a"], 2));
        rests.begin("b", None, long, now);
        assert_eq!(order(&rests, now), (vec!["c", "a", "b"], 1));
        assert_eq!(order(&rests, now + secs(3)), (vec!["a", "c", "b"], 0));
        rests.end("b");
        assert_eq!(order(&rests, now), (vec!["b", "c", "a"], 2));
        rests.begin("a", Some(secs(1)), long, now);
        assert_eq!(
            order(&rests, now + secs(2)),
            (vec!["b", "c", "a"], 2),
            "a shorter rest ends no longer one"
        );
        rests.begin("a", Some(secs(600)), long, now);
        assert_eq!(order(&rests, now + long), (vec!["a", "b", "c"], 0), "nobody rests for ever");
        rests.begin("a", None, Duration::ZERO, now);
        rests.begin("c", None, Duration::ZERO, now);
        assert_eq!(order(&rests, now + long), (vec!["a", "b", "c"], 0));
    }
}
