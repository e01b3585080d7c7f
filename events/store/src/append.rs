//! What can be said of an append before any store is asked.

use nemo_events::Sealed;

use crate::{AppendError, Expected, MAX_APPEND};

/// What a stream must look like for these events to continue it.
pub(crate) fn expected(events: &[Sealed]) -> Result<Expected, AppendError> {
    let first = events.first().ok_or(AppendError::Invalid("no events"))?;
    Ok(Expected::before(first.revision))
}

/// Checks that the events continue one stream behind `expected`, each chained to the one before and
/// each being what its hash says: what a store has taken in, it must be able to verify for ever.
pub(crate) fn check(expected: Expected, events: &[Sealed]) -> Result<(), AppendError> {
    let Some(first) = events.first() else { return Err(AppendError::Invalid("no events")) };
    if events.len() > MAX_APPEND {
        return Err(AppendError::Invalid("too many events in one append"));
    }
    let continues = match expected {
        Expected::NoStream => first.revision.0 == 0,
        Expected::Exact(revision) => first.revision == revision.next() && first.revision != revision,
    };
    if !continues {
        return Err(AppendError::Invalid("the first event does not come next after the expected revision"));
    }
    let mut previous: Option<&Sealed> = None;
    for event in events {
        if event.verify().is_err() {
            return Err(AppendError::Invalid("an event is not what its hash says"));
        }
        if let Some(previous) = previous {
            if event.stream != previous.stream {
                return Err(AppendError::Invalid("events of more than one stream"));
            }
            if event.follows(&previous.head()).is_err() {
                return Err(AppendError::Invalid("an event does not follow its predecessor"));
            }
        }
        previous = Some(event);
    }
    Ok(())
}

/// How many bytes an event counts in an append: its own, and what a store may add to them.
#[must_use]
pub fn append_bytes(event: &Sealed) -> usize {
    /// Both hashes as text, version, time, and the names of these.
    const ENVELOPE: usize = 256;
    // EventStoreDB counts two bytes for each character of the type.
    event.data.len() + event.metadata.len() + 2 * event.event_type.len() + ENVELOPE
}

/// The answer to events that are more than [`crate::EventStore::max_append_bytes`].
pub(crate) const TOO_MANY_BYTES: AppendError = AppendError::Invalid("too many bytes in one append");

/// The answer to events that continue the stream by number, but not its last event's hash or time.
pub(crate) const NOT_CHAINED: AppendError =
    AppendError::Invalid("the first event is not chained to the stream's last");
