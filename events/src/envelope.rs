//! The envelope around each event, and the hash chain through each stream.
//!
//! `hash = SHA-256(domain ‖ stream ‖ revision ‖ event id ‖ type ‖ version ‖ recorded-at ‖ prev_hash ‖
//! SHA-256(data) ‖ SHA-256(metadata))`, every field preceded by its length. `metadata` is the stored
//! JSON without the hashes themselves.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{
    BootId, CallId, EventId, KeyId, MasterKeyId, NodeId, OperatorId, Position, RequestId, Revision,
    StreamName,
};
use crate::time::Timestamp;

const DOMAIN: &[u8] = b"nemo/event/v1";

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Actor {
    /// A person who is logged in.
    Operator {
        /// The operator's id.
        id: OperatorId,
    },
    /// A program that holds the master key.
    MasterKey {
        /// The master key's public id.
        id: MasterKeyId,
    },
    /// A caller with a virtual key.
    VirtualKey {
        /// The key's public id.
        id: KeyId,
    },
    /// The gateway itself.
    System,
}

/// What is known about an event besides what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Who caused it.
    pub actor: Actor,
    /// The request that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The call that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The node that decided it.
    pub node: NodeId,
    /// The start of that node.
    pub boot: BootId,
}

/// The end of a stream: what the next event follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// The last event's revision; `None` for an empty stream.
    pub revision: Option<Revision>,
    /// The last event's hash; zeros for an empty stream.
    pub hash: Digest,
    /// The last event's time.
    pub recorded_at: Timestamp,
}

impl StreamHead {
    /// The head of a stream without events.
    pub const EMPTY: Self = Self { revision: None, hash: Digest::ZERO, recorded_at: Timestamp::EPOCH };

    /// The revision of the event that comes next.
    #[must_use]
    pub const fn next_revision(&self) -> Revision {
        match self.revision {
            Some(revision) => revision.next(),
            None => Revision::FIRST,
        }
    }
}

/// Where a stream's chain does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The stored hash is not the hash of what is stored.
    #[error("the stored bytes do not match their hash")]
    HashMismatch,
    /// The event does not follow the one before it.
    #[error("the event does not follow its predecessor")]
    Broken,
}

/// An event with everything that is stored of it, except the position that the store gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The stream.
    pub stream: StreamName,
    /// Its number in the stream.
    pub revision: Revision,
    /// Its id.
    pub id: EventId,
    /// Its type's name.
    pub event_type: Cow<'static, str>,
    /// Its type's version.
    pub version: u16,
    /// When it was decided, by the deciding node's clock; never before its predecessor.
    pub recorded_at: Timestamp,
    /// The payload's JSON, verbatim.
    pub data: Bytes,
    /// The metadata's JSON, verbatim, without hashes.
    pub metadata: Bytes,
    /// The predecessor's hash.
    pub prev_hash: Digest,
    /// The hash over all of the above.
    pub hash: Digest,
}

impl Sealed {
    /// The hash that the stored fields should have.
    #[must_use]
    pub fn expected_hash(&self) -> Digest {
        let mut stream = StackText::new();
        let stream = stream.render(&self.stream);
        Digest::of_fields(
            DOMAIN,
            &[
                stream,
                &self.revision.0.to_be_bytes(),
                self.id.as_uuid().as_bytes(),
                self.event_type.as_bytes(),
                &self.version.to_be_bytes(),
                &self.recorded_at.as_micros().to_be_bytes(),
                self.prev_hash.as_bytes(),
                Digest::of(&self.data).as_bytes(),
                Digest::of(&self.metadata).as_bytes(),
            ],
        )
    }

    /// Sets the hash over the other fields.
    #[must_use]
    pub fn with_hash(mut self) -> Self {
        self.hash = self.expected_hash();
        self
    }

    /// The head of the stream once this event is its last.
    #[must_use]
    pub const fn head(&self) -> StreamHead {
        StreamHead { revision: Some(self.revision), hash: self.hash, recorded_at: self.recorded_at }
    }

