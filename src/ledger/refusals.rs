//! Refusals, coalesced per key, code and address, so that a flood costs one event a minute.
//!
//! Whoever takes a tally to write it down holds it in a [`Taken`]: unless it was written, it goes back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nemo_events::key::RefusalCount;
use nemo_events::{KeyId, Timestamp};

/// Addresses that are named in one event; the rest is counted together.
const ADDRESSES: usize = 16;
/// Distinct addresses beyond those that are told apart while counting.
const OTHERS: usize = 4_096;

/// Refusals of one key since they were last written.
#[derive(Debug, Clone)]
struct Tally {
    since: Timestamp,
    named: BTreeMap<(&'static str, String), u64>,
    addresses: BTreeSet<String>,
    others: BTreeMap<&'static str, Others>,
}

/// Refusals of addresses that are not named.
#[derive(Debug, Clone, Default)]
struct Others {
    distinct: BTreeSet<u64>,
    count: u64,
}

impl Tally {
    const fn new(since: Timestamp) -> Self {
        Self { since, named: BTreeMap::new(), addresses: BTreeSet::new(), others: BTreeMap::new() }
    }

    fn count(&mut self, code: &'static str, address: &str, more: u64) {
        if self.addresses.contains(address) || self.addresses.len() < ADDRESSES {
            self.addresses.insert(address.to_owned());
            let count = self.named.entry((code, address.to_owned())).or_default();
            *count = count.saturating_add(more);
        } else {
            self.others.entry(code).or_default().add(more, [digest(address)]);
        }
    }

    /// Adds what was counted after this tally was taken.
    fn add_later(&mut self, later: Self) {
        for ((code, address), count) in later.named {
            self.count(code, &address, count);
        }
        for (code, others) in later.others {
            self.others.entry(code).or_default().add(others.count, others.distinct);
        }
    }

    /// The counts as an event records them.
    fn counts(&self) -> Vec<RefusalCount> {
        let named = self.named.iter().map(|((code, address), count)| RefusalCount {
            code: (*code).to_owned(),
            address: Some(address.clone()),
            other_addresses: None,
            count: *count,
        });
        let others = self.others.iter().map(|(code, others)| RefusalCount {
            code: (*code).to_owned(),
            address: None,
            other_addresses: Some(others.distinct.len() as u64),
            count: others.count,
        });
        named.chain(others).collect()
    }
}

impl Others {
    fn add(&mut self, count: u64, addresses: impl IntoIterator<Item = u64>) {
        self.count = self.count.saturating_add(count);
        for address in addresses {
            if self.distinct.len() < OTHERS {
                self.distinct.insert(address);
            }
        }
    }
}

fn digest(address: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(address)
}

/// The tallies of all keys, and one of what is no key of ours.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    keys: Mutex<HashMap<KeyId, Tally>>,
    strangers: Mutex<Option<Tally>>,
    /// How many keys have a tally: lets the hot path skip the lock.
    waiting: AtomicUsize,
}

/// A tally on its way to the ledger. Goes back where it came from unless it was written.
#[derive(Debug)]
pub(super) struct Taken {
    refusals: Arc<Refusals>,
    /// `None`: what was presented and is no key of ours.
    key: Option<KeyId>,
    tally: Option<Tally>,
}

impl Refusals {
    /// Counts a refusal of a key.
    pub(super) fn count(&self, key: KeyId, code: &'static str, address: Option<&str>, now: Timestamp) {
        let mut keys = lock(&self.keys);
        keys.entry(key).or_insert_with(|| Tally::new(now)).count(code, address.unwrap_or(UNKNOWN), 1);
        self.waiting.store(keys.len(), Ordering::Release);
    }

    /// Counts a presented string that is no key of ours.
    pub(super) fn count_stranger(&self, code: &'static str, address: Option<&str>, now: Timestamp) {
        let mut strangers = lock(&self.strangers);
        strangers.get_or_insert_with(|| Tally::new(now)).count(code, address.unwrap_or(UNKNOWN), 1);
    }

    /// Takes a key's refusals, to be written with its next append.
    pub(super) fn take(self: &Arc<Self>, key: KeyId) -> Option<Taken> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut keys = lock(&self.keys);
        let tally = keys.remove(&key)?;
        self.waiting.store(keys.len(), Ordering::Release);
        Some(Taken { refusals: Arc::clone(self), key: Some(key), tally: Some(tally) })
    }

    /// Takes what was presented and is no key of ours.
    pub(super) fn take_strangers(self: &Arc<Self>) -> Option<Taken> {
        let tally = lock(&self.strangers).take()?;
        Some(Taken { refusals: Arc::clone(self), key: None, tally: Some(tally) })
    }

    /// The keys whose refusals wait.
    pub(super) fn keys(&self) -> Vec<KeyId> {
        lock(&self.keys).keys().copied().collect()
    }

    fn put_back(&self, key: Option<KeyId>, mut tally: Tally) {
        match key {
            None => {
                let mut strangers = lock(&self.strangers);
                if let Some(later) = strangers.take() {
                    tally.add_later(later);
                }
                *strangers = Some(tally);
            }
            Some(key) => {
                let mut keys = lock(&self.keys);
                if let Some(later) = keys.remove(&key) {
                    tally.add_later(later);
                }
                keys.insert(key, tally);
                self.waiting.store(keys.len(), Ordering::Release);
            }
        }
    }
}

const UNKNOWN: &str = "unknown";

impl Taken {
    /// The first refusal's moment, and the counts as an event records them.
    pub(super) fn counts(&self) -> (Timestamp, Vec<RefusalCount>) {
        self.tally.as_ref().map_or((Timestamp::EPOCH, Vec::new()), |tally| (tally.since, tally.counts()))
    }

    /// An event with the counts is durable, or nobody will ever want them.
    pub(super) fn forget(&mut self) {
        self.tally = None;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(tally) = self.tally.take() {
            self.refusals.put_back(self.key, tally);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
