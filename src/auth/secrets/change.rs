//! Changing the secrets on disk: rotating the master key, adding and retiring peppers.
//!
//! - Every step puts one whole file in place, and after each of them the directory opens and nobody is
//!   locked out: a new master key is on disk before anything recognises it, and only then handed over.
//! - Whatever interrupts a rotation, beginning it again goes on where it ended, with the same key.
//! - A running server finds the change by itself; what it does with it is in `secrets_watch.rs`.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use nemo_events::{MasterKeyId, PepperId, Timestamp};

use super::files::{Master, master_toml, peppers_toml};
use super::place::{parent, put_file, remove_file};
use super::{MASTER, PEPPERS, Secrets, key_file};
use crate::auth::master_keys::{MasterKeyVerifier, Retired};
use crate::auth::secret_files::{SecretsError, failed, read_master_key};
use crate::auth::token::MasterKeyText;
use crate::failpoint;

/// The new master key on its way to its holder.
const NEXT: &str = "master-key.next";

/// The secrets directory, for one change at a time.
#[derive(Debug)]
pub struct Change {
    secrets: Secrets,
    /// Let go when the change is dropped, and when its process dies.
    _lock: File,
}

/// How the master key is replaced.
#[derive(Debug, Clone, Copy)]
pub struct Replacement {
    /// The time.
    pub now: Timestamp,
    /// When the keys that work now are refused.
    pub end: Retired,
}

/// A master key was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The new master key.
    pub master_key: MasterKeyId,
    /// The keys that worked until now, and what becomes of them.
    pub before: Vec<(MasterKeyId, Retired)>,
    /// A rotation that was interrupted has been finished; no other key was made.
    pub resumed: bool,
}

impl Change {
    /// Opens a directory that nobody else is changing.
    ///
    /// # Errors
    /// As [`Secrets::open`], and [`SecretsError::Busy`].
    pub fn begin(dir: &Path) -> Result<Self, SecretsError> {
        // Looks at it first: what is wrong with a directory says more than that it cannot be locked.
        Secrets::open(dir)?;
        let lock = File::open(dir).map_err(failed("open", dir))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SecretsError::Busy { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(failed("lock", dir)(error)),
        }
        // What was read before the lock may be out of date.
        Ok(Self { secrets: Secrets::open(dir)?, _lock: lock })
    }

    /// The secrets as they are now.
    #[must_use]
    pub const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Master keys that leaked, as long as nobody has said that what was done with them was looked at.
    #[must_use]
    pub fn leak_in_hand(&self) -> &[MasterKeyId] {
        &self.secrets.master.leak_in_hand
    }

