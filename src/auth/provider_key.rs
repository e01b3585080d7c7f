//! Provider keys: loaded from the environment or a file, sent to their provider and shown to nobody.

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use super::secret_files::{Holds, SecretsError};
use super::token::MasterKeyText;

/// A provider's key: goes into the header of a provider call and nowhere else.
pub struct ProviderKey(Zeroizing<String>);

impl ProviderKey {
    /// Takes a key, with or without a newline after it.
    ///
    /// # Errors
    /// [`BadProviderKey`] for what could not be sent in a header, and for a master key of Nemo.
    pub fn parse(text: &str) -> Result<Self, BadProviderKey> {
        let key = text.trim_end_matches(['\r', '\n']);
        if key.is_empty() {
            return Err(BadProviderKey::Empty);
        }
        if let Some(at) = key.bytes().position(|b| !b.is_ascii_graphic()) {
            return Err(BadProviderKey::Character { number: at.saturating_add(1) });
        }
        if MasterKeyText::parse(key).is_ok() {
            return Err(BadProviderKey::MasterKey);
        }
        Ok(Self(Zeroizing::new(key.to_owned())))
    }

    /// Reads the key from an environment variable.
    ///
    /// # Errors
    /// [`ProviderKeyError`] if it is not set or holds no usable key.
    pub fn from_env(name: &str) -> Result<Self, ProviderKeyError> {
        let place = format!("the environment variable {name}");
        let Some(value) = std::env::var_os(name) else { return Err(ProviderKeyError::NotSet { place }) };
        // Taken as bytes: the error of `var` would carry the value.
        let value = Zeroizing::new(value.into_encoded_bytes());
        std::str::from_utf8(&value)
            .map_err(|error| BadProviderKey::Character { number: error.valid_up_to().saturating_add(1) })
            .and_then(Self::parse)
            .map_err(|source| ProviderKeyError::Unusable { place, source })
    }

    /// Reads the key from a file. Others may be able to read it: containers mount secrets like that.
    ///
    /// # Errors
    /// [`ProviderKeyError`] if it cannot be read or holds no usable key.
    pub fn from_file(path: &Path) -> Result<Self, ProviderKeyError> {
        let text = Holds::ProviderKey.read(path)?;
        Self::parse(&text).map_err(|source| ProviderKeyError::Unusable {
            place: format!("the file {}", path.display()),
            source,
        })
    }

    /// The key itself. For the header of a provider call; never for a log.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderKey(redacted)")
    }
}

/// Why a text is no usable provider key. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProviderKey {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// A blank, a control character or something outside ASCII.
    #[error("character {number} cannot be part of a key")]
    Character {
        /// The byte's place, from 1.
        number: usize,
    },
    /// A master key of Nemo, which must not be sent anywhere.
    #[error("it is a Nemo master key, which is never sent to a provider")]
    MasterKey,
}

/// Why a provider's key could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ProviderKeyError {
    /// The environment variable does not exist.
    #[error("{place} is not set")]
    NotSet {
        /// The variable.
        place: String,
    },
    /// There is something, but no usable key.
    #[error("{place} holds no usable provider key")]
    Unusable {
        /// The variable or file.
        place: String,
        /// What is wrong with it.
        source: BadProviderKey,
    },
    /// The file cannot be read.
    #[error("the provider key's file cannot be used")]
    File(#[from] SecretsError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::secret_files::FileFault;
    use super::*;

    #[test]
    fn a_provider_key_comes_from_a_file_without_its_newline() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("key");
        for contents in ["sk-abc\n", "sk-abc\r\n", "sk-abc"] {
            fs::write(&path, contents).unwrap();
            assert_eq!(ProviderKey::from_file(&path).unwrap().expose_secret(), "sk-abc");
        }
        fs::write(&path, "\n").unwrap();
        assert!(matches!(
            ProviderKey::from_file(&path),
            Err(ProviderKeyError::File(SecretsError::File { fault: FileFault::Empty, .. }))
        ));
    }

    #[test]
    fn a_provider_key_comes_from_the_environment() {
        // Set by cargo and nextest for every test.
        assert_eq!(ProviderKey::from_env("CARGO_PKG_NAME").unwrap().expose_secret(), env!("CARGO_PKG_NAME"));
        let unset = ProviderKey::from_env("NEMO_TEST_NOT_SET").unwrap_err();
        assert_eq!(unset.to_string(), "the environment variable NEMO_TEST_NOT_SET is not set");
    }

    #[test]
    fn what_cannot_be_sent_as_a_provider_key_is_refused_and_not_repeated() {
        let fault = |text: &str| ProviderKey::parse(text).unwrap_err();
        assert_eq!(fault(""), BadProviderKey::Empty);
        assert_eq!(fault("sk abc"), BadProviderKey::Character { number: 3 });
        assert_eq!(fault("sk-abc\n\nsk-def"), BadProviderKey::Character { number: 7 });
        assert_eq!(fault("sk-\u{7}"), BadProviderKey::Character { number: 4 });
        assert_eq!(fault("sk-é"), BadProviderKey::Character { number: 4 });
        assert_eq!(fault(MasterKeyText::generate().unwrap().expose_secret()), BadProviderKey::MasterKey);
        assert_eq!(format!("{:?}", ProviderKey::parse("sk-abc")), "Ok(ProviderKey(redacted))");
    }
}
