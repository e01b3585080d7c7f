//! The lock that makes this process the only user of a data directory.
//!
//! `flock` on a file of its own: it goes with the process however that ends, and it also keeps a second
//! store in the same process out. The file names its holder, for the message to the second.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::error::OpenError;
use super::files::{failed, private_file};

/// Held as long as the directory is in use; dropping it releases the directory.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the directory for this process, until the lock is dropped.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where another process, or another lock in this one, holds it.
    pub fn acquire(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("lock");
        let mut file = private_file(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::InUse { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(error) => return Err(failed("lock", &path)(error.into())),
        }
        let named = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        // The name is a courtesy: a full disk must not keep a ledger from being read.
        if let Err(error) = named {
            tracing::warn!(%error, path = %path.display(), "cannot name the lock's holder");
        }
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
