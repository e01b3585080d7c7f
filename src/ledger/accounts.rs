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
use tokio::sync::Semaphore;

use super::Core;
use super::account::Account;
use super::command::ExecuteError;
use super::fold::Fold;

const SHARDS: usize = 64;
/// Streams that are read for the first time at the same time: while the store hangs, nobody else begins.
const LOADS_AT_MOST: usize = 1_024;
/// Below this many entries a shard is not swept.
const SWEEP_FROM: usize = 64;

/// All accounts of one kind.
pub struct Accounts<F: Fold> {
    core: Arc<Core>,
    cache: Cache<F::Id, Arc<Account<F>>>,
    /// Every account that anybody holds, in shards by hash.
    held: Box<[Mutex<Shard<F>>]>,
    loading: Arc<Semaphore>,
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
        let held = (0..SHARDS).map(shard).collect();
        Self {
            core,
            cache,
            held,
            loading: Arc::new(Semaphore::new(LOADS_AT_MOST)),
            hasher: RandomState::new(),
        }
    }

    /// The account, read from the store if nobody has it. Whoever asks for the same one meanwhile waits for
    /// the same reading, which goes on if all of them give up: a long stream is read in the end, however
    /// impatient its callers are.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn get(&self, id: F::Id) -> Result<Arc<Account<F>>, ExecuteError> {
        let account = self.held_or_new(id)?;
        if !account.is_loaded() {
            if account.begin_loading() {
                self.load(&account)?;
            }
            account.loaded().await?;
        }
        self.keep(&account).await;
        Ok(account)
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
        keep(&self.cache, account).await;
    }

    /// Every account that anybody holds, the cache included.
    pub(super) fn in_memory(&self) -> Vec<Arc<Account<F>>> {
        let shards = self.held.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        let held =
            shards.flat_map(|shard| shard.accounts.values().filter_map(Weak::upgrade).collect::<Vec<_>>());
        held.filter(|account| account.is_loaded()).collect()
    }

    /// Ends of calls that wait in any account.
    pub(super) fn unwritten_ends(&self) -> usize {
        let shards = self.held.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        let held =
            shards.flat_map(|shard| shard.accounts.values().filter_map(Weak::upgrade).collect::<Vec<_>>());
        held.map(|account| account.unwritten_ends()).sum()
    }

    /// Reads the stream in a task that only the store ends.
    fn load(&self, account: &Arc<Account<F>>) -> Result<(), ExecuteError> {
        let seat = Arc::clone(&self.loading).try_acquire_owned().map_err(|_| {
            let busy = ExecuteError::Unavailable("too many streams are being read".to_owned());
            account.end_loading(Err(busy.clone()));
            busy
        })?;
        let (account, cache) = (Arc::clone(account), self.cache.clone());
        let work = async move {
            let _seat = seat;
            let mut outcome = Outcome { account: &account, read: None };
            let read = account.read().await;
            if read.is_ok() {
                keep(&cache, &account).await;
            }
            outcome.read = Some(read);
        };
        self.core.tasks.spawn_on(work, &self.core.runtime);
        Ok(())
    }

    /// Known before it is read, so that no event falls between the two; and the only one of its id.
    fn held_or_new(&self, id: F::Id) -> Result<Arc<Account<F>>, ExecuteError> {
        let lost = || ExecuteError::Unavailable("the account was lost".to_owned());
        let mut shard = self.shard(id).ok_or_else(lost)?;
        if let Some(account) = shard.accounts.get(&id).and_then(Weak::upgrade) {
            return Ok(account);
        }
        if shard.accounts.len() >= shard.sweep_at {
            shard.accounts.retain(|_, held| held.strong_count() > 0);
            shard.sweep_at = shard.accounts.len().saturating_mul(2).max(SWEEP_FROM);
        }
        let account = Arc::new(Account::unread(id, Arc::clone(&self.core)));
        shard.accounts.insert(id, Arc::downgrade(&account));
        Ok(account)
    }

    fn shard(&self, id: F::Id) -> Option<MutexGuard<'_, Shard<F>>> {
        let hash = usize::try_from(self.hasher.hash_one(id) % SHARDS as u64).unwrap_or_default();
        self.held.get(hash).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What does not exist is not kept: an id is cheap to invent.
async fn keep<F: Fold>(cache: &Cache<F::Id, Arc<Account<F>>>, account: &Arc<Account<F>>) {
    let cached = cache.get(&account.id()).await.is_some();
    if !account.exists() || (cached && !account.has_another_weight()) {
        return;
    }
    let put = async |_| Op::Put(Arc::clone(account));
    cache.entry(account.id()).and_compute_with(put).await;
}

/// Ends a reading, whatever becomes of it: a panic must not leave everybody waiting.
struct Outcome<'a, F: Fold> {
    account: &'a Account<F>,
    read: Option<Result<(), ExecuteError>>,
}

impl<F: Fold> Drop for Outcome<'_, F> {
    fn drop(&mut self) {
        let lost = || Err(ExecuteError::Unavailable("the reading of the stream was lost".to_owned()));
        self.account.end_loading(self.read.take().unwrap_or_else(lost));
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
