//! JSON objects and strings as slices of the text that they stand in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON object's members in their order, as slices of its text. Only the object itself is looked at:
/// duplicates are the caller's concern, or were refused by [`Scanned::parse`](super::Scanned::parse).
#[derive(Debug)]
pub struct Object<'a>(pub(super) Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads an object; `None` if the text is anything else.
    #[must_use]
    pub fn read(raw: &'a str) -> Option<Self> {
        serde_json::from_str(raw).ok()
    }

    /// Keys, unescaped, and the JSON text of their values.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        self.0
            .iter()
            .map(|(key, value)| (unescaped(key.get()).unwrap_or(Cow::Borrowed(key.get())), value.get()))
    }

    /// The JSON text of one member's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.members().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The text of a JSON string; `None` if the JSON is anything else, or not Unicode.
#[must_use]
pub fn unescaped(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw).ok().map(|text| text.0)
}

/// A string that borrows unless it holds escapes (serde's own `Cow` always copies when nested).
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(AsText)
    }
}