    /// Whether a rotation was interrupted before the new master key was handed over.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.next().symlink_metadata().is_ok()
    }

    /// Makes a new master key the current one and writes it to `target`: a new file, or one that holds a
    /// master key of this directory, which is replaced.
    ///
    /// # Errors
    /// [`SecretsError`]; then either nothing has changed, or doing it again goes on where this ended.
    pub fn replace_master_key(&mut self, how: Replacement, target: &Path) -> Result<Replaced, SecretsError> {
        let next = self.next();
        let pending = self.pending(&next)?;
        self.check_target(target, pending.as_ref())?;
        let key = match pending {
            Some(key) => key,
            None => {
                let key = MasterKeyText::generate()?;
                put_file(&next, &key_file(&key))?;
                key
            }
        };
        failpoint::reached("secrets-key-written");
        let (worked, resumed) = self.install(&key, how)?;
        failpoint::reached("secrets-key-installed");
        put_file(target, &key_file(&key))?;
        failpoint::reached("secrets-key-handed-over");
        remove_file(&next)?;
        let ended = |id: MasterKeyId| {
            let earlier = self.secrets.master_keys().earlier();
            let end = earlier.iter().find(|key| *key.verifier.id() == id).and_then(|key| key.retired);
            end.map(|end| (id, end))
        };
        let before = worked.into_iter().filter_map(ended).collect();
        Ok(Replaced { master_key: key.id().clone(), before, resumed })
    }

    /// What was done with the keys that leaked has been looked at.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn leak_is_handled(&mut self) -> Result<(), SecretsError> {
        if self.secrets.master.leak_in_hand.is_empty() {
            return Ok(());
        }
        self.put_master(Master { leak_in_hand: Vec::new(), ..self.secrets.master.clone() })
    }

    /// Makes a new pepper the current one. The others go on verifying.
    ///
    /// # Errors
    /// Where none can be made or the file cannot be written.
    pub fn add_pepper(mut self) -> Result<Secrets, SecretsError> {
        self.secrets.peppers = self.secrets.peppers.renewed()?;
        self.put_peppers()
    }

    /// Takes a pepper out of use: secrets that are digested under it are refused from then on. One that
    /// is out of use already stays so.
    ///
    /// # Errors
    /// [`SecretsError::NoSuchPepper`] if it is not an older one; where the file cannot be written.
    pub fn retire_pepper(mut self, id: &PepperId) -> Result<Secrets, SecretsError> {
        if self.secrets.peppers.retired().contains(id) {
            return Ok(self.secrets);
        }
        let unknown = || SecretsError::NoSuchPepper { pepper: id.clone() };
        self.secrets.peppers = self.secrets.peppers.without(id).ok_or_else(unknown)?;
        self.put_peppers()
    }

    /// The key of a rotation that was interrupted. One that was replaced since is of no use any more.
    fn pending(&self, next: &Path) -> Result<Option<MasterKeyText>, SecretsError> {
        if !self.is_unfinished() {
            return Ok(None);
        }
        let key = read_master_key(next)?;
        let keys = self.secrets.master_keys();
        let usable = !keys.knows(key.id()) || keys.current().is(&key);
        Ok(usable.then_some(key))
    }

    fn check_target(&self, target: &Path, pending: Option<&MasterKeyText>) -> Result<(), SecretsError> {
        let place = parent(target);
        if !place.is_dir() {
            return Err(SecretsError::NoDirectoryFor { path: target.to_owned() });
        }
        if target.symlink_metadata().is_err() {
            return Ok(());
        }
        let taken = || SecretsError::Taken { path: target.to_owned() };
        // A pipe or a terminal cannot be replaced, and reading it would take what it holds.
        if !target.is_file() {
            return Err(taken());
        }
        let held = read_master_key(target).map_err(|_| taken())?;
        let ours = self.secrets.master_keys().knows(held.id());
        let resumed = pending.is_some_and(|key| key.id() == held.id());
        if ours || resumed { Ok(()) } else { Err(taken()) }
    }

    /// Lets `key` be recognised. Returns the keys that worked before, and whether it was so already.
    fn install(
        &mut self,
        key: &MasterKeyText,
        how: Replacement,
    ) -> Result<(Vec<MasterKeyId>, bool), SecretsError> {
        let keys = self.secrets.master_keys();
        let resumed = keys.current().is(key);
        let mut worked = keys.in_force(how.now);
        let keys = if resumed {
            // The current key was handed to nobody: those before it are the ones to be ended.
            worked.retain(|id| id != key.id());
            keys.clone().earlier_ended(how.end, how.now)
        } else {
            keys.replaced_by(MasterKeyVerifier::of(key), how.end, how.now)
        };
        let mut leak_in_hand = self.secrets.master.leak_in_hand.clone();
        if how.end.leaked {
            leak_in_hand
                .extend(worked.iter().filter(|id| !leak_in_hand.contains(id)).cloned().collect::<Vec<_>>());
        }
        self.put_master(Master { keys, leak_in_hand })?;
        Ok((worked, resumed))
    }

    fn put_master(&mut self, master: Master) -> Result<(), SecretsError> {
        put_file(&self.secrets.dir.join(MASTER), &master_toml(&master))?;
        self.secrets.master = master;
        Ok(())
    }

    fn put_peppers(self) -> Result<Secrets, SecretsError> {
        put_file(&self.secrets.dir.join(PEPPERS), &peppers_toml(&self.secrets.peppers))?;
        Secrets::open(&self.secrets.dir)
    }

    fn next(&self) -> PathBuf {
        self.secrets.dir.join(NEXT)
    }
}

#[cfg(test)]
mod tests;
