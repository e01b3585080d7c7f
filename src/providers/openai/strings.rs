//! The text in a JSON value whose shape differs between providers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::proxy::scan::Text;

/// The strings of any JSON value: nearly always one; all of them where a provider sends content in parts.
#[derive(Debug, Default)]
pub(super) enum Strings<'a> {
    #[default]
    None,
    One(Cow<'a, str>),
    Many(Vec<Strings<'a>>),
}

impl<'a> Strings<'a> {
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::One(text) => Some(text),
            Self::None | Self::Many(_) => None,
        }
    }

    pub(super) fn each(&self, take: &mut dyn FnMut(&str)) {
        match self {
            Self::None => {}
            Self::One(text) => take(text),
            Self::Many(parts) => parts.iter().for_each(|part| part.each(take)),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        let mut sum = 0_u64;
        self.each(&mut |text| sum = sum.saturating_add(length(text)));
        sum
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Strings<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Strings<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Strings<'de>, E> {
        Ok(Strings::One(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Strings<'de>, E> {
        Ok(Strings::One(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strings<'de>, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element()? {
            parts.push(part);
        }
        Ok(Strings::Many(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings<'de>, A::Error> {
        let mut parts = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            let part: Strings<'de> = map.next_value()?;
            if key != "type" {
                parts.push(part);
            }
        }
        Ok(Strings::Many(parts))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Strings<'de>, E> {
        Ok(Strings::None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Strings<'de>, E> {
        Ok(Strings::None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Strings<'de>, E> {
        Ok(Strings::None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Strings<'de>, E> {
        Ok(Strings::None)
    }

    fn visit_unit<E: Error>(self) -> Result<Strings<'de>, E> {
        Ok(Strings::None)
    }
}

/// Bytes of a text.
pub(super) fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}
