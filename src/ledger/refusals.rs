//! Refusals, coalesced per key, code and address, so that a flood costs one event a minute.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nemo_events::key::{CallsRefused, RefusalCount};
use nemo_events::{KeyId, Timestamp};

/// Addresses that are named in one event; the rest is counted together.
const ADDRESSES: usize = 16;
/// Distinct addresses beyond those that are told apart while counting.
const OTHERS: usize = 4_096;

/// Refusals of one key since they were last written.
#[derive(Debug)]
pub struct Tally {
    since: Timestamp,
    named: BTreeMap<(&'static str, String), u64>,
    addresses: BTreeSet<String>,
    others: BTreeMap<&'static str, (BTreeSet<u64>, u64)>,
}

impl Tally {
    /// An empty tally.
    #[must_use]
    pub const fn new(since: Timestamp) -> Self {
        Self { since, named: BTreeMap::new(), addresses: BTreeSet::new(), others: BTreeMap::new() }
    }

    /// Counts one refusal.
    pub fn count(&mut self, code: &'static str, address: Option<&str>) {
        let address = address.unwrap_or("unknown");
        if self.addresses.contains(address) || self.addresses.len() < ADDRESSES {
            self.addresses.insert(address.to_owned());
            let count = self.named.entry((code, address.to_owned())).or_default();
            *count = count.saturating_add(1);
            return;
        }
        let (distinct, count) = self.others.entry(code).or_default();
        *count = count.saturating_add(1);
        if distinct.len() < OTHERS {
            use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
            distinct.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one(address));
        }
    }

    /// The counts as an event records them.
    #[must_use]
    pub fn into_counts(self) -> (Timestamp, Vec<RefusalCount>) {
        let named = self.named.into_iter().map(|((code, address), count)| RefusalCount {
            code: code.to_owned(),
            address: Some(address),
            other_addresses: None,
            count,
        });
        let others = self.others.into_iter().map(|(code, (distinct, count))| RefusalCount {
            code: code.to_owned(),
            address: None,
            other_addresses: Some(distinct.len() as u64),
            count,
        });
        (self.since, named.chain(others).collect())
    }
}

/// The tallies of all keys, and one of what is no key of ours.
#[derive(Debug, Default)]
pub struct Refusals {
    keys: Mutex<HashMap<KeyId, Tally>>,
    strangers: Mutex<Option<Tally>>,
    /// How many keys have a tally: lets the hot path skip the lock.
    waiting: AtomicUsize,
}

impl Refusals {
    /// Counts a refusal of a key.
    pub fn count(&self, key: KeyId, code: &'static str, address: Option<&str>, now: Timestamp) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.entry(key).or_insert_with(|| Tally::new(now)).count(code, address);
        self.waiting.store(keys.len(), Ordering::Release);
    }

    /// Counts a presented string that is no key of ours.
    pub fn count_stranger(&self, code: &'static str, address: Option<&str>, now: Timestamp) {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        strangers.get_or_insert_with(|| Tally::new(now)).count(code, address);
    }

    /// Takes a key's refusals, to be written with its next append.
    pub fn take(&self, key: KeyId) -> Option<CallsRefused> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = keys.remove(&key)?;
        self.waiting.store(keys.len(), Ordering::Release);
        drop(keys);
        let (since, refusals) = tally.into_counts();
        Some(CallsRefused { since, refusals })
    }

    /// The keys whose refusals wait.
    pub fn keys(&self) -> Vec<KeyId> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Takes what was presented and is no key of ours.
    pub fn take_strangers(&self) -> Option<(Timestamp, Vec<RefusalCount>)> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner).take().map(Tally::into_counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventeenth_address_is_counted_with_the_rest() {
        let mut tally = Tally::new(Timestamp::EPOCH);
        for n in 0..20 {
            tally.count("key_blocked", Some(&format!("10.0.0.{n}")));
            tally.count("key_blocked", Some(&format!("10.0.0.{n}")));
        }
        let (_, counts) = tally.into_counts();
        assert_eq!(counts.len(), 17);
        let rest = counts.last().map(|c| (c.address.clone(), c.other_addresses, c.count));
        assert_eq!(rest, Some((None, Some(4), 8)));
        assert_eq!(counts.iter().map(|c| c.count).sum::<u64>(), 40);
    }
}
