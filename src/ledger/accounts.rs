//! The accounts in memory: moka holds those used lately, weighed in bytes; whoever works on one holds
//! it strongly. Eviction means reading again, never allowing, and never makes a second account.
//!
//! Only `entry().and_compute_with` writes into the cache: it runs one computation at a time for each
//! key, so that a slow loader cannot overwrite a newer account.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use moka::future::Cache;
use moka::ops::compute::Op;

use super::Core;
use super::account::Account;
use super::command::ExecuteError;
use super::fold::Fold;

const SHARDS: usize = 64;
/// Below this many entries a shard is not swept.
const SWEEP_FROM: usize = 64;

/// All accounts of one kind.
pub struct Accounts<F: Fold> {
    core: Arc<Core>,
    cache: Cache<F::Id, Arc<Account<F>>>,
    /// Every account that anybody holds, in shards by hash.
    held: Box<[Mutex<Shard<F>>]>,
    hasher: RandomState,
}

struct Shard<F: Fold> {
    accounts: HashMap<F::Id, Weak<Account<F>>>,
    /// How many entries there may be before those of accounts that are gone are dropped.
    sweep_at: usize,
}

impl<F: Fold> Accounts<F> {
    pub(super) fn new(core: Arc<Core>, max_bytes: u64) -> Self {
        let weigher =
            |_: &F::Id, account: &Arc<Account<F>>| u32::try_from(account.tell_weight()).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(max_bytes).weigher(weigher).build();
        let shard = |_| Mutex::new(Shard { accounts: HashMap::new(), sweep_at: SWEEP_FROM });
        Self { core, cache, held: (0..SHARDS).map(shard).collect(), hasher: RandomState::new() }
    }

    /// The account, read from the store if nobody has it.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn get(&self, id: F::Id) -> Result<Arc<Account<F>>, ExecuteError> {
        if let Some(account) = self.live(id) {
            self.keep(&account).await;
            return Ok(account);
        }
        let mut found = None;
        let load = async |_| {
            // One at a time for each key: whoever came before may have it. What is in the cache is held.
            let account = match self.live(id) {
                Some(account) => account,
                None => self.load(id).await?,
            };
            found = Some(Arc::clone(&account));
            // What does not exist is not kept: an id is cheap to invent.
            Ok::<_, ExecuteError>(if account.exists() { Op::Put(account) } else { Op::Nop })
        };
        self.cache.entry(id).and_try_compute_with(load).await?;
        found.ok_or_else(|| ExecuteError::Unavailable("the account was lost".to_owned()))
    }

    /// The account if anybody holds it.
    pub fn live(&self, id: F::Id) -> Option<Arc<Account<F>>> {
        self.held(id).filter(|account| account.is_loaded())
    }

    /// The same, also while its stream is being read for the first time: for those who tell it of events.
    pub(super) fn held(&self, id: F::Id) -> Option<Arc<Account<F>>> {
        self.shard(id)?.accounts.get(&id)?.upgrade()
    }

    /// Tells the cache that an account is in use, and what it weighs by now.
    pub(super) async fn keep(&self, account: &Arc<Account<F>>) {
        let cached = self.cache.get(&account.id()).await.is_some();
        if !account.exists() || (cached && !account.has_another_weight()) {
            return;
        }
        let put = async |_| Op::Put(Arc::clone(account));
        self.cache.entry(account.id()).and_compute_with(put).await;
    }

    /// Known before it is read, so that no event falls between the two.
    async fn load(&self, id: F::Id) -> Result<Arc<Account<F>>, ExecuteError> {
        let account = Arc::new(Account::unread(id, Arc::clone(&self.core)));
        self.remember(&account);
        account.read().await?;
        Ok(account)
    }

    fn remember(&self, account: &Arc<Account<F>>) {
        let Some(mut shard) = self.shard(account.id()) else { return };
        if shard.accounts.len() >= shard.sweep_at {
            shard.accounts.retain(|_, held| held.strong_count() > 0);
            shard.sweep_at = shard.accounts.len().saturating_mul(2).max(SWEEP_FROM);
        }
        shard.accounts.insert(account.id(), Arc::downgrade(account));
    }

    fn shard(&self, id: F::Id) -> Option<MutexGuard<'_, Shard<F>>> {
        let hash = usize::try_from(self.hasher.hash_one(id) % SHARDS as u64).unwrap_or_default();
        self.held.get(hash).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
impl<F: Fold> Accounts<F> {
    /// Does the cache's housekeeping now. Returns how many accounts it has and what they weigh to it.
    pub(super) async fn tidy_up(&self) -> (u64, u64) {
        self.cache.run_pending_tasks().await;
        (self.cache.entry_count(), self.cache.weighted_size())
    }

    /// How many entries the map of held accounts has, those of accounts that are gone included.
    pub(super) fn entries(&self) -> usize {
        self.held.iter().map(|shard| shard.lock().map_or(0, |shard| shard.accounts.len())).sum()
    }
}
