//! A breaker for each provider: after so many calls in a row of which nobody knows what they cost, no more are
//! sent for a while, so that a provider that hangs cannot eat budgets. Looked at before a call is authorised.
//!
//! Each node has its own. What comes back from a provider, an error included, closes its breaker.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no call is sent, but for one that tries.
const OPEN_FOR: Duration = Duration::from_secs(10);

/// The breakers of all providers that calls were sent to.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<String, Breaker>>);

#[derive(Debug, Default, Clone, Copy)]
struct Breaker {
    /// Calls in a row of which nobody knows what they cost.
    unknown: u32,
    /// When the next call may try.
    open_until: Option<Instant>,
}

impl Breakers {
    /// Whether a call may be sent now. One that may although the breaker is open is the one that tries.
    ///
    /// # Errors
    /// How long none may.
    pub fn admits(&self, provider: &str, now: Instant) -> Result<(), Duration> {
        let mut breakers = self.lock();
        let Some(until) = breakers.get_mut(provider).and_then(|breaker| breaker.open_until.as_mut()) else {
            return Ok(());
        };
        if now < *until {
            return Err(until.duration_since(now));
        }
        // If it is never heard of again, another may try in its place.
        *until = now + OPEN_FOR;
        Ok(())
    }

    /// A call came back, whatever it brought.
    pub fn came_back(&self, provider: &str) {
        self.lock().remove(provider);
    }

    /// A call did not: nobody knows what it cost. With `at_most` such calls in a row the breaker opens; never
    /// with none. Returns whether it has opened just now.
    pub fn lost(&self, provider: &str, at_most: u32, now: Instant) -> bool {
        let mut breakers = self.lock();
        let breaker = breakers.entry(provider.to_owned()).or_default();
        breaker.unknown = breaker.unknown.saturating_add(1);
        if at_most == 0 || breaker.unknown < at_most {
            return false;
        }
        breaker.open_until.replace(now + OPEN_FOR).is_none()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_opens_after_so_many_in_a_row_and_lets_one_try_at_a_time() {
        let (breakers, now) = (Breakers::default(), Instant::now());
        let opened: Vec<_> = (0..4).map(|_| breakers.lost("p", 3, now)).collect();
        assert_eq!(opened, [false, false, true, false]);
        assert_eq!(breakers.admits("p", now), Err(OPEN_FOR));
        assert_eq!(breakers.admits("other", now), Ok(()));
        let later = now + OPEN_FOR;
        assert_eq!(breakers.admits("p", later), Ok(()));
        assert_eq!(breakers.admits("p", later), Err(OPEN_FOR), "while one tries, the others wait");
        assert!(!breakers.lost("p", 3, later), "it was open");
        assert_eq!(breakers.admits("p", later + OPEN_FOR), Ok(()));
        breakers.came_back("p");
        assert_eq!(breakers.admits("p", later), Ok(()));
        assert!(!breakers.lost("p", 3, later), "it is counted anew");
    }

    #[test]
    fn without_a_number_it_never_opens() {
        let (breakers, now) = (Breakers::default(), Instant::now());
        assert!((0..1000).all(|_| !breakers.lost("p", 0, now)));
        assert_eq!(breakers.admits("p", now), Ok(()));
    }
}
