//! Events between the log and the protocol.

use std::collections::HashMap;

use bytes::Bytes;
use uuid::Uuid;

use crate::faults::Refusal;
use crate::log::{Proposed, Recorded};
use crate::protocol as wire;
use crate::protocol::streams::read_req::options::UuidOption;
use crate::protocol::streams::read_req::options::uuid_option::Content;
use crate::protocol::streams::read_resp::{self, read_event};

/// What the protocol calls an event's type and the form of its data.
const TYPE: &str = "type";
const CONTENT_TYPE: &str = "content-type";
const CREATED: &str = "created";
const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

pub(super) fn uuid(of: Option<wire::Uuid>) -> Result<Uuid, Refusal> {
    match of.and_then(|id| id.value) {
        Some(wire::uuid::Value::Structured(id)) => {
            let (high, low) = (id.most_significant_bits as u64, id.least_significant_bits as u64);
            Ok(Uuid::from_u64_pair(high, low))
        }
        Some(wire::uuid::Value::String(text)) => {
            text.parse().map_err(|_| Refusal::BadRequest(format!("'{text}' is not a UUID")))
        }
        None => Err(Refusal::BadRequest("Required field UUID not set.".to_owned())),
    }
}

pub(super) fn stream_name(of: Option<wire::StreamIdentifier>) -> Result<String, Refusal> {
    let unnamed = || Refusal::BadRequest("Required field StreamIdentifier not set.".to_owned());
    let name = String::from_utf8(of.ok_or_else(unnamed)?.stream_name.to_vec()).map_err(|_| unnamed())?;
    if name.is_empty() { Err(unnamed()) } else { Ok(name) }
}

pub(super) fn proposed(
    id: Option<wire::Uuid>,
    mut metadata: HashMap<String, String>,
    custom_metadata: Bytes,
    data: Bytes,
) -> Result<Proposed, Refusal> {
    let mut required = |name: &str| {
        metadata
            .remove(name)
            .ok_or_else(|| Refusal::BadRequest(format!("Required Metadata Property '{name}' is missing")))
    };
    let (event_type, content_type) = (required(TYPE)?, required(CONTENT_TYPE)?);
    Ok(Proposed { id: uuid(id)?, event_type, is_json: content_type == JSON, data, metadata: custom_metadata })
}

pub(super) fn read_event(event: &Recorded, form: Option<&UuidOption>) -> read_resp::ReadEvent {
    let recorded = read_event::RecordedEvent {
        id: Some(written_uuid(event.event.id, form)),
        stream_identifier: Some(wire::StreamIdentifier {
            stream_name: Bytes::copy_from_slice(event.stream.as_bytes()),
        }),
        stream_revision: event.revision,
        prepare_position: event.position,
        commit_position: event.position,
        metadata: HashMap::from([
            (TYPE.to_owned(), event.event.event_type.clone()),
            (CREATED.to_owned(), event.created.to_string()),
            (CONTENT_TYPE.to_owned(), if event.event.is_json { JSON } else { BINARY }.to_owned()),
        ]),
        custom_metadata: event.event.metadata.clone(),
        data: event.event.data.clone(),
    };
    read_resp::ReadEvent {
        event: Some(recorded),
        link: None,
        position: Some(read_event::Position::CommitPosition(event.position)),
    }
}

fn written_uuid(id: Uuid, form: Option<&UuidOption>) -> wire::Uuid {
    let value = match form.and_then(|form| form.content) {
        Some(Content::String(())) => wire::uuid::Value::String(id.to_string()),
        Some(Content::Structured(())) | None => {
            let (high, low) = id.as_u64_pair();
            let (most_significant_bits, least_significant_bits) = (high as i64, low as i64);
            wire::uuid::Value::Structured(wire::uuid::Structured {
                most_significant_bits,
                least_significant_bits,
            })
        }
    };
    wire::Uuid { value: Some(value) }
}
