//! Calls that wait for money which other calls of their key hold, or other keys of their org. Who waits is only asked
//! again: what is decided is decided on the streams, as ever.
//!
//! - One line for each key, and one for each org, first come first served. Only its head is asked again, whenever something happened to
//!   the key, or to any key of the org, on whichever node: a large call is not passed for ever by small ones.
//! - A line is bounded, and so is each wait in it. Whoever leaves, leaves it at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nemo_events::{KeyId, OrgId};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// How many calls wait in one line at most.
const LONGEST: usize = 64;

/// Whose money a line waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whose {
    /// A key's.
    Key(KeyId),
    /// An org's.
    Org(OrgId),
}

impl From<KeyId> for Whose {
    fn from(key: KeyId) -> Self {
        Self::Key(key)
    }
}

impl From<OrgId> for Whose {
    fn from(org: OrgId) -> Self {
        Self::Org(org)
    }
}

/// The lines in which somebody waits.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Mutex<HashMap<Whose, Arc<Line>>>,
}

#[derive(Debug)]
struct Line {
    /// Fair: the head has it.
    head: Semaphore,
    stirred: Notify,
    length: AtomicUsize,
}

/// A place in a line; leaving it leaves the line.
#[derive(Debug)]
pub struct Waiter<'a> {
    lines: &'a Lines,
    whose: Whose,
    line: Arc<Line>,
}

impl Lines {
    /// Whether nobody waits for money of this key or org.
    pub fn is_empty(&self, whose: impl Into<Whose>) -> bool {
        !self.lock().contains_key(&whose.into())
    }

    /// Whether anybody waits for money of an org.
    pub fn any_of_orgs(&self) -> bool {
        self.lock().keys().any(|whose| matches!(whose, Whose::Org(_)))
    }

    /// How many calls wait.
    pub fn count(&self) -> usize {
        self.lock().values().map(|line| line.length.load(Ordering::Relaxed)).sum()
    }

    /// Takes a place at the end of a line, unless that is full.
    pub fn join(&self, whose: impl Into<Whose>) -> Option<Waiter<'_>> {
        let whose = whose.into();
        let mut lines = self.lock();
        let line = lines.entry(whose).or_insert_with(|| {
            Arc::new(Line { head: Semaphore::new(1), stirred: Notify::new(), length: AtomicUsize::new(0) })
        });
        if line.length.load(Ordering::Relaxed) >= LONGEST {
            return None;
        }
        line.length.fetch_add(1, Ordering::Relaxed);
        Some(Waiter { lines: self, whose, line: Arc::clone(line) })
    }

    /// Something happened to a key, or to one of an org: whoever is first in its line may fit now.
    pub fn stir(&self, whose: impl Into<Whose>) {
        if let Some(line) = self.lock().get(&whose.into()) {
            line.stirred.notify_waiters();
        }
    }

    /// Lengths change under this lock only.
    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Waits until everybody who came before has left. The head is whoever has the permit.
    pub async fn head(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.line.head.acquire().await.ok()
    }

    /// Comes once something happened from now on: to be enabled before the look that it is for.
    pub fn stirred(&self) -> Notified<'_> {
        self.line.stirred.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        if self.line.length.fetch_sub(1, Ordering::Relaxed) == 1 {
            lines.remove(&self.whose);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use futures_util::FutureExt as _;

    use super::*;

    fn key(n: u64) -> KeyId {
        KeyId::from_digits(&format!("{n:011}")).unwrap()
    }

    #[test]
    fn whoever_comes_first_is_first_and_whoever_leaves_makes_room() {
        let lines = Lines::default();
        let [one, two, three] = [(); 3].map(|()| lines.join(key(1)).unwrap());
        let (mut second, mut third) = (Box::pin(two.head()), Box::pin(three.head()));
        let first = one.head().now_or_never().unwrap();
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        // The second gives up: nobody waits for it any more.
        drop(second);
        drop(two);
        drop(first);
        assert!(third.as_mut().now_or_never().is_some());
        assert_eq!(lines.count(), 2);
    }

    #[test]
    fn a_line_is_bounded_and_gone_with_its_last() {
        let lines = Lines::default();
        let waiters: Vec<_> = (0..LONGEST).map(|_| lines.join(key(1)).unwrap()).collect();
        assert!(lines.join(key(1)).is_none() && lines.join(key(2)).is_some(), "each key has its own");
        assert!(!lines.is_empty(key(1)) && lines.is_empty(key(2)));
        drop(waiters);
        assert!(lines.is_empty(key(1)) && lines.count() == 0);
    }

    #[test]
    fn a_stir_between_a_look_and_the_wait_is_not_missed() {
        let lines = Lines::default();
        let waiter = lines.join(key(1)).unwrap();
        let mut stirred = Box::pin(waiter.stirred());
        stirred.as_mut().enable();
        lines.stir(key(2));
        assert!(stirred.as_mut().now_or_never().is_none(), "another key's");
        lines.stir(key(1));
        assert!(stirred.as_mut().now_or_never().is_some());
    }
}
