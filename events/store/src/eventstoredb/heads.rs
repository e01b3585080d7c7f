//! The last known event of streams in use, so that an append can be checked to continue the chain
//! without asking the server, which compares numbers only.
//!
//! Bounded: when the younger half is full, the older one is forgotten. What is forgotten is read again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nemo_events::{StreamHead, StreamName};

/// Streams in each half.
const HALF: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct Heads {
    halves: Mutex<Halves>,
}

#[derive(Debug, Default)]
struct Halves {
    younger: HashMap<StreamName, StreamHead>,
    older: HashMap<StreamName, StreamHead>,
}

impl Heads {
    /// The newest event that is known of a stream; there may be newer ones.
    pub(super) fn get(&self, stream: &StreamName) -> Option<StreamHead> {
        let halves = self.halves();
        halves.younger.get(stream).or_else(|| halves.older.get(stream)).copied()
    }

    /// An event of the stream was seen or written.
    pub(super) fn saw(&self, stream: &StreamName, head: StreamHead) {
        let mut halves = self.halves();
        let known = halves.younger.get(stream).or_else(|| halves.older.get(stream));
        if known.is_some_and(|known| known.revision >= head.revision) {
            return;
        }
        if halves.younger.len() >= HALF {
            halves.older = std::mem::take(&mut halves.younger);
        }
        halves.younger.insert(stream.clone(), head);
    }

    fn halves(&self) -> MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
