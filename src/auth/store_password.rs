//! The password of the event store's user: loaded from the environment or a file, and shown to nobody.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::secret_files::{Holds, SecretsError};

/// A password for the event store.
pub struct StorePassword(Zeroizing<String>);

/// Why there is no password. Holds nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum StorePasswordError {
    /// The environment variable does not exist, or there is nothing in it.
    #[error("the environment variable {0}, which should hold the event store's password, is not set")]
    NotSet(String),
    /// It is not Unicode.
    #[error("the environment variable {0}, which should hold the event store's password, is not Unicode")]
    NotUnicode(String),
    /// The file cannot be read.
    #[error("the file with the event store's password cannot be used")]
    File(#[from] SecretsError),
}

impl StorePassword {
    /// Reads it from an environment variable.
    ///
    /// # Errors
    /// Where it is not set.
    pub fn from_env(name: &str) -> Result<Self, StorePasswordError> {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| StorePasswordError::NotSet(name.to_owned()))?;
        // Taken as bytes: the error of `var` would carry the value.
        let bytes = Zeroizing::new(value.into_encoded_bytes());
        let text =
            std::str::from_utf8(&bytes).map_err(|_| StorePasswordError::NotUnicode(name.to_owned()))?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Reads it from a file, with or without a newline after it. Others may be able to read the file:
    /// containers mount secrets like that.
    ///
    /// # Errors
    /// Where the file cannot be read, or is empty.
    pub fn from_file(path: &Path) -> Result<Self, StorePasswordError> {
        let text = Holds::StorePassword.read(path)?;
        Ok(Self(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// The password itself. For the connection's options; never for a log.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StorePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorePassword(redacted)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_ends_with_a_newline_or_not_and_nothing_shows_it() {
        let home = tempfile::TempDir::new().unwrap();
        let file = home.path().join("password");
        for text in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            std::fs::write(&file, text).unwrap();
            let password = StorePassword::from_file(&file).unwrap();
            assert_eq!(password.expose_secret(), "hunter2");
            assert!(!format!("{password:?}").contains("hunter2"));
        }
        std::fs::write(&file, "\n").unwrap();
        assert!(StorePassword::from_file(&file).is_err());
        assert!(StorePassword::from_file(&home.path().join("none")).is_err());
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let told = StorePassword::from_env("NO_SUCH_VARIABLE").unwrap_err().to_string();
        assert!(told.contains("NO_SUCH_VARIABLE is not set") || told.contains("is not set"), "{told}");
    }
}
