//! One batch: appends that are decided one after the other and committed together.

use std::collections::HashMap;
use std::fmt::Write;

use nemo_events::{Position, Sealed, StreamHead, StreamName};
use rusqlite::Connection;

use super::heads::Heads;
use super::row::{INSERT, insert, signed};
use super::watermark::Mark;
use super::writer::{Append, Request};
use crate::append::NOT_CHAINED;
use crate::{AppendError, Expected};

const STORED: &str = "SELECT position, id, hash FROM events WHERE stream = ?1 AND revision BETWEEN ?2 AND ?3 ORDER BY revision";

type Reply = tokio::sync::oneshot::Sender<Result<Position, AppendError>>;

/// What is in the open transaction, and whom to tell about it.
pub(super) struct Batch<'a> {
    heads: &'a Heads,
    /// The last event, durable or staged.
    last: Mark,
    /// Heads that hold once the transaction is durable.
    staged: HashMap<StreamName, StreamHead>,
    /// Answers that hold once the transaction is durable.
    waiting: Vec<(Reply, Result<Position, AppendError>)>,
    stream: String,
}

impl<'a> Batch<'a> {
    /// A batch behind the last durable event.
    pub(super) fn new(heads: &'a Heads, last: Mark) -> Self {
        Self { heads, last, staged: HashMap::new(), waiting: Vec::new(), stream: String::new() }
    }

    /// Whether there is anything to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// The last event of the batch.
    pub(super) fn last(&self) -> Mark {
        self.last
    }

    /// Decides a request's appends in their order, up to the first that does not fit, and inserts the
    /// events of those that do. An answer that does not depend on this batch is given at once.
    ///
    /// On an error the transaction has to be rolled back, whatever was staged.
    pub(super) fn stage(&mut self, db: &Connection, request: Request) -> rusqlite::Result<()> {
        let Request { appends, reply } = request;
        let mut rests_on_batch = false;
        let staging = self.stage_all(db, appends, &mut rests_on_batch);
        // Also after an error, when nobody gets these answers: every appender is told something.
        let (answer, outcome) = match staging {
            Ok(answer) => (answer, Ok(())),
            Err(error) => {
                rests_on_batch = true;
                (Err(AppendError::Unknown(error.to_string())), Err(error))
            }
        };
        if rests_on_batch {
            self.waiting.push((reply, answer));
        } else {
            // The caller may have gone; then nobody needs the answer.
            let _ = reply.send(answer);
        }
        outcome
    }

    fn stage_all(
        &mut self,
        db: &Connection,
        appends: Vec<Append>,
        rests_on_batch: &mut bool,
    ) -> rusqlite::Result<Result<Position, AppendError>> {
        let mut last = Err(AppendError::Invalid("no appends"));
        for Append { expected, events } in appends {
            let Some(first) = events.first() else { return Ok(Err(AppendError::Invalid("no events"))) };
            let staged = self.staged.get(&first.stream).copied();
            let head = staged.unwrap_or_else(|| self.heads.get(&first.stream));
            self.stream.clear();
            // Writing to a String cannot fail.
            let _ = write!(self.stream, "{}", first.stream);
            *rests_on_batch |= staged.is_some();
            last = match self.decide(db, expected, &events, head)? {
                Decision::Known(answer) => answer,
                Decision::Insert => {
                    *rests_on_batch = true;
                    Ok(self.insert(db, &events)?)
                }
            };
            if last.is_err() {
                break;
            }
        }
        Ok(last)
    }

    fn decide(
        &self,
        db: &Connection,
        expected: Expected,
        events: &[Sealed],
        head: StreamHead,
    ) -> rusqlite::Result<Decision> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Ok(Decision::Known(Err(AppendError::Invalid("no events"))));
        };
        let expected = match expected {
            Expected::NoStream => None,
            Expected::Exact(revision) => Some(revision),
        };
        if head.revision == expected {
            let chained = first.follows(&head).is_ok();
            return Ok(if chained { Decision::Insert } else { Decision::Known(Err(NOT_CHAINED)) });
        }
        if head.revision < Some(last.revision) {
            return Ok(Decision::Known(Err(AppendError::Conflict)));
        }
        let resent = self.resent(db, events, (signed(first.revision.0), signed(last.revision.0)))?;
        Ok(Decision::Known(resent.ok_or(AppendError::Conflict)))
    }

    /// The position of the last of the events, if exactly these are stored already.
    fn resent(
        &self,
        db: &Connection,
        events: &[Sealed],
        (first, last): (i64, i64),
    ) -> rusqlite::Result<Option<Position>> {
        let mut statement = db.prepare_cached(STORED)?;
        let mut rows = statement.query((&self.stream, first, last))?;
        let mut position = None;
        for event in events {
            let Some(row) = rows.next()? else { return Ok(None) };
            let same = row.get_ref(1)?.as_blob() == Ok(event.id.as_uuid().as_bytes())
                && row.get_ref(2)?.as_blob() == Ok(event.hash.as_bytes());
            if !same {
                return Ok(None);
            }
            position = Some(row.get::<_, i64>(0)?);
        }
        Ok(position.and_then(|position| u64::try_from(position).ok()).map(Position))
    }

    fn insert(&mut self, db: &Connection, events: &[Sealed]) -> rusqlite::Result<Position> {
        let mut statement = db.prepare_cached(INSERT)?;
        for event in events {
            let position = Position(self.last.position.0.saturating_add(1));
            insert(&mut statement, position, &self.stream, event)?;
            self.last = Mark { position, hash: event.hash };
        }
        if let Some(last) = events.last() {
            self.staged.insert(last.stream.clone(), last.head());
        }
        Ok(self.last.position)
    }

    /// The transaction is durable: makes it visible. The answers are still to be given.
    pub(super) fn publish(&mut self) {
        for (stream, head) in self.staged.drain() {
            self.heads.set(stream, head);
        }
    }

    /// Gives the answers that were waiting for the commit.
    pub(super) fn answer(self) {
        for (reply, answer) in self.waiting {
            let _ = reply.send(answer);
        }
    }

    /// The transaction did not become durable, or nobody knows: tells everybody that waits.
    pub(super) fn fail(self, error: impl Fn() -> AppendError) {
        for (reply, _) in self.waiting {
            let _ = reply.send(Err(error()));
        }
    }
}

enum Decision {
    /// The answer, without writing anything.
    Known(Result<Position, AppendError>),
    Insert,
}
