//! Pages of long lists: an opaque cursor names the last row that was seen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::ReadModelError;

/// How many rows a page may have: 1 to 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(usize);

impl Limit {
    /// The most rows of one page.
    pub const MAX: usize = 200;

    /// Holds the wish within 1 and 200.
    #[must_use]
    pub const fn at_most(rows: usize) -> Self {
        match rows {
            0 => Self(1),
            1..=Self::MAX => Self(rows),
            _ => Self(Self::MAX),
        }
    }

    /// The limit as a number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }

    /// One row more than the page, to learn whether there is another page.
    pub(crate) fn and_one(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX).saturating_add(1)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As in the log.
    OldestFirst,
    /// Against the log.
    #[default]
    NewestFirst,
}

impl Order {
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::OldestFirst => "ASC",
            Self::NewestFirst => "DESC",
        }
    }

    /// What the next row's key is, compared with the cursor's.
    pub(crate) const fn beyond(self) -> &'static str {
        match self {
            Self::OldestFirst => ">",
            Self::NewestFirst => "<",
        }
    }
}

/// The list that a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Keys,
    Orgs,
    Calls,
    OpenCalls,
    PriceCards,
}

impl List {
    const fn tag(self) -> char {
        match self {
            Self::Keys => 'k',
            Self::Orgs => 'o',
            Self::Calls => 'c',
            Self::OpenCalls => 'n',
            Self::PriceCards => 'p',
        }
    }
}

/// A place in a list: opaque, and only good for the list that it came from. Rows that are added later
/// move nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Cursor(String);

impl Cursor {
    pub(crate) fn new(list: List, place: i64) -> Self {
        Self(format!("{}{:x}", list.tag(), place.cast_unsigned()))
    }

    pub(crate) fn place(&self, list: List) -> Result<i64, ReadModelError> {
        let digits = self.0.strip_prefix(list.tag()).ok_or(ReadModelError::InvalidCursor)?;
        let place = u64::from_str_radix(digits, 16).map_err(|_| ReadModelError::InvalidCursor)?;
        Ok(place.cast_signed())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = ReadModelError;

    fn from_str(text: &str) -> Result<Self, ReadModelError> {
        let ok = (2..=17).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if ok { Ok(Self(text.to_owned())) } else { Err(ReadModelError::InvalidCursor) }
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageRequest {
    /// The cursor of the page before; `None` for the first page.
    pub after: Option<Cursor>,
    /// The most rows.
    pub limit: Limit,
}

impl PageRequest {
    pub(crate) fn place(&self, list: List) -> Result<Option<i64>, ReadModelError> {
        self.after.as_ref().map(|cursor| cursor.place(list)).transpose()
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// Leads to the next page; `None` on the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of rows with their places, one more than the limit where another page follows.
    pub(crate) fn of(mut rows: Vec<(i64, T)>, list: List, limit: Limit) -> Self {
        let more = rows.len() > limit.get();
        rows.truncate(limit.get());
        let next = rows.last().filter(|_| more).map(|(place, _)| Cursor::new(list, *place));
        Self { rows: rows.into_iter().map(|(_, row)| row).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        for number in [70_000, -5, i64::MAX, i64::MIN] {
            let cursor: Option<Cursor> = Cursor::new(List::Keys, number).to_string().parse().ok();
            let place = |list| cursor.as_ref().and_then(|c| c.place(list).ok());
            assert_eq!((place(List::Keys), place(List::Orgs)), (Some(number), None));
        }
        for text in ["", "k", "k-1", "kzz'", "k00000000000000000"] {
            let place = text.parse::<Cursor>().and_then(|c| c.place(List::Keys));
            assert!(place.is_err(), "{text}");
        }
    }
}
