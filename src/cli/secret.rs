//! New keys on their way to their holder: printed once, or written to a file that only its owner reads.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::cli::exit::{CommandError, Exit};

/// A full key, as the one answer that holds it told it. Printed only where that is asked for.
pub struct NewSecret(Zeroizing<String>);

impl NewSecret {
    /// The full key.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewSecret(…)")
    }
}

impl<'de> Deserialize<'de> for NewSecret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// A new file for a secret. It is there before the secret is, so that no secret is made in vain, and
/// it is removed again unless the secret got into it.
pub struct SecretFile {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl SecretFile {
    /// Makes an empty file of mode 0600.
    ///
    /// # Errors
    /// Where there is one already, or none can be made.
    pub fn create(path: &Path) -> Result<Self, CommandError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let what = format!("{} is there already, and is not overwritten.", path.display());
                CommandError::usage(what).next("Name another file with --secret-file.".to_owned())
            }
            _ => CommandError::new(Exit::Failed, format!("Cannot make {}: {error}.", path.display())),
        })?;
        Ok(Self { path: path.to_owned(), file, kept: false })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the secret and a line end, durably.
    ///
    /// # Errors
    /// Where the disk does not take it; the file is gone then.
    pub fn keep(mut self, secret: &NewSecret) -> Result<(), CommandError> {
        let text = Zeroizing::new(format!("{}\n", secret.expose_secret()));
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all());
        self.kept = written.is_ok();
        written.map_err(|error| {
            CommandError::new(Exit::Failed, format!("Cannot write {}: {error}.", self.path.display()))
        })
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.kept {
            // An empty file that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    const KEY: &str = "sk-nemo-1zzzzzzzzzzzABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij3bMjKG";

    fn secret() -> NewSecret {
        serde_json::from_value(KEY.into()).unwrap()
    }

    #[test]
    fn a_secret_is_not_in_its_debug_text() {
        assert!(!format!("{:?}", secret()).contains("zzzz"));
    }

    #[test]
    fn the_file_holds_the_key_and_only_its_owner_reads_it() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("key");
        SecretFile::create(&path).unwrap().keep(&secret()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{KEY}\n"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_is_there_is_not_overwritten_and_what_is_not_used_is_removed() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("key");
        fs::write(&path, "mine").unwrap();
        assert_eq!(SecretFile::create(&path).err().unwrap().exit(), Exit::Usage);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let unused = home.path().join("unused");
        drop(SecretFile::create(&unused).unwrap());
        assert!(!unused.exists());
    }
}
