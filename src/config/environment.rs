//! The part of the environment that the configuration looks at. Provider keys stay where they are: only
//! the names of other programs' variables are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;

use super::error::{ConfigError, Hint};

const PREFIX: &str = "NEMO_";

/// Variables of ours that stand for no key, and what reads them.
const OTHERS: &[&str] = &[
    "NEMO_API_KEY",         // clients: the examples of the documentation
    "NEMO_CA_FILE",         // commands that speak to a server
    "NEMO_CONFIG",          // the program: which file to load
    "NEMO_CRASH_AT",        // tests
    "NEMO_LOG",             // telemetry
    "NEMO_MASTER_KEY_FILE", // commands that speak to a server
    "NEMO_MUTATION",        // tests
    "NEMO_SECRETS_DIR",     // commands that change secrets
    "NEMO_SERVER",          // commands that speak to a server
];
const TESTS: &str = "NEMO_TEST_";

/// What the configuration may know of the environment.
#[derive(Clone, Default)]
pub struct Environment {
    /// All of ours; with a value only where it stands for a key and is Unicode.
    ours: BTreeMap<String, Option<String>>,
    /// The names of all others that are not empty.
    others: BTreeSet<String>,
    /// What flags of the command line say, by the variable that they win over.
    flags: BTreeMap<String, (&'static str, String)>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_vars(std::env::vars_os())
    }

    /// Made of pairs of names and values.
    pub fn from_vars(vars: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>) -> Self {
        let mut found = Self::default();
        for (name, value) in vars {
            let Ok(name) = name.into().into_string() else { continue };
            let value = value.into();
            if name.starts_with(PREFIX) {
                let value = value.into_string().ok().filter(|_| name.contains("__"));
                found.ours.insert(name, value);
            } else if !value.is_empty() {
                found.others.insert(name);
            }
        }
        found
    }

    /// Lets a flag of the command line win over a key's variable and over the file. What it says is checked
    /// with everything else, so it cannot make a configuration that the file could not.
    #[must_use]
    pub fn with_flag(mut self, flag: &'static str, section: &str, key: &str, value: String) -> Self {
        self.flags.insert(Self::variable(section, key), (flag, value));
        self
    }

    /// The variable that overrides a key.
    pub(super) fn variable(section: &str, key: &str) -> String {
        format!("{PREFIX}{}__{}", section.to_ascii_uppercase(), key.to_ascii_uppercase())
    }

    /// What overrides a key, and its value; no value if it is not Unicode.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<(&str, Option<&str>)> {
        let variable = Self::variable(section, key);
        if let Some((flag, value)) = self.flags.get(&variable) {
            return Some((flag, Some(value)));
        }
        self.ours.get_key_value(&variable).map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether a variable of another program has a value.
    pub(super) fn is_set(&self, variable: &str) -> bool {
        self.others.contains(variable)
    }

    /// Refuses variables that look like ours and are none: neither overrides nor named by the configuration.
    pub(super) fn only(&self, overrides: &[String], named: &[&str]) -> Result<(), ConfigError> {
        let known = || overrides.iter().map(String::as_str).chain(OTHERS.iter().copied());
        let is_known = |name: &str| {
            name.starts_with(TESTS) || named.contains(&name) || known().any(|known| known == name)
        };
        match self.ours.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                Err(ConfigError::UnknownVariable { name: name.clone(), hint: Hint::among(name, known()) })
            }
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ours.keys()).entries(&self.others).finish()
    }
}
