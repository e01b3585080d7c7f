//! Reads one section after another, and knows for each value where it stands.

use std::borrow::Cow;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::error::{ConfigError, Hint, Place};
use super::reference::{KeyDoc, keys_named};

/// What a configuration is read from.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) environment: &'a Environment,
}

impl Source<'_> {
    pub(super) fn place(&self, offset: usize) -> Place {
        Place::in_file(self.path, self.text, offset)
    }
}

/// One table of the file, or nothing where the file has none.
pub(super) struct Section<'a> {
    source: &'a Source<'a>,
    name: &'static str,
    table: Option<(&'a DeTable<'a>, usize)>,
    overrides: bool,
}

impl<'a> Section<'a> {
    /// A section that is there once: variables override its keys.
    pub(super) fn single(
        source: &'a Source<'a>,
        name: &'static str,
        value: Option<&'a Spanned<DeValue<'a>>>,
    ) -> Result<Self, ConfigError> {
        let table = value.map(|value| table_of(source, name, value, "[")).transpose()?;
        Ok(Self { source, name, table, overrides: true })
    }

    /// The tables of a section that may be there several times.
    pub(super) fn repeated(
        source: &'a Source<'a>,
        name: &'static str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Result<Vec<Self>, ConfigError> {
        let DeValue::Array(tables) = value.get_ref() else {
            return Err(not_a_table(source, name, value, "[["));
        };
        let open = |value| {
            let table = Some(table_of(source, name, value, "[[")?);
            Ok(Self { source, name, table, overrides: false })
        };
        ConfigError::all(tables.iter().map(open))
    }

    /// The whole file, whose keys are the names of sections.
    pub(super) fn whole(
        source: &'a Source<'a>,
        table: &'a DeTable<'a>,
        names: &[&str],
    ) -> Result<(), ConfigError> {
        let check = |key: &Spanned<_>| {
            let name: &Cow<'_, str> = key.get_ref();
            if names.contains(&name.as_ref()) {
                return Ok(());
            }
            let place = source.place(key.span().start);
            let hint = elsewhere(name).unwrap_or_else(|| Hint::among(name, names.iter().copied()));
            Err(ConfigError::UnknownKey { place, key: name.to_string(), hint })
        };
        ConfigError::all(table.iter().map(|(key, _)| check(key))).map(drop)
    }

    /// Refuses keys that mean nothing here.
    pub(super) fn only(&self, keys: &[KeyDoc]) -> Result<(), ConfigError> {
        let Some((table, _)) = self.table else { return Ok(()) };
        let check = |key: &Spanned<_>| {
            let name: &Cow<'_, str> = key.get_ref();
            if keys.iter().any(|known| known.key == name.as_ref()) {
                return Ok(());
            }
            let place = self.source.place(key.span().start);
            let hint = if name.starts_with("api_key") {
                Hint::is("a key never stands in this file; name its place with api_key_env or api_key_file")
            } else {
                elsewhere(name).unwrap_or_else(|| Hint::among(name, keys.iter().map(|known| known.key)))
            };
            Err(ConfigError::UnknownKey { place, key: self.path(name), hint })
        };
        ConfigError::all(table.iter().map(|(key, _)| check(key))).map(drop)
    }

