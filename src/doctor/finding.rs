//! One finding: how bad, about what, what it means, what to do.

use serde::{Deserialize, Serialize};

use crate::cli::render::{Cell, Column, Shape, Tone};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work until it is mended.
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finding {
    level: Level,
    /// What was looked at, such as `disk` or `provider openai`.
    check: String,
    /// What was found, and what it means.
    found: String,
    /// What to do.
    next: Option<String>,
}

/// All findings, in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, check: &str, found: impl Into<String>) {
        self.add(Level::Ok, check, found.into(), None);
    }

    pub(super) fn warn(&mut self, check: &str, found: impl Into<String>, next: impl Into<String>) {
        self.add(Level::Warn, check, found.into(), Some(next.into()));
    }

    pub(super) fn fail(&mut self, check: &str, found: impl Into<String>, next: impl Into<String>) {
        self.add(Level::Fail, check, found.into(), Some(next.into()));
    }

    pub(super) fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|finding| finding.level == level).count()
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Finding> {
        self.0.into_iter()
    }

    fn add(&mut self, level: Level, check: &str, found: String, next: Option<String>) {
        self.0.push(Finding { level, check: check.to_owned(), found, next });
    }

    #[cfg(test)]
    pub(super) fn told(&self) -> Vec<(Level, &str)> {
        self.0.iter().map(|finding| (finding.level, finding.found.as_str())).collect()
    }
}

/// A row for each finding.
pub(super) static FINDINGS: Shape<Finding> = Shape {
    columns: &[
        Column::new("level", "", |finding| level(finding.level)),
        Column::new("check", "Check", |finding| Cell::Id(finding.check.clone())),
        Column::new("found", "Found", |finding| Cell::Text(finding.found.clone())),
        Column::new("next", "What to do", |finding| Cell::maybe(finding.next.clone(), Cell::Text)),
    ],
    none: "Nothing was looked at.",
};

fn level(level: Level) -> Cell {
    let (word, tone) = match level {
        Level::Ok => ("ok", Tone::Good),
        Level::Warn => ("warn", Tone::Warning),
        Level::Fail => ("fail", Tone::Bad),
    };
    Cell::Status(word.to_owned(), tone)
}
