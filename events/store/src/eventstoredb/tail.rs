//! Where the ledger ends, in a log that others write to as well.
//!
//! The server can search backwards for the ledger's last event, but passes over everything behind it each
//! time: statistics, other ledgers, other applications. So what was passed over once is remembered: between
//! the ledger's last event and a known place of the log there is nothing of the ledger. Each look then
//! costs only what was written since the last one, and there is one every few seconds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventstore::{Credentials, ReadAllOptions, RecordedEvent};
use nemo_events::Position;
use tokio::sync::watch;

use super::link::{Link, LinkError};
use super::names::Names;
use super::pages::{Place, all};
use crate::Direction;

/// Events asked for when looking for one of the ledger's among those that the filter lets through.
const LOOK: usize = 64;

/// How a look is made.
pub(super) struct Look<'a> {
    pub(super) link: &'a Link,
    pub(super) names: &'a Names,
    pub(super) login: Option<&'a Credentials>,
    pub(super) timeout: Duration,
    pub(super) scan_timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Tail {
    known: Mutex<Option<Known>>,
    head: watch::Sender<Option<Position>>,
}

/// Behind `head` and up to `end` nothing is the ledger's.
#[derive(Debug, Clone, Copy)]
struct Known {
    head: Option<Position>,
    end: u64,
}

impl Default for Tail {
    fn default() -> Self {
        Self { known: Mutex::new(None), head: watch::Sender::new(None) }
    }
}

impl Tail {
    /// The newest position of the ledger that was seen.
    pub(super) fn watch(&self) -> watch::Receiver<Option<Position>> {
        self.head.subscribe()
    }

    /// The last event of the ledger, as far as it is known.
    pub(super) fn known_head(&self) -> Option<Position> {
        self.known().and_then(|known| known.head)
    }

    /// An event of the ledger is there.
    pub(super) fn saw(&self, position: Position) {
        let mut known = self.known();
        if let Some(known) = known.as_mut()
            && Some(position) > known.head
        {
            known.head = Some(position);
            known.end = known.end.max(position.0);
        }
        drop(known);
        self.tell(position);
    }

    /// The last event of the ledger.
    pub(super) async fn refresh(&self, look: &Look<'_>) -> Result<Option<Position>, LinkError> {
        let before = *self.known();
        let Some(end) = look.end_of_log().await? else { return Ok(None) };
        let head = match before {
            Some(known) if end <= known.end => return Ok(known.head.max(self.known_head())),
            Some(known) if !look.any_behind(known.end).await? => known.head,
            _ => look.last().await?,
        };
        Ok(self.learn(Known { head, end }))
    }

    /// Whether the server answers; takes the occasion to look, unless that may take long.
    pub(super) async fn probe(&self, look: &Look<'_>) -> Result<(), LinkError> {
        if self.known().is_some() {
            self.refresh(look).await.map(drop)
        } else {
            look.end_of_log().await.map(drop)
        }
    }

    /// What was found, or what came in the meantime.
    fn learn(&self, found: Known) -> Option<Position> {
        let mut known = self.known();
        let head = found.head.max(known.and_then(|known| known.head));
        // The head may have come after the end was looked up.
        let end = found.end.max(known.map_or(0, |known| known.end)).max(head.map_or(0, |head| head.0));
        let newest = Known { head, end };
        *known = Some(newest);
        drop(known);
        if let Some(head) = newest.head {
            self.tell(head);
        }
        newest.head
    }

    fn tell(&self, position: Position) {
        self.head.send_if_modified(|head| {
            let newer = Some(position) > *head;
            if newer {
                *head = Some(position);
            }
            newer
        });
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look<'_> {
    fn filtered(&self, place: Place, way: Direction) -> ReadAllOptions {
        all(place, way, self.login).filter(self.names.filter())
    }

    /// The last event of the log, whoever's.
    async fn end_of_log(&self) -> Result<Option<u64>, LinkError> {
        let options = all(Place::End, Direction::Backwards, self.login);
        let page = self.link.read_all(options, 1, self.timeout).await?;
        Ok(page.events.first().map(|event| event.position.commit))
    }

    /// Whether the ledger may have anything behind a place.
    async fn any_behind(&self, end: u64) -> Result<bool, LinkError> {
        let options = self.filtered(Place::At(end), Direction::Forwards);
        let page = self.link.read_all(options, 2, self.scan_timeout).await?;
        Ok(page.events.iter().any(|event| event.position.commit > end))
    }

    /// The ledger's last event.
    async fn last(&self) -> Result<Option<Position>, LinkError> {
        let (mut place, mut limit) = (Place::End, 1);
        loop {
            let options = self.filtered(place, Direction::Backwards);
            let page = self.link.read_all(options, limit, self.scan_timeout).await?;
            let ours = |event: &&RecordedEvent| self.names.of_ledger(event.stream_id()).is_some();
            if let Some(event) = page.events.iter().find(ours) {
                return Ok(Some(Position(event.position.commit)));
            }
            match page.events.last() {
                Some(foreign) if !page.ended => place = Place::At(foreign.position.commit),
                _ => return Ok(None),
            }
            limit = LOOK;
        }
    }
}