    /// A key's value, from its flag or variable or else from the file.
    pub(super) fn get(&self, key: &'static str) -> Option<Raw<'_>> {
        if self.overrides
            && let Some((name, text)) = self.source.environment.get(self.name, key)
        {
            let value = Value::Override { name: name.to_owned(), text };
            return Some(Raw { source: self.source, key: self.path(key), value });
        }
        let (table, _) = self.table?;
        table.get(key).map(|value| Raw {
            source: self.source,
            key: self.path(key),
            value: Value::File(value),
        })
    }

    /// A default, to be read like any other value.
    pub(super) fn built_in(&self, key: &str, text: &'static str) -> Raw<'_> {
        Raw { source: self.source, key: self.path(key), value: Value::BuiltIn(text) }
    }

    /// Whether a key was stated.
    pub(super) fn states(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn missing(&self, key: &str) -> ConfigError {
        ConfigError::Missing { place: self.place(), key: self.path(key) }
    }

    /// Says what is wrong with a key, or with its absence.
    pub(super) fn bad(&self, key: &'static str, why: impl Into<String>) -> ConfigError {
        match self.get(key) {
            Some(raw) => raw.bad(why),
            None => ConfigError::Bad { place: self.place(), key: self.path(key), why: why.into() },
        }
    }

    /// Where the section starts.
    pub(super) fn place(&self) -> Place {
        self.table.map_or(Place::BuiltIn, |(_, start)| self.source.place(start))
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}

/// The sections that have a key of this name, for those who put it into the wrong one.
fn elsewhere(name: &str) -> Option<Hint> {
    let sections: Vec<_> = keys_named(name).iter().map(|key| key.section).collect();
    if sections.is_empty() {
        None
    } else {
        Some(Hint::is(format!("it belongs to {}", sections.join(" or "))))
    }
}

fn table_of<'a>(
    source: &Source<'_>,
    name: &str,
    value: &'a Spanned<DeValue<'a>>,
    bracket: &str,
) -> Result<(&'a DeTable<'a>, usize), ConfigError> {
    match value.get_ref() {
        DeValue::Table(table) => Ok((table, value.span().start)),
        _ => Err(not_a_table(source, name, value, bracket)),
    }
}

fn not_a_table(source: &Source<'_>, name: &str, value: &Spanned<DeValue<'_>>, bracket: &str) -> ConfigError {
    let closing = bracket.replace('[', "]");
    ConfigError::Bad {
        place: source.place(value.span().start),
        key: name.to_owned(),
        why: format!("must be written as {bracket}{name}{closing}"),
    }
}

/// A value as it was stated.
pub(super) struct Raw<'a> {
    source: &'a Source<'a>,
    key: String,
    value: Value<'a>,
}

enum Value<'a> {
    File(&'a Spanned<DeValue<'a>>),
    Override { name: String, text: Option<&'a str> },
    BuiltIn(&'static str),
}

impl<'a> Raw<'a> {
    /// The value if it is a text.
    pub(super) fn text(&self) -> Option<&'a str> {
        match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::String(text) => Some(text),
                _ => None,
            },
            Value::Override { text, .. } => *text,
            Value::BuiltIn(text) => Some(text),
        }
    }

    /// The value if it is a whole number, not negative.
    pub(super) fn whole(&self) -> Option<u64> {
        match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
                _ => None,
            },
            Value::Override { .. } | Value::BuiltIn(_) => self.text()?.parse().ok(),
        }
    }

    /// The value if it is a yes or no.
    pub(super) fn flag(&self) -> Option<bool> {
        match &self.value {
            Value::File(value) => value.get_ref().as_bool(),
            Value::Override { .. } | Value::BuiltIn(_) => self.text()?.parse().ok(),
        }
    }

    /// The value's text if it is a number with a fraction.
    pub(super) fn float(&self) -> Option<&'a str> {
        match &self.value {
            Value::File(value) => value.get_ref().as_float().map(toml::de::DeFloat::as_str),
            Value::Override { .. } | Value::BuiltIn(_) => None,
        }
    }

    /// The elements of a list; outside of the file they are separated by commas.
    pub(super) fn elements(&self) -> Option<Vec<Raw<'a>>> {
        let values: Vec<Value<'a>> = match &self.value {
            Value::File(value) => match value.get_ref() {
                DeValue::Array(values) => values.iter().map(Value::File).collect(),
                _ => return None,
            },
            Value::Override { name, text } => {
                let parts = (*text)?.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(|part| Value::Override { name: name.clone(), text: Some(part) }).collect()
            }
            Value::BuiltIn(text) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::BuiltIn).collect()
            }
        };
        Some(values.into_iter().map(|value| self.with(self.key.clone(), value)).collect())
    }

    /// The members of a table.
    pub(super) fn members(&self) -> Option<Vec<(&'a str, Raw<'a>)>> {
        let Value::File(value) = &self.value else { return None };
        let DeValue::Table(table) = value.get_ref() else { return None };
        let member = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &'a std::borrow::Cow<'a, str> = key.get_ref();
            (key.as_ref(), self.with(format!("{}.{key}", self.key), Value::File(value)))
        };
        Some(table.iter().map(member).collect())
    }

    /// The value as tables of their own.
    pub(super) fn sections(&self, name: &'static str) -> Result<Vec<Section<'a>>, ConfigError> {
        match &self.value {
            Value::File(value) => Section::repeated(self.source, name, value),
            Value::Override { .. } | Value::BuiltIn(_) => Ok(Vec::new()),
        }
    }

    /// Says what is wrong with the value, in words that follow its key.
    pub(super) fn bad(&self, why: impl Into<String>) -> ConfigError {
        let place = match &self.value {
            Value::File(value) => self.source.place(value.span().start),
            Value::Override { name, .. } => Place::Override(name.clone()),
            Value::BuiltIn(_) => Place::BuiltIn,
        };
        ConfigError::Bad { place, key: self.key.clone(), why: why.into() }
    }

    fn with(&self, key: String, value: Value<'a>) -> Self {
        Self { source: self.source, key, value }
    }
}
