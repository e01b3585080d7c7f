//! Names of things. Each is its own type, so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::digest::Digest;

/// A text that is not the id it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}")]
pub struct InvalidId {
    /// What the text should have been.
    pub what: &'static str,
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that the caller generated or read.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind the id.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId { what: $what })
            }
        }
    )*};
}

uuid_ids! {
    /// An org: the owner of keys, for life.
    OrgId = "org id";
    /// One attempt at one provider.
    CallId = "call id";
    /// What a client sent; several calls may serve it.
    RequestId = "request id";
    /// One recorded event.
    EventId = "event id";
    /// One start of one node's process.
    BootId = "boot id";
    /// A person who logs in.
    OperatorId = "operator id";
    /// One password that an operator chose; its hash is found by it.
    PasswordId = "password id";
    /// One login, until it ends.
    SessionId = "session id";
    /// A link with which somebody chooses a password.
    LinkId = "link id";
}

/// Length of a virtual key's public id in base62 digits.
pub const KEY_ID_LEN: usize = 11;

/// The public id of a virtual key: 11 base62 digits, part of the key's own text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_LEN]);

impl KeyId {
    /// Takes exactly 11 base62 digits, without prefix.
    ///
    /// # Errors
    /// Any other text is an [`InvalidId`].
    pub fn from_digits(text: &str) -> Result<Self, InvalidId> {
        let bytes: [u8; KEY_ID_LEN] = text.as_bytes().try_into().map_err(|_| InvalidId { what: "key id" })?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) {
            Ok(Self(bytes))
        } else {
            Err(InvalidId { what: "key id" })
        }
    }

    /// The 11 digits, without prefix.
    #[must_use]
    pub fn digits(&self) -> &str {
        // Only ASCII gets in, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or("???????????")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key_{}", self.digits())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = InvalidId;

    /// Takes the id with or without its `key_`.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_digits(text.strip_prefix("key_").unwrap_or(text))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

/// A node's configured name: 1 to 64 letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

/// Which pepper a digest was made with: 1 to 32 letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PepperId(String);

/// A master key's public id: 11 base62 digits, part of the key's own text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MasterKeyId(String);

macro_rules! short_names {
    ($($name:ident, $what:literal, $max:literal;)*) => {$(
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let ok = !text.is_empty()
                    && text.len() <= $max
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
                if ok { Ok(Self(text)) } else { Err(InvalidId { what: $what }) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

short_names! {
    NodeId, "node id", 64;
    PepperId, "pepper id", 32;
    MasterKeyId, "master key id", 11;
}

/// The content hash of a price card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriceCardId(pub Digest);

impl fmt::Display for PriceCardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PriceCardId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self)
    }
}

/// Dense number of an event in its stream, from 0. Shown `@n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The first revision of every stream.
    pub const FIRST: Self = Self(0);

    /// The revision after this one. Saturates, which no stream can reach.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// The store's own order over all streams: opaque, never compared across stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the ledger's streams.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamName {
    /// `key-<public id>`: the whole life of one virtual key.
    Key(KeyId),
    /// `org-<uuid>`: an org.
    Org(OrgId),
    /// `operators`: people who log in.
    Operators,
    /// `prices`: price cards, overrides, quarantine.
    Prices,
    /// `gateway`: nodes, master keys, peppers, strings that are no key of ours.
    Gateway,
    /// `checkpoints`: signed tree heads.
    Checkpoints,
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key-{}", id.digits()),
            Self::Org(id) => write!(f, "org-{id}"),
            Self::Operators => f.write_str("operators"),
            Self::Prices => f.write_str("prices"),
            Self::Gateway => f.write_str("gateway"),
            Self::Checkpoints => f.write_str("checkpoints"),
        }
    }
}

impl FromStr for StreamName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "operators" => Ok(Self::Operators),
            "prices" => Ok(Self::Prices),
            "gateway" => Ok(Self::Gateway),
            "checkpoints" => Ok(Self::Checkpoints),
            _ => {
                if let Some(id) = text.strip_prefix("key-") {
                    KeyId::from_digits(id).map(Self::Key)
                } else if let Some(id) = text.strip_prefix("org-") {
                    id.parse().map(Self::Org)
                } else {
                    Err(InvalidId { what: "stream name" })
                }
            }
        }
    }
}

impl Serialize for StreamName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_name_survives_its_text() {
        let org = OrgId::from_uuid(Uuid::from_u128(7));
        let key: KeyId = "key_0123456789A".parse().unwrap_or_else(|e| unreachable!("{e}"));
        for name in [StreamName::Key(key), StreamName::Org(org), StreamName::Prices, StreamName::Gateway] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn a_key_id_of_another_length_or_alphabet_is_refused() {
        for text in ["", "key_", "0123456789", "0123456789AB", "0123456789-", "key_key_0123456789A"] {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }
}
