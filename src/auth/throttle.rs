//! Guessing passwords is slow: after a few failures each further attempt has to wait, longer and longer, for
//! the name and for the address alike.
//!
//! - An attempt counts before it is looked at, so that many at the same time gain nothing.
//! - Whoever logged in from an address before is counted there by himself: others cannot lock him out by
//!   failing under his name.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use nemo_events::Digest;
use nemo_projections::operator::comparable;

const DOMAIN: &[u8] = b"nemo/throttle/v1";
/// Names and addresses that are remembered.
const KEPT: u64 = 20_000;
/// Failures are forgotten after so long without another one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
/// An address from which somebody logged in is known for so long.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How patient one side of the throttle is.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Failures without a wait.
    free: u32,
    /// The longest wait.
    longest: Duration,
}

const OF_NAMES: Patience = Patience { free: 5, longest: Duration::from_secs(60) };
const OF_ADDRESSES: Patience = Patience { free: 20, longest: Duration::from_secs(900) };

/// Attempts to log in, by name and by address.
#[derive(Debug)]
pub struct Throttle {
    names: Cache<Digest, Arc<Mutex<Tries>>>,
    addresses: Cache<IpAddr, Arc<Mutex<Tries>>>,
    known: Cache<Digest, ()>,
}

#[derive(Debug, Default)]
struct Tries {
    failures: u32,
    wait_until: Option<Instant>,
}

/// An attempt that was counted as a failure already.
#[derive(Debug)]
pub struct Attempt {
    name: Arc<Mutex<Tries>>,
    address: Option<Arc<Mutex<Tries>>>,
    known: Option<Digest>,
}

impl Default for Throttle {
    fn default() -> Self {
        let kept = |idle| Cache::builder().max_capacity(KEPT).time_to_idle(idle);
        Self {
            names: kept(FORGOTTEN_AFTER).build(),
            addresses: Cache::builder().max_capacity(KEPT).time_to_idle(FORGOTTEN_AFTER).build(),
            known: Cache::builder().max_capacity(KEPT).time_to_live(KNOWN_FOR).build(),
        }
    }
}

impl Throttle {
    /// Lets an attempt through, or says how long to wait. An attempt that is turned away costs nothing.
    ///
    /// # Errors
    /// How long.
    pub fn begin(&self, name: &str, address: Option<IpAddr>, now: Instant) -> Result<Attempt, Duration> {
        let name = comparable(name);
        let address = address.map(network);
        let place = address.map(|address| address.to_string()).unwrap_or_default();
        let here = Digest::of_fields(DOMAIN, &[name.as_bytes(), place.as_bytes()]);
        let is_known = self.known.contains_key(&here);
        let named = if is_known { here } else { Digest::of_fields(DOMAIN, &[name.as_bytes()]) };
        let of_name = self.names.get_with(named, Arc::default);
        let of_address = address.map(|address| self.addresses.get_with(address, Arc::default));
        {
            let mut tries = lock(&of_name);
            let mut others = of_address.as_ref().map(|tries| lock(tries));
            let waits = tries.waits(now).max(others.as_ref().and_then(|tries| tries.waits(now)));
            if let Some(wait) = waits {
                return Err(wait);
            }
            tries.fail(OF_NAMES, now);
            if let Some(tries) = &mut others {
                tries.fail(OF_ADDRESSES, now);
            }
        }
        Ok(Attempt { name: of_name, address: of_address, known: address.map(|_| here) })
    }

    /// The attempt was no failure.
    pub fn succeeded(&self, attempt: &Attempt) {
        *lock(&attempt.name) = Tries::default();
        attempt.take_back_address();
        if let Some(known) = attempt.known {
            self.known.insert(known, ());
        }
    }
}

impl Attempt {
    /// Nothing was learned from it: it could not be looked at.
    pub fn take_back(&self) {
        lock(&self.name).take_back();
        self.take_back_address();
    }

    fn take_back_address(&self) {
        if let Some(address) = &self.address {
            lock(address).take_back();
        }
    }
}

impl Tries {
    fn waits(&self, now: Instant) -> Option<Duration> {
        self.wait_until?.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    fn fail(&mut self, patience: Patience, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.wait_until = self.failures.checked_sub(patience.free).map(|beyond| {
            let wait = Duration::from_secs(1_u64.checked_shl(beyond).unwrap_or(u64::MAX));
            now + wait.min(patience.longest)
        });
    }

    fn take_back(&mut self) {
        self.failures = self.failures.saturating_sub(1);
        self.wait_until = None;
    }
}

/// One house has many addresses of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

fn lock(tries: &Mutex<Tries>) -> MutexGuard<'_, Tries> {
    tries.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// How many attempts get through in a day if each is made as soon as it may be.
    fn in_a_day(throttle: &Throttle, name: &str, address: impl Fn(u32) -> Option<IpAddr>) -> u32 {
        let (start, mut now, mut through) = (Instant::now(), Instant::now(), 0);
        while now - start < Duration::from_secs(24 * 3_600) {
            match throttle.begin(name, address(through), now) {
                Ok(_) => through += 1,
                Err(wait) => now += wait,
            }
        }
        through
    }

    #[test]
    fn the_waits_grow_and_guessing_gets_nowhere() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..OF_NAMES.free {
            throttle.begin("Ada", ip("203.0.113.7"), now).unwrap();
        }
        assert_eq!(throttle.begin(" ADA ", ip("198.51.100.1"), now).unwrap_err(), Duration::from_secs(1));
        let later = now + Duration::from_secs(1);
        throttle.begin("ada", ip("198.51.100.1"), later).unwrap();
        assert_eq!(throttle.begin("ada", ip("198.51.100.1"), later).unwrap_err(), Duration::from_secs(2));
        throttle.begin("bo", ip("198.51.100.1"), later).unwrap();
        let guesses = in_a_day(&Throttle::default(), "ada", |n| ip(&format!("10.0.{}.{}", n / 250, n % 250)));
        assert!(guesses < 1_500, "{guesses} guesses at one name in a day, from many addresses");
    }

    #[test]
    fn one_address_cannot_try_many_names() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let through =
            (0..1_000).filter(|n| throttle.begin(&format!("name {n}"), ip("203.0.113.7"), now).is_ok());
        assert_eq!(through.count(), usize::try_from(OF_ADDRESSES.free).unwrap());
        let house = (0..1_000)
            .filter(|n| throttle.begin(&format!("n {n}"), ip(&format!("2001:db8::{n}")), now).is_ok());
        assert_eq!(house.count(), usize::try_from(OF_ADDRESSES.free).unwrap());
    }

    #[test]
    fn nobody_is_locked_out_of_where_he_logged_in_before() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let attempt = throttle.begin("ada", ip("203.0.113.7"), now).unwrap();
        throttle.succeeded(&attempt);
        for n in 0..100 {
            let _ = throttle.begin("ada", ip(&format!("10.0.0.{n}")), now);
        }
        assert!(throttle.begin("ada", ip("10.0.1.1"), now).is_err());
        assert!(throttle.begin("ada", ip("203.0.113.7"), now).is_ok());
    }

    #[test]
    fn a_success_and_what_could_not_be_looked_at_cost_nothing() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..50 {
            let attempt = throttle.begin("ada", ip("203.0.113.7"), now).unwrap();
            throttle.succeeded(&attempt);
            throttle.begin("bo", ip("203.0.113.7"), now).unwrap().take_back();
        }
    }
}
