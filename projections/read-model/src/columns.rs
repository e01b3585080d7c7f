//! Reading a row column by column, in the order of the SELECT, with the checks that types ask for.

use std::str::FromStr;

use nemo_events::{Digest, KeyId, Nanos, Position, Revision, Timestamp};
use rusqlite::Row;
use rusqlite::types::FromSql;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};
use uuid::Uuid;

use crate::error::{EventError, Fault, ReadModelError};

/// A row and the next column to be read.
pub(crate) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

type Read<T> = Result<T, ReadModelError>;

impl<'r> Columns<'r> {
    pub(crate) const fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    /// A value as SQLite has it.
    pub(crate) fn get<T: FromSql>(&mut self) -> Read<T> {
        let value = self.row.get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    /// Leaves columns out.
    pub(crate) const fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    /// Reads a column and leaves the next one out.
    pub(crate) fn then_skip<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let value = read(self)?;
        self.skip(1);
        Ok(value)
    }

    pub(crate) fn int(&mut self) -> Read<i64> {
        self.get()
    }

    pub(crate) fn count(&mut self) -> Read<u64> {
        u64::try_from(self.int()?).map_err(|_| ReadModelError::Damaged("a count is below zero"))
    }

    pub(crate) fn opt_count(&mut self) -> Read<Option<u64>> {
        let count = self.get::<Option<i64>>()?.map(u64::try_from).transpose();
        count.map_err(|_| ReadModelError::Damaged("a count is below zero"))
    }

    pub(crate) fn ints<const N: usize>(&mut self) -> Read<[i64; N]> {
        let mut ints = [0; N];
        for int in &mut ints {
            *int = self.int()?;
        }
        Ok(ints)
    }

    pub(crate) fn flag(&mut self) -> Read<bool> {
        Ok(self.int()? != 0)
    }

    pub(crate) fn nanos(&mut self) -> Read<Nanos> {
        Ok(Nanos::from_nanos(self.int()?))
    }

    pub(crate) fn time(&mut self) -> Read<Timestamp> {
        Ok(Timestamp::from_micros(self.int()?))
    }

    pub(crate) fn opt_time(&mut self) -> Read<Option<Timestamp>> {
        Ok(self.get::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    pub(crate) fn revision(&mut self) -> Read<Revision> {
        Ok(Revision(self.count()?))
    }

    pub(crate) fn position(&mut self) -> Read<Position> {
        Ok(Position(self.count()?))
    }

    pub(crate) fn uuid(&mut self) -> Read<Uuid> {
        Ok(Uuid::from_bytes(self.get()?))
    }

    pub(crate) fn digest(&mut self) -> Read<Digest> {
        Ok(Digest::from_bytes(self.get()?))
    }

    /// A key's public id, stored without its `key_`.
    pub(crate) fn key_id(&mut self) -> Read<KeyId> {
        self.parsed()
    }

    pub(crate) fn text(&mut self) -> Read<String> {
        self.get()
    }

    pub(crate) fn opt_text(&mut self) -> Read<Option<String>> {
        self.get()
    }

    /// A text that a type reads.
    pub(crate) fn parsed<T: FromStr>(&mut self) -> Read<T> {
        self.text()?.parse().map_err(|_| ReadModelError::Damaged("an id cannot be read"))
    }

    pub(crate) fn opt_parsed<T: FromStr>(&mut self) -> Read<Option<T>> {
        let parsed = self.opt_text()?.map(|text| text.parse()).transpose();
        parsed.map_err(|_| ReadModelError::Damaged("an id cannot be read"))
    }

    /// A variant by its name in JSON.
    pub(crate) fn name<T: DeserializeOwned>(&mut self) -> Read<T> {
        let text = self.text()?;
        let name: StrDeserializer<'_, NameError> = StrDeserializer::new(&text);
        T::deserialize(name).map_err(|_| ReadModelError::Damaged("a name is not known"))
    }

    /// A value stored as JSON.
    pub(crate) fn json<T: for<'de> Deserialize<'de>>(&mut self) -> Read<T> {
        serde_json::from_str(&self.text()?).map_err(|_| ReadModelError::Damaged("a JSON text cannot be read"))
    }
}

/// A number of an event as SQLite's integer.
pub(crate) fn int(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::Event(EventError::OutOfRange))
}

/// A value as JSON text.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, ReadModelError> {
    serde_json::to_string(value).map_err(|_| ReadModelError::Damaged("a value cannot be written as JSON"))
}
