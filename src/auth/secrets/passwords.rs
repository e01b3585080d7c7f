//! `passwords.toml` in the secrets directory: the hashes of people's passwords, each under the id by which the
//! ledger names it. The ledger says which of them counts; the file alone lets nobody in.
//!
//! A new hash is put there before the ledger hears of it, and earlier ones go afterwards: whatever interrupts
//! that, the password that the ledger names is there.

use std::fmt::Write as _;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nemo_events::PasswordId;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::place::put_file;
use crate::auth::password::PasswordDigest;
use crate::auth::secret_files::{FileFault, Holds, SecretsError, failed};

const FILE: &str = "passwords.toml";
const HEAD: &str = "# Hashes of operators' passwords. The ledger says which of them counts.\n";
/// Somebody else may be changing the secrets; that takes a moment.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// The file.
#[derive(Debug)]
pub struct Passwords {
    dir: PathBuf,
    /// One change at a time in this process; the directory's lock keeps out others.
    changing: Mutex<()>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default)]
    password: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: PasswordId,
    hash: String,
}

impl Passwords {
    /// Those of a secrets directory.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), changing: Mutex::default() }
    }

    /// The hash of a password. Reads the file each time: another node may have written it.
    ///
    /// # Errors
    /// A file that cannot be read, is garbled, or that others can read.
    pub fn get(&self, id: PasswordId) -> Result<Option<PasswordDigest>, SecretsError> {
        let found = self.read()?.into_iter().find(|(known, _)| *known == id);
        Ok(found.map(|(_, digest)| digest))
    }

    /// Adds a hash. The others stay.
    ///
    /// # Errors
    /// Where the file cannot be written, or somebody else is changing the secrets.
    pub fn put(&self, id: PasswordId, digest: PasswordDigest) -> Result<(), SecretsError> {
        self.change(|entries| entries.push((id, digest)))
    }

    /// Forgets all hashes but those that count.
    ///
    /// # Errors
    /// As [`Passwords::put`].
    pub fn keep(&self, counts: impl Fn(PasswordId) -> bool) -> Result<(), SecretsError> {
        self.change(|entries| entries.retain(|(id, _)| counts(*id)))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<(PasswordId, PasswordDigest)>),
    ) -> Result<(), SecretsError> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock()?;
        let mut entries = self.read()?;
        let before = entries.len();
        change(&mut entries);
        if entries.len() == before {
            return Ok(());
        }
        let mut text = Zeroizing::new(HEAD.to_owned());
        for (id, digest) in &entries {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[[password]]\nid = \"{id}\"\nhash = \"{}\"\n", digest.expose_secret());
        }
        put_file(&self.dir.join(FILE), &text)
    }

    fn read(&self) -> Result<Vec<(PasswordId, PasswordDigest)>, SecretsError> {
        let path = self.dir.join(FILE);
        let text = match Holds::Secrets.read(&path) {
            Ok(text) => text,
            Err(SecretsError::File { fault: FileFault::Missing, .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let garbled = |_| Holds::Secrets.error(&path, FileFault::Garbled("no list of hashes".to_owned()));
        let Stored { password } = toml::from_str(&text).map_err(garbled)?;
        Ok(password.into_iter().map(|Entry { id, hash }| (id, PasswordDigest::stored(hash))).collect())
    }

    fn lock(&self) -> Result<File, SecretsError> {
        let lock = File::open(&self.dir).map_err(failed("open", &self.dir))?;
        for _ in 0..TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(failed("lock", &self.dir)(error)),
            }
        }
        Err(SecretsError::Busy { dir: self.dir.clone() })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;

    fn id(n: u128) -> PasswordId {
        PasswordId::from_uuid(Uuid::from_u128(n))
    }

    fn digest(text: &str) -> PasswordDigest {
        PasswordDigest::stored(text.to_owned())
    }

    #[test]
    fn a_hash_is_found_by_its_id_until_it_is_forgotten() {
        let dir = TempDir::new().unwrap();
        let passwords = Passwords::of(dir.path());
        assert!(passwords.get(id(1)).unwrap().is_none(), "no file yet");
        passwords.put(id(1), digest("$argon2id$one")).unwrap();
        passwords.put(id(2), digest("$argon2id$two")).unwrap();
        let found = |n| passwords.get(id(n)).unwrap().map(|digest| digest.expose_secret().to_owned());
        assert_eq!(
            (found(1).as_deref(), found(2).as_deref()),
            (Some("$argon2id$one"), Some("$argon2id$two"))
        );
        passwords.keep(|known| known == id(2)).unwrap();
        assert_eq!((found(1), found(2).as_deref()), (None, Some("$argon2id$two")));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_is_garbled_is_refused_and_not_quoted() {
        let dir = TempDir::new().unwrap();
        let (passwords, path) = (Passwords::of(dir.path()), dir.path().join(FILE));
        passwords.put(id(1), digest("$argon2id$one")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(passwords.get(id(1)), Err(SecretsError::Exposed { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "[[password]]\nhash = \"$argon2id$one\"").unwrap();
        let told = format!("{:?}", passwords.get(id(1)).unwrap_err());
        assert!(told.contains("Garbled") && !told.contains("argon2id"), "{told}");
        assert!(passwords.put(id(2), digest("x")).is_err(), "nothing is written over what is not understood");
    }

    #[test]
    fn many_changes_at_a_time_lose_none() {
        let dir = TempDir::new().unwrap();
        thread::scope(|scope| {
            for n in 0..8 {
                let dir = dir.path();
                scope.spawn(move || Passwords::of(dir).put(id(n), digest("$argon2id$x")).unwrap());
            }
        });
        let passwords = Passwords::of(dir.path());
        assert!((0..8).all(|n| passwords.get(id(n)).unwrap().is_some()));
    }
}
