//! Bounds what strangers can make the store read: unknown ids are remembered for a second, and each
//! address may have only so many looked up.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use nemo_events::KeyId;

const UNKNOWN_FOR: Duration = Duration::from_secs(1);
const UNKNOWN_KEPT: u64 = 10_000;
const WINDOW: Duration = Duration::from_secs(10);
const LOOKUPS_PER_WINDOW: u32 = 200;
const ADDRESSES_KEPT: u64 = 10_000;

/// Unknown ids, and look-ups of them by address.
pub struct ColdMisses {
    unknown: Cache<KeyId, ()>,
    lookups: Cache<IpAddr, Arc<AtomicU32>>,
}

impl Default for ColdMisses {
    fn default() -> Self {
        Self {
            unknown: Cache::builder().max_capacity(UNKNOWN_KEPT).time_to_live(UNKNOWN_FOR).build(),
            lookups: Cache::builder().max_capacity(ADDRESSES_KEPT).time_to_live(WINDOW).build(),
        }
    }
}

impl ColdMisses {
    /// Whether an id was found unknown within the last second.
    #[must_use]
    pub fn is_unknown(&self, id: KeyId) -> bool {
        self.unknown.contains_key(&id)
    }

    /// Remembers that an id is unknown, and who asked.
    pub fn missed(&self, id: KeyId, address: IpAddr) {
        self.unknown.insert(id, ());
        self.lookups.get_with(address, Arc::default).fetch_add(1, Ordering::Relaxed);
    }

    /// Whether an address may have another id looked up.
    #[must_use]
    pub fn may_look_up(&self, address: IpAddr) -> bool {
        self.lookups.get(&address).is_none_or(|count| count.load(Ordering::Relaxed) < LOOKUPS_PER_WINDOW)
    }

    /// After how many microseconds an address may look up again, at most.
    #[must_use]
    pub const fn retry_after_micros() -> u64 {
        WINDOW.as_secs() * 1_000_000
    }
}
