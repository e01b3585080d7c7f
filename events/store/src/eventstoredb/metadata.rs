//! An event's metadata on the server: the sealed JSON object with what the envelope knows spliced into
//! its end, as text, so that standard tools can read it and the sealed bytes come back exactly.
//!
//! `{"actor":…}` becomes `{"actor":…,"version":1,"recorded_at":"…","prev_hash":"…","hash":"…"}`.

use bytes::Bytes;
use nemo_events::{Digest, Sealed, Timestamp};

/// The first of the spliced members. Nothing behind it has this text again.
const START: &str = "\"version\":";

/// What was spliced in, and what was there before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unspliced {
    pub(super) metadata: Bytes,
    pub(super) version: u16,
    pub(super) recorded_at: Timestamp,
    pub(super) prev_hash: Digest,
    pub(super) hash: Digest,
}

/// The stored metadata of an event; `None` if the sealed one is not a JSON object.
pub(super) fn splice(event: &Sealed) -> Option<Bytes> {
    let sealed = std::str::from_utf8(&event.metadata).ok()?;
    let (members, rest) = sealed.split_at_checked(sealed.rfind('}')?)?;
    let inside = members.trim_ascii_start().strip_prefix('{')?;
    serde_json::from_str::<&serde_json::value::RawValue>(sealed).ok()?;
    let comma = if inside.trim_ascii().is_empty() { "" } else { "," };
    let Sealed { version, recorded_at, prev_hash, hash, .. } = event;
    Some(Bytes::from(format!(
        "{members}{comma}{START}{version},\"recorded_at\":\"{recorded_at}\",\"prev_hash\":\"{prev_hash}\",\
         \"hash\":\"{hash}\"{rest}"
    )))
}

/// The sealed metadata and the envelope; `None` if [`splice`] did not make this.
pub(super) fn unsplice(stored: &Bytes) -> Option<Unspliced> {
    let text = std::str::from_utf8(stored).ok()?;
    let (before, spliced) = text.split_at_checked(text.rfind(START)?)?;
    let (version, after) = spliced.strip_prefix(START)?.split_once(',')?;
    let (recorded_at, after) = member(after, "\"recorded_at\":\"")?;
    let (prev_hash, after) = member(after.strip_prefix(',')?, "\"prev_hash\":\"")?;
    let (hash, rest) = member(after.strip_prefix(',')?, "\"hash\":\"")?;
    let members = before.strip_suffix(',').unwrap_or(before);
    Some(Unspliced {
        metadata: Bytes::from([members, rest].concat()),
        version: version.parse().ok()?,
        recorded_at: recorded_at.parse().ok()?,
        prev_hash: prev_hash.parse().ok()?,
        hash: hash.parse().ok()?,
    })
}

/// A member's text, and what follows its closing quote.
fn member<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(name)?.split_once('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Script;

    fn sealed(metadata: &str) -> Sealed {
        let event = Script::of_key(1).next(1).events.remove(0);
        Sealed { metadata: Bytes::from(metadata.to_owned()), ..event }.with_hash()
    }

    #[test]
    fn sealed_bytes_come_back_exactly_and_the_stored_ones_are_json() {
        for metadata in [
            "{}",
            " { } ",
            "{\"a\":1}",
            "{ \"a\" : {\"version\":7} ,\n\"hash\":\"x\" }\n",
            "{\"version\":1,\"recorded_at\":\"\"}",
            "{\"a\":\"}\"}",
            "{\"a\":\"\\\"version\\\":\"}",
        ] {
            let event = sealed(metadata);
            let stored = splice(&event).unwrap_or_else(|| unreachable!("{metadata}"));
            let json: serde_json::Value =
                serde_json::from_slice(&stored).unwrap_or_else(|e| unreachable!("{metadata}: {e}"));
            assert_eq!(json.get("hash"), Some(&event.hash.to_string().into()), "{metadata}");
            let expected = Unspliced {
                metadata: event.metadata.clone(),
                version: event.version,
                recorded_at: event.recorded_at,
                prev_hash: event.prev_hash,
                hash: event.hash,
            };
            assert_eq!(unsplice(&stored), Some(expected), "{metadata}");
        }
    }

    #[test]
    fn what_is_no_object_is_not_spliced() {
        for metadata in ["", "[]", "7", "{", "}", "{]}", "x{}", "{}x", "[{}]", "{\"a\":1,}"] {
            assert_eq!(splice(&sealed(metadata)), None, "{metadata}");
        }
    }

    #[test]
    fn what_was_not_spliced_is_not_taken_apart() {
        for stored in [
            "",
            "{}",
            "{\"version\":1}",
            "{\"version\":1,\"recorded_at\":\"x\",\"prev_hash\":\"\",\"hash\":\"\"}",
        ] {
            assert_eq!(unsplice(&Bytes::from(stored.to_owned())), None, "{stored}");
        }
    }
}
