//! The values that rows are made of: how people see them, and what files carry.

use nemo_events::{Nanos, Rate, Timestamp};

use super::{money, time};

/// A shape of rows.
pub struct Shape<V: 'static> {
    /// What each row shows, in this order.
    pub columns: &'static [Column<V>],
    /// What is said where there are no rows.
    pub none: &'static str,
}

/// One column of a shape.
pub struct Column<V> {
    /// Its name in CSV, stable; `None` where files leave it out.
    pub name: Option<&'static str>,
    /// Its heading in tables; `None` where tables leave it out.
    pub heading: Option<&'static str>,
    /// Its value in a row.
    pub cell: fn(&V) -> Cell,
}

impl<V> Column<V> {
    /// A column of tables and files.
    #[must_use]
    pub const fn new(name: &'static str, heading: &'static str, cell: fn(&V) -> Cell) -> Self {
        Self { name: Some(name), heading: Some(heading), cell }
    }

    /// A column of files only.
    #[must_use]
    pub const fn in_files(name: &'static str, cell: fn(&V) -> Cell) -> Self {
        Self { name: Some(name), heading: None, cell }
    }

    /// A column of tables only, which says in brief what files carry in several.
    #[must_use]
    pub const fn in_tables(heading: &'static str, cell: fn(&V) -> Cell) -> Self {
        Self { name: None, heading: Some(heading), cell }
    }
}

/// How a status bears on whoever looks at it. Never the only sign of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Somebody may want to look.
    Warning,
    /// It does not work.
    Bad,
    /// Over.
    Ended,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing is known, or there is nothing.
    Nothing,
    /// A text that may be broken into lines.
    Text(String),
    /// A text to copy: kept on one line.
    Id(String),
    /// A word with a dot.
    Status(String, Tone),
    /// A sum, a limit or a budget.
    Total(Nanos),
    /// What one call cost or holds.
    OneCall(Nanos),
    /// A price for a million units.
    Rate(Rate),
    /// How many.
    Count(u64),
    /// When; people are shown the minute.
    Minute(Timestamp),
    /// When; people are shown the second.
    Second(Timestamp),
    /// When; people are shown the millisecond.
    Millisecond(Timestamp),
}

impl Cell {
    /// The cell of a value that may not be there.
    #[must_use]
    pub fn maybe<T>(value: Option<T>, cell: fn(T) -> Self) -> Self {
        value.map_or(Self::Nothing, cell)
    }

    /// As people see it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Nothing => "–".to_owned(),
            Self::Text(text) | Self::Id(text) => text.clone(),
            Self::Status(word, _) => format!("● {word}"),
            Self::Total(amount) => money::total(*amount),
            Self::OneCall(amount) => money::one_call(*amount),
            Self::Rate(rate) => money::rate(*rate),
            Self::Count(count) => money::grouped(*count),
            Self::Minute(at) => time::to_the_minute(*at),
            Self::Second(at) => time::to_the_second(*at),
            Self::Millisecond(at) => time::to_the_millisecond(*at),
        }
    }

    /// As files carry it: nothing rounded, nothing decorated.
    #[must_use]
    pub fn exact(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Text(text) | Self::Id(text) | Self::Status(text, _) => text.clone(),
            Self::Total(amount) | Self::OneCall(amount) => amount.to_string(),
            Self::Rate(rate) => rate.to_string(),
            Self::Count(count) => count.to_string(),
            Self::Minute(at) | Self::Second(at) | Self::Millisecond(at) => at.to_string(),
        }
    }

    /// Whether somebody else chose the text, who may have aimed at the program that opens it.
    #[must_use]
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Id(_) | Self::Status(..))
    }

    /// Whether it is read by its last digit.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Total(_) | Self::OneCall(_) | Self::Rate(_) | Self::Count(_))
    }
}
