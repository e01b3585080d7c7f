//! Which behaviour the next request gets: a queue of single ones first, then the standing one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use super::behaviour::{At, Behaviour, How};
use super::lock;
use super::request::ChatRequest;

type Choose = Arc<dyn Fn(&ChatRequest) -> Behaviour + Send + Sync>;

/// What the test has ordered.
#[derive(Default)]
pub(super) struct Script {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<Behaviour>,
    standing: Standing,
}

enum Standing {
    Always(Box<Behaviour>),
    By(Choose),
}

impl Default for Standing {
    fn default() -> Standing {
        Standing::Always(Box::default())
    }
}

impl Script {
    pub(super) fn always(&self, behaviour: Behaviour) {
        lock(&self.inner).standing = Standing::Always(Box::new(behaviour));
    }

    pub(super) fn by(&self, choose: Choose) {
        lock(&self.inner).standing = Standing::By(choose);
    }

    pub(super) fn queue(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        lock(&self.inner).queue.extend(behaviours);
    }

    /// The behaviour for a request that was read.
    pub(super) fn next(&self, request: &ChatRequest) -> Behaviour {
        let choose = {
            let mut inner = lock(&self.inner);
            if let Some(behaviour) = inner.queue.pop_front() {
                return behaviour;
            }
            match &inner.standing {
                Standing::Always(behaviour) => return Behaviour::clone(behaviour),
                Standing::By(choose) => Arc::clone(choose),
            }
        };
        choose(request)
    }

    /// Takes the next behaviour if it breaks the connection at one of these points, before there is a
    /// request.
    pub(super) fn next_unread(&self, points: &[At]) -> Option<How> {
        let fits = |behaviour: &Behaviour| {
            behaviour.unread().filter(|(at, _)| points.contains(at)).map(|(_, how)| how)
        };
        let mut inner = lock(&self.inner);
        if let Some(first) = inner.queue.front() {
            let how = fits(first)?;
            inner.queue.pop_front();
            return Some(how);
        }
        match &inner.standing {
            Standing::Always(behaviour) => fits(behaviour),
            Standing::By(_) => None,
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({} queued)", lock(&self.inner).queue.len())
    }
}
