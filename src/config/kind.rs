//! The kinds of values that keys have: how each is read, and how the reference describes it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::error::ConfigError;
use super::read::{Raw, Section};

/// How a key's value becomes a `T`.
pub(super) trait Kind<T> {
    /// What the value must be, to be read after "must be".
    fn describe(&self) -> String;

    /// Reads a value.
    fn read(&self, raw: &Raw<'_>) -> Result<T, ConfigError>;

    /// What holds if the key was not stated.
    fn absent(
        &self,
        section: &Section<'_>,
        key: &'static str,
        default: &'static str,
    ) -> Result<T, ConfigError> {
        self.read(&section.built_in(key, default))
    }

    /// Reads a key of a section.
    fn field(
        &self,
        section: &Section<'_>,
        key: &'static str,
        default: &'static str,
    ) -> Result<T, ConfigError> {
        match section.get(key) {
            Some(raw) => self.read(&raw),
            None => self.absent(section, key, default),
        }
    }
}

/// A text of a certain form.
pub(super) struct Text<T>(pub(super) &'static str, pub(super) fn(&str) -> Option<T>);

impl<T> Kind<T> for Text<T> {
    fn describe(&self) -> String {
        self.0.to_owned()
    }

    fn read(&self, raw: &Raw<'_>) -> Result<T, ConfigError> {
        raw.text().and_then(self.1).ok_or_else(|| raw.bad(format!("must be {}", self.0)))
    }
}

/// For [`Text`]: what the type itself understands.
pub(super) fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// For [`Text`]: anything but nothing.
pub(super) fn not_empty<T: for<'a> From<&'a str>>(text: &str) -> Option<T> {
    if text.is_empty() { None } else { Some(T::from(text)) }
}

/// A whole number within a range.
pub(super) struct Whole(pub(super) RangeInclusive<u64>);

impl<T: TryFrom<u64>> Kind<T> for Whole {
    fn describe(&self) -> String {
        let (least, most) = (self.0.start(), self.0.end());
        format!("a whole number from {least} to {most}")
    }

    fn read(&self, raw: &Raw<'_>) -> Result<T, ConfigError> {
        let number = raw.whole().filter(|number| self.0.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| raw.bad(format!("must be {}", Kind::<T>::describe(self))))
    }
}

/// `true` or `false`, and what they stand for.
pub(super) struct Flag;

impl Kind<bool> for Flag {
    fn describe(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn read(&self, raw: &Raw<'_>) -> Result<bool, ConfigError> {
        raw.flag().ok_or_else(|| raw.bad("must be true or false"))
    }
}

/// One of some words.
pub(super) struct OneOf<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> Kind<T> for OneOf<T> {
    fn describe(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
        words.join(" or ")
    }

    fn read(&self, raw: &Raw<'_>) -> Result<T, ConfigError> {
        let found = raw.text().and_then(|text| self.0.iter().find(|(word, _)| *word == text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = self.0.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            raw.bad(format!("must be {}", words.join(" or ")))
        })
    }
}

/// Any number of values; none if the key is not there.
pub(super) struct List<K>(pub(super) K);

impl<T, K: Kind<T>> Kind<Vec<T>> for List<K> {
    fn describe(&self) -> String {
        format!("a list, each {}", self.0.describe())
    }

    fn read(&self, raw: &Raw<'_>) -> Result<Vec<T>, ConfigError> {
        let elements = raw.elements().ok_or_else(|| raw.bad("must be a list"))?;
        elements.iter().map(|element| self.0.read(element)).collect()
    }

    fn absent(&self, _: &Section<'_>, _: &'static str, _: &'static str) -> Result<Vec<T>, ConfigError> {
        Ok(Vec::new())
    }
}

/// A value that need not be there. Its default, in words, is explained by whoever resolves it.
pub(super) struct Optional<K>(pub(super) K);

impl<T, K: Kind<T>> Kind<Option<T>> for Optional<K> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn read(&self, raw: &Raw<'_>) -> Result<Option<T>, ConfigError> {
        self.0.read(raw).map(Some)
    }

    fn absent(&self, _: &Section<'_>, _: &'static str, _: &'static str) -> Result<Option<T>, ConfigError> {
        Ok(None)
    }
}

/// A value that has to be there.
pub(super) struct Required<K>(pub(super) K);

impl<T, K: Kind<T>> Kind<T> for Required<K> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn read(&self, raw: &Raw<'_>) -> Result<T, ConfigError> {
        self.0.read(raw)
    }

    fn absent(&self, section: &Section<'_>, key: &'static str, _: &'static str) -> Result<T, ConfigError> {
        Err(section.missing(key))
    }
}

/// A table from one text to another.
pub(super) struct Names;

impl Kind<BTreeMap<String, String>> for Names {
    fn describe(&self) -> String {
        "a table of names".to_owned()
    }

    fn read(&self, raw: &Raw<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
        let members =
            raw.members().ok_or_else(|| raw.bad("must be a table, such as { ours = \"theirs\" }"))?;
        let pair = |(ours, theirs): &(&str, Raw<'_>)| match theirs.text() {
            Some(text) if !text.is_empty() && !ours.is_empty() => Ok(((*ours).to_owned(), text.to_owned())),
            _ => Err(theirs.bad("must be a name")),
        };
        members.iter().map(pair).collect()
    }

    fn absent(
        &self,
        _: &Section<'_>,
        _: &'static str,
        _: &'static str,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        Ok(BTreeMap::new())
    }
}
