//! Reads, as the store's trait promises them.

use eventstore::{ReadStreamOptions, StreamPosition};
use nemo_events::{EventRecord, Position, Revision, StreamName};

use super::Shared;
use super::failure::refuses_position;
use super::link::{Link, LinkError};
use super::pages::{Page, Place, all};
use super::record::{damaged, decode};
use crate::{Direction, MAX_PAGE, ReadError};

/// Positions are signed on the server.
const LAST_POSITION: u64 = i64::MAX as u64;

impl Shared {
    /// See [`crate::EventStore::read_stream`].
    pub(super) async fn read_stream(
        &self,
        link: &Link,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        let limit = limit.min(MAX_PAGE);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let at = if from.0 > LAST_POSITION { StreamPosition::End } else { StreamPosition::Position(from.0) };
        let records = match (direction, at) {
            (Direction::Forwards, StreamPosition::End) => Vec::new(),
            (Direction::Forwards, at) => self.stream_page(link, stream, at, direction, limit).await?,
            (Direction::Backwards, at) => {
                let page = self.stream_page(link, stream, at, direction, limit).await?;
                if page.first().is_some_and(|first| first.event.revision == from) {
                    page
                } else {
                    // From beyond the end, the server reads what lies within `limit` of that place.
                    self.stream_page(link, stream, StreamPosition::End, direction, limit).await?
                }
            }
        };
        self.check_dense(stream, from, direction, &records)?;
        if let Some(newest) = records.iter().max_by_key(|record| record.event.revision) {
            self.heads.saw(stream, newest.event.head());
        }
        Ok(records)
    }

    async fn stream_page(
        &self,
        link: &Link,
        stream: &StreamName,
        at: StreamPosition<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        let options = ReadStreamOptions::default().position(at);
        let options = match direction {
            Direction::Forwards => options.forwards(),
            Direction::Backwards => options.backwards(),
        };
        let options = match &self.login {
            Some(login) => options.authenticated(login.clone()),
            None => options,
        };
        let name = self.names.on_server(stream);
        let page = link.read_stream(name, options, limit, self.tuning.timeout).await;
        let page = page.map_err(|error| self.read_error(&stream.to_string(), &error))?;
        let records = self.decoded(page)?;
        match records.iter().find(|record| record.event.stream != *stream) {
            Some(other) => {
                Err(damaged(stream.to_string(), format!("it holds an event of {}", other.event.stream)))
            }
            None => Ok(records),
        }
    }

    /// A stream that was truncated or has a gap is not what was written.
    fn check_dense(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        records: &[EventRecord],
    ) -> Result<(), ReadError> {
        let mut expected = match direction {
            Direction::Forwards => Some(from),
            Direction::Backwards => records.first().map(|first| first.event.revision),
        };
        for record in records {
            let found = record.event.revision;
            if Some(found) != expected || (direction == Direction::Backwards && found > from) {
                let what = format!("{found} comes where another event should be: is the stream truncated?");
                return Err(damaged(stream.to_string(), what));
            }
            expected = match direction {
                Direction::Forwards => Some(found.next()),
                Direction::Backwards => found.0.checked_sub(1).map(Revision),
            };
        }
        Ok(())
    }

    /// See [`crate::EventStore::read_all`].
    pub(super) async fn read_all(
        &self,
        link: &Link,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<EventRecord>, ReadError> {
        let limit = limit.min(MAX_PAGE);
        if limit == 0 || after.is_some_and(|after| after.0 > LAST_POSITION) {
            return Ok(Vec::new());
        }
        // At the end, so that what others have written there is not searched each time.
        if after.is_some() && after == self.tail.known_head() && self.head(link).await? == after {
            return Ok(Vec::new());
        }
        let mut place = after;
        loop {
            // One more, since a place is inclusive.
            let wanted = limit + usize::from(place.is_some());
            let from = place.map_or(Place::Start, |position| Place::At(position.0));
            let options = all(from, Direction::Forwards, self.login.as_ref()).filter(self.names.filter());
            let page = link.read_all(options, wanted, self.tuning.scan_timeout).await;
            let page = page.map_err(|error| self.read_error(&place_text(place), &error))?;
            let (ended, last) = (page.ended, page.events.last().map(|event| Position(event.position.commit)));
            let mut records = self.decoded(page)?;
            records.retain(|record| Some(record.position) > after);
            records.truncate(limit);
            if let Some(newest) = records.last() {
                self.tail.saw(newest.position);
            }
            if ended || !records.is_empty() || last <= place {
                return Ok(records);
            }
            place = last;
        }
    }

    /// See [`crate::EventStore::head`].
    pub(super) async fn head(&self, link: &Link) -> Result<Option<Position>, ReadError> {
        let head = self.tail.refresh(&self.look(link)).await;
        head.map_err(|error| self.read_error("the end", &error))
    }

    fn decoded(&self, page: Page) -> Result<Vec<EventRecord>, ReadError> {
        page.events.into_iter().filter_map(|event| decode(&self.names, event).transpose()).collect()
    }

    pub(super) fn read_error(&self, place: &str, error: &LinkError) -> ReadError {
        match error {
            LinkError::Client(eventstore::Error::ResourceDeleted) => {
                damaged(place.to_owned(), "the stream was deleted")
            }
            LinkError::Client(error) if refuses_position(error) => {
                damaged(place.to_owned(), "the server has no event there")
            }
            other => ReadError::Unavailable(other.text()),
        }
    }
}

pub(super) fn place_text(place: Option<Position>) -> String {
    place.map_or_else(|| "the start".to_owned(), |position| format!("position {position}"))
}
