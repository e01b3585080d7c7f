//! Files that only their owner can read, and directories whose entries survive a power loss.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::OpenError;

/// An I/O error with what was tried.
pub(super) fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Io { doing, path: path.to_owned(), source }
}

/// Makes sure that the directory exists and is its owner's alone.
pub(super) fn private_dir(dir: &Path) -> Result<(), OpenError> {
    if !dir.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create", dir))?;
        if let Some(parent) = dir.parent() {
            sync_dir(parent)?;
        }
    }
    restrict(dir, 0o700)
}

/// Makes sure that the file exists and is its owner's alone. Must not be called on a database that
/// SQLite has open in this process.
pub(super) fn private_file(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed("open", path))?;
    restrict(path, 0o600)?;
    Ok(file)
}

/// Makes the directory's entries durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), OpenError> {
    // The parent of a relative path of one component is the empty path.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", dir))
}

/// The file's length; 0 where there is none.
pub(super) fn length(path: &Path) -> Result<u64, OpenError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

fn restrict(path: &Path, mode: u32) -> Result<(), OpenError> {
    let found = fs::metadata(path).map_err(failed("look at", path))?.permissions().mode();
    if found & 0o777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("restrict access to", path))
}
