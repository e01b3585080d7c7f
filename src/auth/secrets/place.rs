//! Where the secrets directory is, and how something gets into it: whole, synced, for its owner only.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::auth::secret_files::{SecretsError, failed};
use crate::auth::token::{CannotGenerate, random_digits};
use crate::failpoint;

/// A directory under construction beside its place. If it never gets there it is removed; what a crash
/// leaves of it holds secrets that never came into force.
pub(super) struct Draft(PathBuf);

impl Draft {
    pub(super) fn beside(dir: &Path) -> Result<Self, SecretsError> {
        let path = unfinished(dir)?;
        DirBuilder::new().mode(0o700).create(&path).map_err(failed("create", &path))?;
        Ok(Self(path))
    }

    pub(super) fn write(&self, name: &str, contents: &str) -> Result<(), SecretsError> {
        write_new(&self.0.join(name), contents, None)
    }

    pub(super) fn publish(self, dir: &Path) -> Result<(), SecretsError> {
        sync_directory(&self.0)?;
        fs::rename(&self.0, dir).map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                SecretsError::AlreadyThere { dir: dir.to_owned() }
            }
            ErrorKind::NotADirectory | ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
                SecretsError::NotAPlace { dir: dir.to_owned() }
            }
            _ => failed("put the new secrets in place at", dir)(error),
        })?;
        sync_directory(parent(dir))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once published there is nothing under this name.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Puts a file of mode 0600 in its place, or in that of an earlier one, whose owner it keeps: whoever looks
/// finds the one or the other, whole. A link leads to the file that is meant; left alone, it would go on leading
/// to the earlier one. What a crash leaves beside it goes with the next one.
pub(super) fn put_file(path: &Path, contents: &str) -> Result<(), SecretsError> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = match fs::metadata(path) {
        Ok(before) => Some(before),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed("look at", path)(error)),
    };
    remove_drafts_of(path)?;
    let draft = unfinished(path)?;
    let placed = write_new(&draft, contents, before.as_ref()).and_then(|()| {
        failpoint::reached("secrets-file-written");
        fs::rename(&draft, path).map_err(failed("put in place", path))
    });
    if placed.is_err() {
        // Whatever is left of it is of no use.
        let _ = fs::remove_file(&draft);
    }
    placed?;
    sync_directory(parent(path))
}

/// What a crash left beside a file may hold the very secret that is in it.
fn remove_drafts_of(path: &Path) -> Result<(), SecretsError> {
    let beginning = beginning_of_drafts(path)?;
    let place = parent(path);
    for entry in fs::read_dir(place).map_err(failed("look into", place))? {
        let entry = entry.map_err(failed("look into", place))?;
        if entry.file_name().as_encoded_bytes().starts_with(beginning.as_encoded_bytes()) {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(super) fn remove_file(path: &Path) -> Result<(), SecretsError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(parent(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

fn write_new(path: &Path, contents: &str, owner: Option<&fs::Metadata>) -> Result<(), SecretsError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if let Some(owner) = owner {
            let ours = file.metadata()?;
            // A file that only root could read would lock the server out at its next start.
            if (owner.uid(), owner.gid()) != (ours.uid(), ours.gid()) {
                fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
        file.write_all(contents.as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed("write", path))
}

fn unfinished(path: &Path) -> Result<PathBuf, SecretsError> {
    let mut draft = beginning_of_drafts(path)?;
    draft.push(random_digits(8).map_err(CannotGenerate::from)?.as_str());
    Ok(parent(path).join(draft))
}

fn beginning_of_drafts(path: &Path) -> Result<OsString, SecretsError> {
    let name = path.file_name().ok_or_else(|| SecretsError::NotAPlace { dir: path.to_owned() })?;
    let mut draft = OsString::from(".");
    draft.push(name);
    draft.push(".unfinished-");
    Ok(draft)
}

pub(super) fn is_vacant(dir: &Path) -> Result<bool, SecretsError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(SecretsError::NotAPlace { dir: dir.to_owned() })
        }
        Err(error) => Err(failed("look into", dir)(error)),
    }
}

pub(super) fn look_at_directory(dir: &Path) -> Result<fs::Metadata, SecretsError> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(metadata),
        Ok(_) => Err(SecretsError::NotAPlace { dir: dir.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(SecretsError::NoDirectory { dir: dir.to_owned() })
        }
        Err(error) => Err(failed("look at", dir)(error)),
    }
}

pub(super) fn sync_directory(dir: &Path) -> Result<(), SecretsError> {
    File::open(dir).and_then(|opened| opened.sync_all()).map_err(failed("sync", dir))
}

pub(super) fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
