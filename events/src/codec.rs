//! Events to stored bytes and back. An unknown type or version is an error, never skipped.
//!
//! A type's stored form changes only by a new version: the version here goes up, an [`Upcast`] from
//! the old one is added to [`UPCASTS`], and the old fixture stays as it is.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why stored bytes are no event that this program knows.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The stream has no such type.
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    /// The type is known, but not in this version.
    #[error("unknown version {version} of event type `{event_type}`")]
    UnknownVersion {
        /// The type.
        event_type: &'static str,
        /// The version that was stored.
        version: u16,
    },
    /// The bytes are not the type's JSON.
    #[error("event of type `{event_type}` cannot be read")]
    Malformed {
        /// The type.
        event_type: &'static str,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The event cannot be written as JSON.
    #[error("event of type `{event_type}` cannot be written")]
    Unwritable {
        /// The type.
        event_type: &'static str,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

/// Rewrites the JSON of one version into the next one's.
#[derive(Debug, Clone, Copy)]
pub struct Upcast {
    /// The type.
    pub event_type: &'static str,
    /// The version that it reads; it writes the next.
    pub from: u16,
    /// The change.
    pub apply: fn(Value) -> Value,
}

/// Every upcast there is. Each has a fixture of the version that it reads.
const UPCASTS: &[Upcast] = &[];

pub(crate) fn encode<T: Serialize>(event_type: &'static str, event: &T) -> Result<Vec<u8>, CodecError> {
    serde_json::to_vec(event).map_err(|source| CodecError::Unwritable { event_type, source })
}

pub(crate) fn decode<T: DeserializeOwned>(
    event_type: &'static str,
    current: u16,
    version: u16,
    data: &[u8],
) -> Result<T, CodecError> {
    let data = upcast(UPCASTS, event_type, current, version, data)?;
    serde_json::from_slice(&data).map_err(|source| CodecError::Malformed { event_type, source })
}

fn upcast<'a>(
    upcasts: &[Upcast],
    event_type: &'static str,
    current: u16,
    version: u16,
    data: &'a [u8],
) -> Result<Cow<'a, [u8]>, CodecError> {
    if version == current {
        return Ok(Cow::Borrowed(data));
    }
    let unknown = || CodecError::UnknownVersion { event_type, version };
    if version > current {
        return Err(unknown());
    }
    let malformed = |source| CodecError::Malformed { event_type, source };
    let mut value: Value = serde_json::from_slice(data).map_err(malformed)?;
    for from in version..current {
        let step =
            upcasts.iter().find(|u| u.event_type == event_type && u.from == from).ok_or_else(unknown)?;
        value = (step.apply)(value);
    }
    serde_json::to_vec(&value).map(Cow::Owned).map_err(malformed)
}

/// Declares a stream's events: one variant for each payload type of the same name, with its version.
macro_rules! event_stream {
    ($(#[$doc:meta])* pub enum $stream:ident { $($event:ident = $version:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant is documented at its payload")]
        #[allow(clippy::large_enum_variant, reason = "in a key's stream the large variant is the common one")]
        pub enum $stream {
            $($event($event),)*
        }

        impl $stream {
            /// Every type of this stream with its current version.
            pub const TYPES: &'static [(&'static str, u16)] = &[$((stringify!($event), $version)),*];

            /// The type's name, as stored.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$event(_) => stringify!($event),)* }
            }

            /// The version that this program writes.
            #[must_use]
            pub const fn version(&self) -> u16 {
                match self { $(Self::$event(_) => $version,)* }
            }

            /// The bytes to store.
            ///
            /// # Errors
            /// Where the payload cannot be written as JSON.
            pub fn encode(&self) -> Result<Vec<u8>, $crate::codec::CodecError> {
                match self { $(Self::$event(event) => $crate::codec::encode(stringify!($event), event),)* }
            }

            /// Reads stored bytes, of this version or an earlier one.
            ///
            /// # Errors
            /// An unknown type or version, or bytes that are not the type's JSON.
            pub fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<Self, $crate::codec::CodecError> {
                match event_type {
                    $(stringify!($event) => {
                        $crate::codec::decode(stringify!($event), $version, version, data).map(Self::$event)
                    })*
                    other => Err($crate::codec::CodecError::UnknownType(other.to_owned())),
                }
            }
        }

        $(impl From<$event> for $stream {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        })*
    };
}
pub(crate) use event_stream;

#[cfg(test)]
mod tests {
    use super::*;

    const RENAMES: &[Upcast] = &[Upcast {
        event_type: "Renamed",
        from: 1,
        apply: |mut value| {
            if let Some(object) = value.as_object_mut()
                && let Some(old) = object.remove("title")
            {
                object.insert("name".to_owned(), old);
            }
            value
        },
    }];

    #[test]
    fn an_older_version_is_upcast_and_a_newer_one_refused() {
        let upcast = |version| super::upcast(RENAMES, "Renamed", 2, version, br#"{"title":"x"}"#);
        assert_eq!(upcast(1).ok().as_deref(), Some(br#"{"name":"x"}"#.as_slice()));
        assert!(matches!(upcast(3), Err(CodecError::UnknownVersion { version: 3, .. })));
        assert!(
            matches!(upcast(0), Err(CodecError::UnknownVersion { version: 0, .. })),
            "a gap in the chain"
        );
    }

    #[test]
    fn an_unknown_type_or_field_is_an_error() {
        assert!(matches!(crate::KeyEvent::decode("KeyPainted", 1, b"{}"), Err(CodecError::UnknownType(_))));
        let extra = crate::KeyEvent::decode("KeyUnblocked", 1, br#"{"colour":"red"}"#);
        assert!(matches!(extra, Err(CodecError::Malformed { .. })));
    }
}