    /// Checks that the stored bytes are those that were hashed.
    ///
    /// # Errors
    /// [`ChainError::HashMismatch`].
    pub fn verify(&self) -> Result<(), ChainError> {
        if self.expected_hash() == self.hash { Ok(()) } else { Err(ChainError::HashMismatch) }
    }

    /// Checks that the event follows `head`: next revision, its hash, not before its time.
    ///
    /// # Errors
    /// [`ChainError::Broken`].
    pub fn follows(&self, head: &StreamHead) -> Result<(), ChainError> {
        let follows = self.revision == head.next_revision()
            && self.prev_hash == head.hash
            && self.recorded_at >= head.recorded_at;
        if follows { Ok(()) } else { Err(ChainError::Broken) }
    }
}

/// An event as read from a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Where the store keeps it, in the order of all events.
    pub position: Position,
    /// The event.
    pub event: Sealed,
}

/// A stream's name without an allocation: the longest is `org-` and a UUID.
struct StackText {
    bytes: [u8; 64],
    len: usize,
}

impl StackText {
    const fn new() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }

    fn render(&mut self, value: &impl std::fmt::Display) -> &[u8] {
        // 64 bytes hold every stream name, so the write cannot fail.
        let _ = std::fmt::Write::write_fmt(self, format_args!("{value}"));
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl std::fmt::Write for StackText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len.checked_add(text.len()).ok_or(std::fmt::Error)?;
        self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn sealed() -> Sealed {
        Sealed {
            stream: StreamName::Prices,
            revision: Revision(3),
            id: EventId::from_uuid(Uuid::from_u128(1)),
            event_type: "PriceCardPublished".into(),
            version: 1,
            recorded_at: Timestamp::from_micros(5),
            data: Bytes::from_static(b"{}"),
            metadata: Bytes::from_static(b"{}"),
            prev_hash: Digest::of(b"before"),
            hash: Digest::ZERO,
        }
        .with_hash()
    }

    #[test]
    fn the_hash_covers_every_field() {
        let good = sealed();
        assert_eq!(good.verify(), Ok(()));
        let changes: [fn(&mut Sealed); 9] = [
            |e| e.stream = StreamName::Gateway,
            |e| e.revision = Revision(4),
            |e| e.id = EventId::from_uuid(Uuid::from_u128(2)),
            |e| e.event_type = "PriceCardPainted".into(),
            |e| e.version = 2,
            |e| e.recorded_at = Timestamp::from_micros(6),
            |e| e.data = Bytes::from_static(b"{ }"),
            |e| e.metadata = Bytes::from_static(b"{ }"),
            |e| e.prev_hash = Digest::ZERO,
        ];
        for change in changes {
            let mut bad = good.clone();
            change(&mut bad);
            assert_eq!(bad.verify(), Err(ChainError::HashMismatch), "{bad:?}");
        }
    }

    #[test]
    fn the_hash_of_a_known_event_never_changes() {
        assert_eq!(
            sealed().hash.to_string(),
            "ebb510ad45820e57ad8a734022b8dc67a2d2b4965bc0a090704cf17f6dd287c9"
        );
    }

    #[test]
    fn an_event_follows_only_its_own_predecessor() {
        let event = sealed();
        let head = StreamHead {
            revision: Some(Revision(2)),
            hash: Digest::of(b"before"),
            recorded_at: Timestamp::from_micros(5),
        };
        assert_eq!(event.follows(&head), Ok(()));
        assert_eq!(
            event.follows(&StreamHead { revision: Some(Revision(1)), ..head }),
            Err(ChainError::Broken)
        );
        assert_eq!(event.follows(&StreamHead { hash: Digest::ZERO, ..head }), Err(ChainError::Broken));
        assert_eq!(
            event.follows(&StreamHead { recorded_at: Timestamp::from_micros(6), ..head }),
            Err(ChainError::Broken)
        );
    }
}
