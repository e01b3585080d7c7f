//! The accounts in memory: moka holds those used lately, weighed in bytes; whoever works on one holds
//! it strongly. Eviction means reading again, never allowing, and never makes a second account.
//!
//! Only `entry().and_compute_with` writes into the cache: it runs one computation at a time for each
//! key, so that a slow loader cannot overwrite a newer account.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use moka::future::Cache;
use moka::ops::compute::{CompResult, Op};

use super::Core;
use super::account::Account;
use super::command::ExecuteError;
use super::fold::Fold;

const SHARDS: usize = 64;

/// All accounts of one kind.
pub struct Accounts<F: Fold> {
    core: Arc<Core>,
    cache: Cache<F::Id, Arc<Account<F>>>,
    /// Every account that anybody holds, in shards by hash.
    live: Box<[Mutex<HashMap<F::Id, Weak<Account<F>>>>]>,
    hasher: RandomState,
}

impl<F: Fold> Accounts<F> {
    pub(super) fn new(core: Arc<Core>, max_bytes: u64) -> Self {
        let weigher = |_: &F::Id, account: &Arc<Account<F>>| u32::try_from(account.weight()).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(max_bytes).weigher(weigher).build();
        let live = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        Self { core, cache, live, hasher: RandomState::new() }
    }

    /// The account, read from the store if nobody has it.
    ///
    /// # Errors
    /// Where the stream cannot be read.
    pub async fn get(&self, id: F::Id) -> Result<Arc<Account<F>>, ExecuteError> {
        if let Some(account) = self.live(id) {
            // Tells the cache that the key is in use.
            if self.cache.get(&id).await.is_some() {
                return Ok(account);
            }
        }
        let mut loaded = None;
        let computed = self
            .cache
            .entry(id)
            .and_try_compute_with(|entry| async {
                if let Some(entry) = entry {
                    return Ok(Op::Put(entry.into_value()));
                }
                let account = match self.live(id) {
                    Some(account) => account,
                    None => self.remember(Account::load(id, Arc::clone(&self.core)).await?),
                };
                loaded = Some(Arc::clone(&account));
                // What does not exist is not kept: an id is cheap to invent.
                Ok::<_, ExecuteError>(if account.revision().is_some() { Op::Put(account) } else { Op::Nop })
            })
            .await?;
        let kept = match computed {
            CompResult::Inserted(entry) | CompResult::ReplacedWith(entry) | CompResult::Unchanged(entry) => {
                Some(entry.into_value())
            }
            CompResult::StillNone(_) | CompResult::Removed(_) => None,
        };
        kept.or(loaded).ok_or_else(|| ExecuteError::Unavailable("the account was lost".to_owned()))
    }

    /// The account if anybody holds it.
    pub fn live(&self, id: F::Id) -> Option<Arc<Account<F>>> {
        self.shard(id)?.get(&id)?.upgrade()
    }

    fn remember(&self, account: Account<F>) -> Arc<Account<F>> {
        let account = Arc::new(account);
        if let Some(mut shard) = self.shard(account.id()) {
            if shard.len().is_power_of_two() {
                shard.retain(|_, held| held.strong_count() > 0);
            }
            shard.insert(account.id(), Arc::downgrade(&account));
        }
        account
    }

    fn shard(&self, id: F::Id) -> Option<std::sync::MutexGuard<'_, HashMap<F::Id, Weak<Account<F>>>>> {
        let hash = usize::try_from(self.hasher.hash_one(id) % SHARDS as u64).unwrap_or_default();
        self.live.get(hash).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
