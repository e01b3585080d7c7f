//! Answers of the server: passed on as it wrote them, and read only as far as they are shown.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// JSON as the server wrote it, and what is read of it. Fields that nobody here knows do no harm.
pub struct Verbatim<T> {
    raw: Box<RawValue>,
    /// What is read of it.
    pub view: T,
}

impl<T: Serialize> Verbatim<T> {
    /// What this program itself has to say.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn of(view: T) -> serde_json::Result<Self> {
        Ok(Self { raw: serde_json::value::to_raw_value(&view)?, view })
    }
}

impl<T> Verbatim<T> {
    /// The JSON, byte for byte.
    #[must_use]
    pub fn json(&self) -> &str {
        self.raw.get()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Verbatim<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(from)?;
        let view = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        Ok(Self { raw, view })
    }
}

impl<T> Serialize for Verbatim<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use super::*;

    #[derive(Deserialize)]
    struct View {
        a: u8,
    }

    #[test]
    fn what_is_not_read_is_passed_on_as_it_was_written() {
        let text = r#"[{"z":1e2,"a":1,"new":{"x":"ä"}}]"#;
        let read: Vec<Verbatim<View>> = serde_json::from_str(text).unwrap();
        assert_eq!(read.first().map(|one| one.view.a), Some(1));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
