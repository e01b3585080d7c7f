//! The head of every stream, in memory: what appends are checked against, and what stream reads must
//! reach. The writer publishes after each durable commit; readers take one shard for an instant.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

use nemo_events::{StreamHead, StreamName};

const SHARDS: usize = 64;

type Shard = RwLock<HashMap<StreamName, StreamHead>>;

#[derive(Debug)]
pub(super) struct Heads {
    shards: Vec<Shard>,
    hasher: RandomState,
}

impl Heads {
    pub(super) fn new(heads: impl IntoIterator<Item = (StreamName, StreamHead)>) -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        let new = Self { shards, hasher: RandomState::new() };
        for (stream, head) in heads {
            new.set(stream, head);
        }
        new
    }

    /// The stream's durable head.
    pub(super) fn get(&self, stream: &StreamName) -> StreamHead {
        let Some(shard) = self.shard(stream) else { return StreamHead::EMPTY };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(stream).copied().unwrap_or(StreamHead::EMPTY)
    }

    pub(super) fn set(&self, stream: StreamName, head: StreamHead) {
        if let Some(shard) = self.shard(&stream) {
            shard.write().unwrap_or_else(PoisonError::into_inner).insert(stream, head);
        }
    }

    /// How many streams there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Always a shard: the remainder is below their number.
    fn shard(&self, stream: &StreamName) -> Option<&Shard> {
        let hash = self.hasher.hash_one(stream);
        self.shards.get((hash % SHARDS as u64) as usize)
    }
}
