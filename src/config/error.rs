//! What can be wrong with a configuration, and where. No error repeats a value: it might be a secret.

use std::cmp::Reverse;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where a value was stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In an environment variable, or a flag of the command line.
    Override(String),
    /// Nowhere: it is a default.
    BuiltIn,
}

impl Place {
    /// The line of `text`, the contents of `path`, that holds the byte at `offset`.
    pub(super) fn in_file(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        Self::File { path: path.to_owned(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Override(name) => f.write_str(name),
            Self::BuiltIn => f.write_str("built-in default"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: not valid TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong, in the parser's words.
        message: String,
    },
    /// A key that means nothing.
    #[error("{place}: unknown key `{key}`{hint}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key, with its section.
        key: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// A key that has to be there is not.
    #[error("{place}: `{key}` is missing")]
    Missing {
        /// The section that lacks it.
        place: Place,
        /// The key, with its section.
        key: String,
    },
    /// A value that cannot be used.
    #[error("{place}: `{key}` {why}")]
    Bad {
        /// Where.
        place: Place,
        /// The key, with its section.
        key: String,
        /// What it must be, to be read after the key.
        why: String,
    },
    /// A variable that looks like one of ours and is none.
    #[error("unknown environment variable {name}{hint}")]
    UnknownVariable {
        /// The variable.
        name: String,
        /// What may have been meant.
        hint: Hint,
    },
    /// Several things are wrong; each is told on a line of its own.
    #[error("{}", lines(.0))]
    Several(Vec<Self>),
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl ConfigError {
    /// Everything that is wrong, one by one.
    #[must_use]
    pub fn each(self) -> Vec<Self> {
        match self {
            Self::Several(errors) => errors.into_iter().flat_map(Self::each).collect(),
            one => vec![one],
        }
    }

    /// Everything that is wrong as one error, so that nobody mends a file one mistake at a time.
    pub(super) fn several(errors: Vec<Self>) -> Self {
        let mut errors: Vec<_> = errors.into_iter().flat_map(Self::each).collect();
        match (errors.len(), errors.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                errors.extend(last);
                Self::Several(errors)
            }
        }
    }

    /// A value whose other half was checked as well: both must be right.
    pub(super) fn both<T>(checked: Result<(), Self>, value: Result<T, Self>) -> Result<T, Self> {
        match (checked, value) {
            (Ok(()), value) => value,
            (Err(error), Ok(_)) => Err(error),
            (Err(error), Err(other)) => {
                // A misspelt key is missing as well: once told is enough.
                let others = other.each().into_iter().filter(|other| !matches!(other, Self::Missing { .. }));
                Err(Self::several(std::iter::once(error).chain(others).collect()))
            }
        }
    }

    /// All values, or all that is wrong with them.
    pub(super) fn all<T>(values: impl IntoIterator<Item = Result<T, Self>>) -> Result<Vec<T>, Self> {
        let (mut good, mut errors) = (Vec::new(), Vec::new());
        for value in values {
            match value {
                Ok(value) => good.push(value),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(good) } else { Err(Self::several(errors)) }
    }
}

/// What may have been meant by a word that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// The candidate that is nearest to the word, or all of them if none is near.
    pub(super) fn among<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        let rank = |candidate: &str| (distance(word, candidate), Reverse(shared_start(word, candidate)));
        let nearest = candidates.iter().map(|candidate| (rank(candidate), *candidate)).min();
        Self(match nearest {
            Some(((edits, _), nearest)) if edits <= word.len() / 2 => format!(": did you mean `{nearest}`?"),
            _ => format!("; there are {}", candidates.join(", ")),
        })
    }

    pub(super) fn is(text: impl fmt::Display) -> Self {
        Self(format!(": {text}"))
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn shared_start(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

/// How many bytes to insert, delete or replace to make one word from another (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        let mut next = vec![left];
        for (b, above) in to.bytes().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_two_words_counts_edits() {
        for (from, to, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("listen", "lisen", 1)]
        {
            assert_eq!(distance(from, to), edits, "{from} {to}");
        }
    }

    #[test]
    fn a_hint_names_the_nearest_word_or_all_of_them() {
        let hint = |word| Hint::among(word, ["listen", "node"]).to_string();
        assert_eq!(hint("lisen"), ": did you mean `listen`?");
        assert_eq!(hint("zzzzz"), "; there are listen, node");
    }
}
