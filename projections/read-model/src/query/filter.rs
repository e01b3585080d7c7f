//! Conditions that are put together as a question asks for them. Values are always bound, never spliced.

use rusqlite::types::Value;

/// Conditions, all of which must hold, with their values in order.
#[derive(Debug, Default)]
pub(super) struct Where {
    conditions: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Where {
    /// Adds a condition with one `?`.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.conditions.push(condition.to_owned());
        self.values.push(value.into());
    }

    /// Adds a condition where there is a value to compare with.
    pub(super) fn and_some(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.and(condition, value);
        }
    }

    /// Adds a condition in which one value occurs several times.
    pub(super) fn and_each(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    /// The clause; empty without conditions.
    pub(super) fn sql(&self) -> String {
        if self.conditions.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.conditions.join(" AND "))
        }
    }

    /// The values with one more behind them, such as a limit.
    pub(super) fn values_and(mut self, last: i64) -> Vec<Value> {
        self.values.push(last.into());
        self.values
    }
}

/// A pattern for `LIKE … ESCAPE '\'` that matches texts which contain this one.
pub(super) fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
