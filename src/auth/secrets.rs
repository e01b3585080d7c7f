//! The secrets directory: peppers and the master keys' digests, kept apart from the ledger and its backups.
//!
//! It comes into being whole or not at all: written beside its place, synced, then renamed into it; so does
//! every change of it (`change.rs`). What others on the machine can read is refused. Whether these are
//! the ledger's secrets the caller decides, by [`Fingerprints`], before anything is created.

pub mod change;
mod files;
pub mod passwords;
mod place;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nemo_events::{Digest, MasterKeyId, PepperId};
use zeroize::Zeroizing;

use super::master_keys::{MasterKeyVerifier, MasterKeys, Retired};
use super::pepper::Peppers;
use super::secret_files::{SecretsError, check_mode};
use super::token::MasterKeyText;
use files::{Master, MasterFile, PeppersFile, master_toml, peppers_toml};
use place::{Draft, is_vacant, look_at_directory, parent, sync_directory};

const MASTER_KEY: &str = "master-key";
const MASTER: &str = "master.toml";
const PEPPERS: &str = "peppers.toml";

/// The secrets of one ledger, read and checked.
#[derive(Debug)]
pub struct Secrets {
    dir: PathBuf,
    peppers: Peppers,
    master: Master,
    marks: Marks,
}

/// Secrets were made just now. A start that dies before it says so is not repeated: the next one has
/// [`Secrets::master_key_file_still_there`].
#[derive(Debug)]
pub struct FirstStart {
    /// The file that holds the master key, for its owner to move to a safe place.
    pub master_key_file: PathBuf,
}

/// What tells these secrets from others and opens nothing; the ledger's `gateway` stream holds the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints {
    /// The master keys, oldest first, the current one last.
    pub master_keys: Vec<MasterKeyPrint>,
    /// The peppers, oldest first, the current one last.
    pub peppers: Vec<(PepperId, Digest)>,
    /// The peppers that went out of use.
    pub retired_peppers: Vec<PepperId>,
}

/// What tells a master key from another, and whether it has an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeyPrint {
    /// Its public id.
    pub id: MasterKeyId,
    /// A hash that opens nothing.
    pub fingerprint: Digest,
    /// Its end, if it has one.
    pub retired: Option<Retired>,
}

/// What changes when a file of secrets does. Two files that differ never have the same mark: every
/// change is a new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks(Vec<Option<(u64, u64, SystemTime)>>);

impl Secrets {
    /// Reads an existing directory.
    ///
    /// # Errors
    /// [`SecretsError`] says which file is missing, garbled or readable by others, and what to do.
    pub fn open(dir: &Path) -> Result<Self, SecretsError> {
        let metadata = look_at_directory(dir)?;
        // Taken before the files are read: what changes meanwhile has other marks.
        let marks = Marks::of(dir);
        let peppers = files::read::<PeppersFile>(&dir.join(PEPPERS))?;
        let master = files::read::<MasterFile>(&dir.join(MASTER))?;
        // Last, so that nobody is told to close a directory that is not one of secrets.
        check_mode(dir, &metadata, 0o700)?;
        Ok(Self { dir: dir.to_owned(), peppers, master, marks })
    }

    /// Makes the directory with a new master key and a new pepper. Its parent must exist; an empty
    /// directory in its place is replaced.
    ///
    /// # Errors
    /// [`SecretsError::AlreadyThere`] if there is something in its place, even if another process has
    /// just put it there.
    pub fn create(dir: &Path) -> Result<(Self, FirstStart), SecretsError> {
        if !is_vacant(dir)? {
            return Err(SecretsError::AlreadyThere { dir: dir.to_owned() });
        }
        let master_key = MasterKeyText::generate()?;
        let keys = MasterKeys::only(MasterKeyVerifier::of(&master_key));
        let draft = Draft::beside(dir)?;
        draft.write(PEPPERS, &peppers_toml(&Peppers::generate()?))?;
        draft.write(MASTER, &master_toml(&Master { keys, leak_in_hand: Vec::new() }))?;
        draft.write(MASTER_KEY, &key_file(&master_key))?;
        draft.publish(dir)?;
        // Read back rather than assumed: what cannot be opened now could not be opened tomorrow.
        Ok((Self::open(dir)?, FirstStart { master_key_file: dir.join(MASTER_KEY) }))
    }

    /// Opens the directory, or makes it if there is none. For an empty ledger only: beside a ledger
    /// with keys in it, new secrets would open none of them.
    ///
    /// # Errors
    /// As for [`Self::open`] and [`Self::create`].
    pub fn open_or_create(dir: &Path) -> Result<(Self, Option<FirstStart>), SecretsError> {
        match Self::create(dir) {
            Ok((secrets, first_start)) => Ok((secrets, Some(first_start))),
            Err(SecretsError::AlreadyThere { .. }) => {
                let secrets = Self::open(dir)?;
                // Whoever made them may not have got from the rename to its sync.
                sync_directory(parent(dir))?;
                Ok((secrets, None))
            }
            Err(error) => Err(error),
        }
    }

    /// Where they were read.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The marks of the files that they were read from.
    #[must_use]
    pub const fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The peppers.
    #[must_use]
    pub const fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// The master keys.
    #[must_use]
    pub const fn master_keys(&self) -> &MasterKeys {
        &self.master.keys
    }

    /// What to compare with the ledger.
    #[must_use]
    pub fn fingerprints(&self) -> Fingerprints {
        let keys = &self.master.keys;
        let print = |verifier: &MasterKeyVerifier, retired| MasterKeyPrint {
            id: verifier.id().clone(),
            fingerprint: verifier.fingerprint(),
            retired,
        };
        let earlier = keys.earlier().iter().map(|key| print(&key.verifier, key.retired));
        Fingerprints {
            master_keys: earlier.chain([print(keys.current(), None)]).collect(),
            peppers: self.peppers.fingerprints(),
            retired_peppers: self.peppers.retired().to_vec(),
        }
    }

    /// The master key's file, as long as nobody has moved it to a safe place.
    #[must_use]
    pub fn master_key_file_still_there(&self) -> Option<PathBuf> {
        let path = self.dir.join(MASTER_KEY);
        path.symlink_metadata().is_ok().then_some(path)
    }
}

impl Marks {
    /// Those of a directory's files; of one that cannot be looked at there is none.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let mark = |name| {
            let metadata = std::fs::metadata(dir.join(name)).ok()?;
            Some((metadata.ino(), metadata.len(), metadata.modified().ok()?))
        };
        Self([PEPPERS, MASTER].map(mark).to_vec())
    }
}

/// What a file says that holds a master key and nothing else.
fn key_file(key: &MasterKeyText) -> Zeroizing<String> {
    Zeroizing::new([key.expose_secret(), "\n"].concat())
}
