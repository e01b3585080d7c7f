//! Files that hold secrets: refused when others on the machine can read them, never quoted in an error.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nemo_events::PepperId;
use zeroize::Zeroizing;

use super::token::{CannotGenerate, MasterKeyText};

/// No file of secrets is larger.
const MAX_FILE_BYTES: usize = 256 * 1024;

/// Reads a master key from a file that holds it and nothing else.
///
/// # Errors
/// [`SecretsError`] if others can read the file, or if it holds no well-formed master key.
pub fn read_master_key(path: &Path) -> Result<MasterKeyText, SecretsError> {
    let text = Holds::MasterKey.read(path)?;
    MasterKeyText::parse(text.trim_ascii())
        .map_err(|fault| Holds::MasterKey.error(path, FileFault::Garbled(fault.to_string())))
}

/// What a file is for: who may be able to read it, and what to do if it is unusable.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    Secrets,
    MasterKey,
    ProviderKey,
    StorePassword,
    WebhookSecret,
}

impl Holds {
    /// Reads a whole small file without leaving copies of it in memory.
    pub(super) fn read(self, path: &Path) -> Result<Zeroizing<String>, SecretsError> {
        let file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => self.error(path, FileFault::Missing),
            _ => failed("open", path)(error),
        })?;
        self.check_readers(path, &file)?;
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES.saturating_add(1)));
        file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text).map_err(|error| {
            match error.kind() {
                ErrorKind::InvalidData => self.error(path, FileFault::Garbled("not text".into())),
                _ => failed("read", path)(error),
            }
        })?;
        if text.trim_ascii().is_empty() {
            return Err(self.error(path, FileFault::Empty));
        }
        if text.len() > MAX_FILE_BYTES {
            return Err(self.error(path, FileFault::Garbled("too large".into())));
        }
        Ok(text)
    }

    fn check_readers(self, path: &Path, file: &File) -> Result<(), SecretsError> {
        let metadata = file.metadata().map_err(failed("look at", path))?;
        match self {
            // A pipe has no mode worth checking.
            Self::Secrets | Self::MasterKey if metadata.is_file() => check_mode(path, &metadata, 0o600),
            Self::Secrets
            | Self::MasterKey
            | Self::ProviderKey
            | Self::StorePassword
            | Self::WebhookSecret => Ok(()),
        }
    }

    pub(super) fn error(self, path: &Path, fault: FileFault) -> SecretsError {
        let remedy = match self {
            Self::Secrets => "put it back from your copy of the secrets; it cannot be made anew",
            Self::MasterKey => "write the master key into it and nothing else",
            Self::ProviderKey => "write the provider's key into it and nothing else",
            Self::StorePassword => "write the event store's password into it and nothing else",
            Self::WebhookSecret => {
                "write a secret into it: `echo whsec_$(openssl rand -base64 32)` makes one"
            }
        };
        SecretsError::File { path: path.to_owned(), fault, remedy }
    }
}

pub(super) fn check_mode(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), SecretsError> {
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(SecretsError::Exposed { path: path.to_owned(), mode, wanted })
    }
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SecretsError + use<> {
    let path = path.to_owned();
    move |source| SecretsError::Io { doing, path, source }
}

/// Why the secrets cannot be used. Paths and line numbers only, nothing that a file holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// There is no such directory.
    #[error(
        "there is no secrets directory at {}: put it back from your copy; only an empty ledger gets a new one",
        .dir.display()
    )]
    NoDirectory {
        /// Where it should be.
        dir: PathBuf,
    },
    /// There is something where the directory is to be made.
    #[error("{} is there already and not empty: open it, or name another place", .dir.display())]
    AlreadyThere {
        /// The place.
        dir: PathBuf,
    },
    /// The place is no directory, or one that cannot be replaced, such as a mount point.
    #[error(
        "the secrets cannot be put at {}: it is a mount point or no directory; name a new directory inside one",
        .dir.display()
    )]
    NotAPlace {
        /// The place.
        dir: PathBuf,
    },
    /// Others on the machine can read it.
    #[error("{} can be read by others (mode {mode:04o}): chmod {wanted:o} '{}'", .path.display(), .path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// A file is not what it should be.
    #[error("{} {fault}: {remedy}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
        /// What to do.
        remedy: &'static str,
    },
    /// Somebody else is changing them.
    #[error("another command is changing the secrets in {}: wait until it is done", .dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// Something else is where a master key is to be written.
    #[error(
        "{} holds no master key of this secrets directory, and is not overwritten: name another file",
        .path.display()
    )]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// There is no directory for a file.
    #[error("there is no directory for {}: make it, or name another file", .path.display())]
    NoDirectoryFor {
        /// The file.
        path: PathBuf,
    },
    /// The pepper is the current one, or there is none of this name.
    #[error("{pepper} is not one of the older peppers: only those can be retired")]
    NoSuchPepper {
        /// Its name.
        pepper: PepperId,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}", .path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// No secret could be made.
    #[error("cannot make new secrets")]
    Generate(#[from] CannotGenerate),
}

/// What is wrong with a file of secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It holds nothing.
    #[error("is empty")]
    Empty,
    /// It does not hold what it should; the text says on which line, where that is known.
    #[error("is damaged ({0})")]
    Garbled(String),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]
mod tests {
    use std::error::Error;
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    use tempfile::TempDir;

    use super::*;

    /// Everything that a log could show of an error.
    fn told(error: &dyn Error) -> String {
        let chain = std::iter::successors(Some(error), |&error| error.source());
        chain.map(|error| format!("{error} {error:?} ")).collect()
    }

    #[test]
    fn a_master_key_with_a_mistyped_character_is_told_apart_from_rubbish() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("key");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        let key = MasterKeyText::generate().unwrap();
        let mistyped: String =
            key.expose_secret().chars().rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect();
        for last in ['!', 'é'] {
            fs::write(&path, format!("{mistyped}{last}\r\n")).unwrap();
            let told = told(&read_master_key(&path).unwrap_err());
            assert!(told.contains("not a key") && !told.contains(&mistyped), "{told}");
        }
        fs::write(&path, format!("{}\r\n", key.expose_secret())).unwrap();
        assert_eq!(read_master_key(&path).unwrap().id(), key.id());
    }
}
