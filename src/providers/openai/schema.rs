//! How much JSON that a model gets to see can weigh: tool definitions, schemas, earlier tool calls.
//!
//! A provider may show it as it came, written anew with other spacing, as TypeScript declarations (OpenAI) or
//! inside a string. Both measures bound all of these.

use std::fmt;

use nemo_events::price::Tokenizer;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::input::count_text;
use crate::proxy::scan::Text;

/// What stands around each key, value, object and array at most: quotes, colon or comma, line break, indent.
const SYNTAX: u64 = 4;

/// Its bytes as received; characters beyond ASCII as the escapes (`\u00e9`) that some templates write instead.
pub(super) fn bytes(raw: &str) -> u64 {
    raw.chars().map(|char| if char.is_ascii() { 1 } else { escape(char) }).fold(0, u64::saturating_add)
}

fn escape(char: char) -> u64 {
    if char.len_utf16() == 1 { 6 } else { 12 }
}

/// The tokens of each key and value by itself, and the syntax around it, however it was spaced.
pub(super) fn tokens(raw: &str, tokenizer: Tokenizer) -> u64 {
    let counted = Count(tokenizer).deserialize(&mut serde_json::Deserializer::from_str(raw));
    counted.unwrap_or_else(|_| bytes(raw))
}

#[derive(Clone, Copy)]
struct Count(Tokenizer);

impl Count {
    fn piece(self, text: &str) -> u64 {
        count_text(self.0, text).saturating_add(SYNTAX)
    }
}

impl<'de> DeserializeSeed<'de> for Count {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut sum = SYNTAX;
        while let Some(Text(key)) = map.next_key()? {
            sum = sum.saturating_add(self.piece(&key)).saturating_add(map.next_value_seed(self)?);
        }
        Ok(sum)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut sum = SYNTAX;
        while let Some(element) = seq.next_element_seed(self)? {
            sum = sum.saturating_add(element);
        }
        Ok(sum)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        Ok(self.piece(text))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
        Ok(self.piece(&number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        Ok(self.piece(&number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        Ok(self.piece(&number.to_string()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<u64, E> {
        Ok(SYNTAX)
    }

    fn visit_unit<E: Error>(self) -> Result<u64, E> {
        Ok(SYNTAX)
    }
}
