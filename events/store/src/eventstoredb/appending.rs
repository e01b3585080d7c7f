//! Appends, as the store's trait promises them.

use eventstore::{BatchAppendOptions, BatchWriteResult, StreamState};
use nemo_events::{EventRecord, Position, Revision, Sealed, StreamHead};

use super::Shared;
use super::failure::Verdict;
use super::link::Link;
use super::record::encode;
use super::sessions::Batch;
use crate::append::{NOT_CHAINED, TOO_MANY_BYTES, append_bytes};
use crate::{AppendError, Direction, Expected, ReadError};

impl Shared {
    /// See [`crate::EventStore::append`]. The events have passed [`crate::append::check`].
    pub(super) async fn append(
        &self,
        link: &Link,
        expected: Expected,
        events: &[Sealed],
    ) -> Result<Position, AppendError> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Err(AppendError::Invalid("no events"));
        };
        if events.iter().map(append_bytes).sum::<usize>() > self.tuning.max_append_bytes {
            return Err(TOO_MANY_BYTES);
        }
        let encoded = events.iter().map(encode).collect::<Result<_, _>>()?;
        self.check_chained(link, expected, first).await?;
        let batch = Batch {
            stream: self.names.on_server(&first.stream),
            expected: match expected {
                Expected::NoStream => StreamState::NoStream,
                Expected::Exact(revision) => StreamState::StreamRevision(revision.0),
            },
            events: encoded,
        };
        match link.append(&self.append_options(), batch, self.tuning.timeout).await {
            Ok(written) => self.written(link, &written, last).await,
            Err(Verdict::Conflict) => self.find_again(link, events).await,
            Err(Verdict::TooLarge) => Err(TOO_MANY_BYTES),
            Err(Verdict::NotSent) => Err(AppendError::Unavailable("the session ended".to_owned())),
            Err(Verdict::NotWritten(why)) => Err(AppendError::Unavailable(why)),
            Err(Verdict::Unknown(why)) => Err(AppendError::Unknown(why)),
        }
    }

    fn append_options(&self) -> BatchAppendOptions {
        match &self.login {
            Some(login) => BatchAppendOptions::default().authenticated(login.clone()),
            None => BatchAppendOptions::default(),
        }
    }

    /// The server compares revisions only; that the events continue the chain has to be seen before.
    async fn check_chained(
        &self,
        link: &Link,
        expected: Expected,
        first: &Sealed,
    ) -> Result<(), AppendError> {
        let before = match expected {
            Expected::NoStream => StreamHead::EMPTY,
            Expected::Exact(revision) => match self.heads.get(&first.stream) {
                // The stream is ahead: nothing new can be written there, with whatever chain.
                Some(head) if head.revision > Some(revision) => return Ok(()),
                Some(head) if head.revision == Some(revision) => head,
                _ => self.head_at(link, first, revision).await?,
            },
        };
        first.follows(&before).map_err(|_| NOT_CHAINED)
    }

    async fn head_at(
        &self,
        link: &Link,
        first: &Sealed,
        revision: Revision,
    ) -> Result<StreamHead, AppendError> {
        let found = self.read_stream(link, &first.stream, revision, Direction::Forwards, 1).await;
        let found = found.map_err(|error| AppendError::Unavailable(error.to_string()))?;
        found.first().map(|record| record.event.head()).ok_or(AppendError::Conflict)
    }

    async fn written(
        &self,
        link: &Link,
        written: &BatchWriteResult,
        last: &Sealed,
    ) -> Result<Position, AppendError> {
        if written.current_revision() != Some(last.revision.0) {
            // A stream that was deleted goes on counting where it had ended.
            let there = written.current_revision().map(Revision);
            tracing::error!(stream = %last.stream, expected = %last.revision, ?there, "the server counts differently");
            return Err(AppendError::Unknown("the server counts the stream's events differently".to_owned()));
        }
        let position = match written.current_position() {
            Some(position) => Position(position.commit),
            None => self.position_of(link, last).await?,
        };
        self.heads.saw(&last.stream, last.head());
        self.tail.saw(position);
        Ok(position)
    }

    async fn position_of(&self, link: &Link, last: &Sealed) -> Result<Position, AppendError> {
        let found = self.read_stream(link, &last.stream, last.revision, Direction::Forwards, 1).await;
        match found.map(|records| records.first().map(|record| record.position)) {
            Ok(Some(position)) => Ok(position),
            Ok(None) => Err(AppendError::Unknown("what was written cannot be found".to_owned())),
            Err(error) => Err(AppendError::Unknown(error.to_string())),
        }
    }

    /// The stream has other events in the place, or these: then they were written before.
    async fn find_again(&self, link: &Link, events: &[Sealed]) -> Result<Position, AppendError> {
        let Some(first) = events.first() else { return Err(AppendError::Conflict) };
        let found = self
            .read_stream(link, &first.stream, first.revision, Direction::Forwards, events.len())
            .await
            .map_err(|error| match error {
                // This append did nothing, but one before it may have.
                ReadError::Unavailable(why) => AppendError::Unknown(why),
                // Reading the stream again will say so.
                ReadError::Damaged { .. } => AppendError::Conflict,
            })?;
        let same = |(record, event): (&EventRecord, &Sealed)| record.event.hash == event.hash;
        let all = found.len() == events.len() && found.iter().zip(events).all(same);
        found.last().filter(|_| all).map(|record| record.position).ok_or(AppendError::Conflict)
    }
}
