//! Events as the server keeps them, and back: data verbatim as JSON, the envelope in the metadata.

use std::borrow::Cow;

use eventstore::{EventData, RecordedEvent};
use nemo_events::{EventId, EventRecord, Position, Revision, Sealed, StreamName};
use serde_json::value::RawValue;

use super::metadata::{splice, unsplice};
use super::names::Names;
use crate::{AppendError, ReadError};

/// An event on its way to the server.
pub(super) fn encode(event: &Sealed) -> Result<EventData, AppendError> {
    const NO_JSON: AppendError = AppendError::Invalid("an event's data is not JSON");
    // The client takes JSON only from what serialises itself; raw JSON does so verbatim, but for blanks
    // around it.
    let data: &RawValue = serde_json::from_slice(&event.data).map_err(|_| NO_JSON)?;
    if data.get().len() != event.data.len() {
        return Err(AppendError::Invalid("an event's data has blanks around it"));
    }
    let metadata = splice(event).ok_or(AppendError::Invalid("an event's metadata is no JSON object"))?;
    let encoded = EventData::json(event.event_type.as_ref(), &data).map_err(|_| NO_JSON)?;
    Ok(encoded.id(*event.id.as_uuid()).metadata(metadata))
}

/// An event from the server, checked against its hash; `None` if it is not the ledger's.
pub(super) fn decode(names: &Names, recorded: RecordedEvent) -> Result<Option<EventRecord>, ReadError> {
    match names.of_ledger(recorded.stream_id()) {
        Some(stream) => decode_of(stream, recorded).map(Some),
        None => Ok(None),
    }
}

fn decode_of(stream: StreamName, recorded: RecordedEvent) -> Result<EventRecord, ReadError> {
    let place = format!("{stream} {}", Revision(recorded.revision));
    let Some(envelope) = unsplice(&recorded.custom_metadata) else {
        return Err(damaged(place, "the metadata is not what Nemo writes"));
    };
    let event = Sealed {
        stream,
        revision: Revision(recorded.revision),
        id: EventId::from_uuid(recorded.id),
        event_type: Cow::Owned(recorded.event_type),
        version: envelope.version,
        recorded_at: envelope.recorded_at,
        data: recorded.data,
        metadata: envelope.metadata,
        prev_hash: envelope.prev_hash,
        hash: envelope.hash,
    };
    event.verify().map_err(|error| damaged(place, error))?;
    Ok(EventRecord { position: Position(recorded.position.commit), event })
}

pub(super) fn damaged(place: String, what: impl ToString) -> ReadError {
    ReadError::Damaged { place, what: what.to_string() }
}
